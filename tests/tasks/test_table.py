"""Reading TSV files: quoting, references, image files, and every way a file can be broken."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from eyechart.core.errors import ImageError, InputError
from eyechart.core.images import decode_image, encode_png
from eyechart.tasks.table import TsvTable, read_table
from eyechart.tasks.tsv import TsvLines, records
from tests.tasks.tsv_files import png_base64, write_tsv

PICTURE = png_base64(1)
CELLS = st.text(
    st.characters(exclude_characters="\r", exclude_categories=["Cs"]), min_size=1, max_size=8
)


def table_of(tmp_path: Path, text: str) -> TsvTable:
    path = tmp_path / "POPE.tsv"
    path.write_text(text, encoding="utf-8")
    return read_table(path)


def test_text_cells_stay_text_and_empty_cells_are_missing(tmp_path: Path) -> None:
    rows = [{"index": 0, "image": PICTURE, "A": "None", "B": "NA", "C": "nan", "D": "", "E": "1.0"}]
    (row,) = read_table(write_tsv(tmp_path / "t.tsv", rows)).rows
    assert [row[letter] for letter in "ABCDE"] == ["None", "NA", "nan", "", "1.0"]
    assert row["F"] == ""


def test_quotes_tabs_and_line_breaks_inside_cells(tmp_path: Path) -> None:
    hint = 'first "line"\n\tsecond\tline\n'
    rows = [
        {"index": 0, "image": PICTURE, "hint": hint},
        {"index": 1, "image": png_base64(2), "hint": "plain"},
    ]
    table = read_table(write_tsv(tmp_path / "t.tsv", rows))
    assert [row["hint"] for row in table.rows] == [hint, "plain"]
    assert table.image_bytes("1") == base64.b64decode(png_base64(2))


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_records_are_what_the_csv_module_wrote(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    data = text.getvalue().encode()
    read = list(records(TsvLines(io.BytesIO(data), "t")))
    assert [tuple(cell.decode() for cell in record.cells) for record in read] == rows
    for record, row in zip(read, rows, strict=True):  # and each is found again by its place
        file = io.BytesIO(data)
        file.seek(record.offset)
        cells = next(records(TsvLines(file, "t"))).cells
        assert tuple(cell.decode() for cell in cells) == row


def test_an_image_is_returned_byte_for_byte(tmp_path: Path) -> None:
    jpeg = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(jpeg, "JPEG")
    cell = base64.b64encode(jpeg.getvalue()).decode()
    table = read_table(write_tsv(tmp_path / "t.tsv", [{"index": 7, "image": cell}]))
    assert table.image_bytes("7") == jpeg.getvalue()


def test_equal_images_share_a_key_whether_referred_to_or_repeated(tmp_path: Path) -> None:
    rows = [
        {"index": "b", "image": "a"},  # points forward
        {"index": "a", "image": PICTURE},
        {"index": "c", "image": PICTURE},
        {"index": "d", "image": "c"},
        {"index": "e", "image": png_base64(2)},
    ]
    table = read_table(write_tsv(tmp_path / "t.tsv", rows))
    assert [row.image for row in table.rows] == ["a", "a", "a", "a", "e"]


def test_image_files_are_found_beside_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (4, 5, 3), dtype=np.uint8) for _ in range(3)]
    for folder, picture in zip(("images/POPE/y", "images", "."), pictures, strict=True):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "one.png").write_bytes(encode_png(picture))
    rows = [
        {"index": 0, "image_path": "['y/one.png']"},
        {"index": 1, "image_path": "one.png"},
        {"index": 2, "image_path": str(tmp_path / "one.png")},
        {"index": 3, "image_path": "absent.png"},
    ]
    table = read_table(write_tsv(tmp_path / "t.tsv", rows), image_folder="POPE")
    keys = [row.image for row in table.rows]
    for key, picture in zip(keys[:3], pictures, strict=True):
        assert np.array_equal(decode_image(table.image_bytes(key)), picture)
    with pytest.raises(ImageError, match=r"no image file absent\.png in .*images/POPE"):
        table.image_bytes(keys[3])
    table.check_files(keys[:3])
    with pytest.raises(InputError, match=r"t\.tsv: 1 of 4 image files missing, first absent\.png;"):
        table.check_files(keys)


def test_identity_follows_the_file_and_the_images_it_points_to(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "t.tsv", [{"index": 0, "image_path": "p.png"}])
    absent = read_table(path).identity()
    (tmp_path / "p.png").write_bytes(b"one")
    one = read_table(path).identity()
    (tmp_path / "p.png").write_bytes(b"two")
    two = read_table(path).identity()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "other.tsv").write_bytes(path.read_bytes())
    (copy / "p.png").write_bytes(b"two")
    assert len({absent, one, two}) == 3
    assert read_table(copy / "other.tsv").identity() == two
    write_tsv(path, [{"index": 0, "image": PICTURE}])
    with_base64 = read_table(path)
    assert with_base64.identity() == with_base64.sha256


def test_rows_without_an_image_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"index": 0, "image": ""}, {"index": 1, "image": PICTURE}]
    table = read_table(write_tsv(tmp_path / "t.tsv", rows))
    assert [row["index"] for row in table.rows] == ["1"]
    assert table.without_image == 1


def test_byte_order_mark_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    table = table_of(tmp_path, f"\ufeffindex\timage\tA\r\n\r\n0\t{PICTURE}\tx\r\n\r\n")
    assert table.columns == ("index", "image", "A")
    assert [row["A"] for row in table.rows] == ["x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"POPE.tsv: no column 'index'; its columns: none, the file is empty"),
        ("index\tquestion\n", r"no column 'image' or 'image_path'; its columns: index, question"),
        ("image\tquestion\n", r"no column 'index'; its columns: image, question"),
        ("index\timage\timage\n", r"a column occurs twice"),
        ("index\timage\n", r"has no rows with an image"),
        (f"index\timage\n0\t{PICTURE}\n1\n", r"row 2 after the header: 1 cell, but 2 columns"),
        (f"index\timage\n0\t{PICTURE}\tx\n", r"row 1 after the header: 3 cells, but 2 columns"),
        (f"index\timage\n0\t{PICTURE}\n0\t{PICTURE}\n", r"row 2 .*: index 0 occurs twice"),
        (f"index\timage\n{'9' * 5000}\t{PICTURE}\n", r"row 1 .*: an index of 5,000 characters"),
        (f"index\timage\n\t{PICTURE}\n", r"row 1 .*: no index"),
        (f"index\timage\n0\t{PICTURE}\n1\t9\n", r"row 2 .*: image '9' is neither base64 nor"),
        (f"index\timage\n0\t{PICTURE}\n1\t2\n2\t1\n", r"row 2 .*: image '2' is neither"),
        (f'index\timage\n0\t{PICTURE}\n1\t"{PICTURE}\n', r"row 2 .*: a quote is never closed"),
        ("index\timage_path\n0\t['a', 'b']\n", r"row 1 .*: image_path .* is not one path"),
    ],
)
def test_a_broken_file_is_named_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table_of(tmp_path, text)


def test_text_that_is_not_utf8_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(b"index\timage\tA\n0\t" + PICTURE.encode() + b"\t\xff\xfe\n")
    with pytest.raises(InputError, match=r"t.tsv, row 1 after the header: not UTF-8"):
        read_table(path)


def test_a_file_without_line_ends_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eyechart.tasks.tsv.MAX_ROW_BYTES", 1 << 20)
    path = tmp_path / "t.tsv"
    path.write_bytes(b"index\timage\n0\t" + b"A" * (2 << 20))
    with pytest.raises(InputError, match=r"longer than 1 MiB, the limit"):
        read_table(path)
    path.write_bytes(b'index\timage\n0\t"' + b"A\n" * (2 << 20))
    with pytest.raises(InputError, match=r"is a quote left open"):
        read_table(path)


def test_a_missing_file_and_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.tsv: cannot be read \(No such file"):
        read_table(tmp_path / "absent.tsv")
    path = write_tsv(tmp_path / "t.tsv", [{"index": 0, "image": PICTURE}])
    with pytest.raises(InputError, match=r"t\.tsv: no column 'answer'; its columns: index, image"):
        read_table(path, needed=("answer",))


def test_a_corrupt_image_is_an_image_error(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "t.tsv", [{"index": 0, "image": PICTURE[:80] + "*" * 9}])
    with pytest.raises(ImageError, match=r"t\.tsv, image 0: "):
        read_table(path).image_bytes("0")


def test_a_table_that_changes_in_use_hands_out_no_wrong_image(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "t.tsv", [{"index": 0, "image": PICTURE}])
    table = read_table(path)
    write_tsv(path, [{"index": 0, "image": PICTURE}, {"index": 1, "image": png_base64(2)}])
    with pytest.raises(ImageError, match=r"changed while in use"):
        table.image_bytes("0")
