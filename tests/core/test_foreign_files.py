"""Any text given as a path, and files of any kind, end in one line."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eyechart.cli import run_args
from eyechart.core.errors import ImageError, InputError
from eyechart.core.files import csv_text, is_dir, is_file, read_limited
from eyechart.core.foreign import parse_json, read_csv, read_json
from eyechart.core.images import read_image

LONG = "n" * 5000
DIGITS = "9" * 5000
NESTED = "[" * 20_000


def test_text_that_can_be_no_path_is_no_file(tmp_path: Path) -> None:
    assert not is_dir(LONG)
    assert not is_file(tmp_path / LONG)
    assert is_dir(tmp_path)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert read_limited(path, 5) == b"12345"
    with pytest.raises(InputError, match="5 bytes; allowed are 4"):
        read_limited(path, 4)
    with pytest.raises(InputError, match="cannot be read"):
        read_limited(tmp_path / "absent", 5)


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/maps", "/proc/self/mem"])
def test_a_device_has_no_end_and_is_not_read_whole(path: str) -> None:
    if not Path(path).exists():
        pytest.skip("needs Linux")
    with pytest.raises(ImageError, match=r"cannot be read|more than 9 bytes"):
        read_limited(path, 9, error=ImageError)


def test_a_file_of_3_gb_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # takes no disk
    with pytest.raises(ImageError, match="3,221,225,472 bytes; allowed are"):
        read_image(path)


@pytest.mark.parametrize(
    "arguments",
    [
        "plan {LONG}",
        "plan quick --vlm {LONG}",
        "plan quick --tasks {LONG}",
        "plan quick --codecs {LONG}",
        "plan quick --codecs jpeg:levels=[{DIGITS}]",
        "plan quick --codecs jpeg:levels={NESTED}",
        "plan quick --max-images {DIGITS}",
        "run quick --out {LONG} --vlm eyechart-mini --tasks POPE --codecs jpeg --max-images 1",
        "run quick --adapter {LONG} --out {tmp_path}/run",
        "report {LONG}",
        "rescore {LONG}",
        "table bd {LONG}",
        "runs compare {LONG} {LONG}",
        "runs drop {LONG} --vlm x",
        "export records {LONG}",
        "codec encode {LONG} {tmp_path}/x.bin --codec jpeg --level 1",
        "codec encode {tmp_path}/in.png {tmp_path}/{LONG} --codec jpeg --level 1",
        "codec encode {tmp_path}/in.png {tmp_path}/x.bin --codec jpeg --level {LONG}",
        "codec decode {LONG} {tmp_path}/x.png --codec jpeg",
        "codec bench {LONG} --codec jpeg",
        "vlm ask {LONG} q",
        "vlm ask {tmp_path}/in.png q --vlm {LONG}",
        "task show {LONG}",
        "score POPE --data eyechart-mini --predictions {LONG}",
        "bd --curve {LONG} --anchor 1",
        "adapter list {LONG}",
        "adapter export {LONG} --out {tmp_path}/e --codec jpeg",
        "paper diff {LONG}",
    ],
)
def test_a_name_without_end_is_one_line(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.png").write_bytes(b"")
    names = {"LONG": LONG, "DIGITS": DIGITS, "NESTED": NESTED, "tmp_path": tmp_path}
    assert run_args([part.format(**names) for part in arguments.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) <= 320
    assert "a bug" not in line


@pytest.mark.parametrize(
    "arguments",
    [
        "plan /dev/zero",
        "plan quick --rates /dev/zero",
        "bd --curve /dev/zero --anchor 1",
        "score POPE --data eyechart-mini --predictions {tmp_path}/large.xlsx",
        "adapter export {tmp_path}/adapter --out {tmp_path}/e --codec jpeg",
        "vlm ask {tmp_path}/in.png q --adapter {tmp_path}/adapter",
        "vlm ask {tmp_path}/in.png q --vlm eyechart-mini:device=3",
        "vlm ask {tmp_path}/in.png q --vlm eyechart-mini:device=[1]",
    ],
)
def test_a_file_without_end_and_a_value_of_a_wrong_kind_are_one_line(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(NESTED)
    with zipfile.ZipFile(tmp_path / "large.xlsx", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/sharedStrings.xml", b" " * (129 << 20))
    assert run_args([part.format(tmp_path=tmp_path) for part in arguments.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) <= 320
    assert "a bug" not in line


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|x", "'+cmd|x"),
        ("-- no --", "'-- no --"),
        ("@sum", "'@sum"),
        ("\t=1", "'\t=1"),
        ("-1.5", "-1.5"),
        ("+3", "+3"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_a_cell_of_a_csv_file_is_no_formula(text: str, cell: str) -> None:
    assert csv_text(text) == cell


def test_tables_and_records_as_csv_hold_no_formula(tmp_path: Path) -> None:
    from eyechart.analysis.render import render
    from eyechart.analysis.table import Entry, Table, TableRow

    row = TableRow(keys=("=HYPERLINK(1)",), entries=(Entry(value=-1.5),))
    table = Table(title="t", keys=("VLM",), column_kind="task", columns=("@x",), rows=(row,))
    _, cells = csv.reader(io.StringIO(render([table], "csv")))
    assert cells[1:4] == ["'=HYPERLINK(1)", "'@x", "-1.5"]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.blp", lambda: b"BLP2" + b"\0" * 20),
        ("b.blp", lambda: b"BLP1" + b"\xff" * 200),
        ("c.blp", lambda: b"BLP2" + b"\1\0\0\0\2\10\10\0" + b"\0\0\0\1" * 2 + b"\xff" * 2000),
    ],
)
def test_a_damaged_blp_image_is_one_line(
    name: str,
    make: Callable[[], bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_bytes(make())
    assert run_args(["vlm", "ask", str(tmp_path / name), "what?"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 2, "a": 3}}]'])
def test_a_key_twice_in_an_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="key 'a' occurs twice"):
        parse_json(text)
    assert parse_json('[{"a": 1}, {"a": 1}]') == [{"a": 1}, {"a": 1}]


def test_a_huge_json_file_is_not_read_completely(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(InputError, match=r"config\.json: more than 67,108,864 bytes, the limit"):
        read_json(path)


@pytest.mark.parametrize("name", ["config.json", "adapter_config.json", "levels.json"])
@pytest.mark.parametrize("text", ['{"model_type": "a", "model_type": "b"}', "[" * 100_000])
def test_odd_json_beside_weights_is_one_line(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    command = {
        "config.json": f"run --vlm {tmp_path} --tasks POPE --out {tmp_path}/out",
        "adapter_config.json": f"adapter export {tmp_path} --out {tmp_path}/out --codec jpeg",
        "levels.json": f"codec show elic:weights={tmp_path}",
    }[name]
    assert run_args(command.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert len(line) < 300


@pytest.mark.parametrize(
    "command",
    [
        "run --workers {HUGE} --out {OUT}",
        "run --decoded-gb 1e400 --out {OUT}",
        "run --codec-batch {HUGE} --out {OUT}",
        "run --batch {HUGE} --out {OUT}",
        "table bd {OUT} --seed -1",
        "table bd {OUT} --seed {HUGE}",
        "table bd {OUT} --samples {HUGE}",
        "runs compare {OUT} {OUT} --seed {HUGE}",
        "codec train elic {OUT} --out {OUT} --threads {HUGE}",
        "codec train elic {OUT} --out {OUT} --seed {HUGE}",
        "adapter train {OUT} --out {OUT} --seed {HUGE}",
        "codec show hevc:timeout_s=0",
        "codec show vvc:timeout_s=1e300",
        "codec show hm:timeout_s=-1",
    ],
)
def test_numbers_out_of_range_are_bad_input(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = "1" + "0" * 400
    arguments = command.format(HUGE=huge, OUT=tmp_path / "out").split()
    assert run_args(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "allowed" in line or "should be" in line
    assert len(line) <= 300
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_columns_of_spreadsheets_are_found(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "asked.csv"
    rows = [
        ("Image", " QUESTION", "Answer", "Note"),
        ("a.png", '"One, two; or three?"', "one", "x"),
    ]
    path.write_text("".join(f"{sign.join(row)}\n" for row in rows), "utf-8-sig")
    read = read_csv(path, ("image", "question"), 10_000, optional=("answer",))
    said = {"image": "a.png", "question": "One, two; or three?", "answer": "one", "Note": "x"}
    assert read == [(2, said)]
