"""`eyechart export tsv`: the same rows, other images, nothing half-written."""

from __future__ import annotations

import base64
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from eyechart.cli import run_args
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.errors import CodecError
from eyechart.core.images import decode_image, encode_png, read_image
from eyechart.core.types import Bitstream, Level, Rgb8
from eyechart.tasks import open_tasks

ODD = 'Is "it"\tred,\r or\nnot?'


def picture(seed: int) -> Rgb8:
    return np.random.default_rng(seed).integers(0, 256, (12, 20 + seed, 3), dtype=np.uint8)


def cell(seed: int) -> str:
    return base64.b64encode(encode_png(picture(seed))).decode()


def write_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 26)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """POPE.tsv: three images, one referred to before it comes, one written out twice."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [
        ["index", "question", "answer", "category", "image", "note"],
        ["7", ODD, "Yes", "random", "9", "None"],
        ["8", "Is it blue?", "No", "random,popular", cell(1), ""],
        ["9", "Is it wide?", "Yes", "popular", cell(2), "NA"],
        ["10", "Is it new?", "No", "random", cell(1), "x"],
        ["11", "Is it old?", "No", "random", cell(3), "x"],
    ]
    write_rows(folder / "POPE.tsv", rows)
    return folder


def export(data: Path, out: Path, *more: str) -> int:
    return run_args(
        ["export", "tsv", "POPE", "--data", str(data), "--out", str(out), "--workers", "0", *more]
    )


def jpeg(seed: int, level: str) -> tuple[Rgb8, float]:
    """What the codec makes of an image, without the exporter."""
    codec = JpegCodec()
    chosen = next(one for one in codec.levels if one.name == level)
    bitstream = codec.encode(picture(seed), chosen)
    return codec.decode(bitstream), bitstream.bpp


def test_a_copy_has_the_same_rows_and_each_decoded_image_once(data: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "table.json"
    assert export(data, out, "--codecs", "jpeg", "--levels", "1,6", "--json", str(table)) == 0
    assert sorted(path.name for path in out.glob("*.tsv")) == [
        "POPE_jpeg_1.tsv",
        "POPE_jpeg_6.tsv",
    ]
    rows = read_rows(out / "POPE_jpeg_1.tsv")
    assert [row["index"] for row in rows] == ["7", "8", "9", "10", "11"]
    assert [row["question"] for row in rows][:2] == [ODD, "Is it blue?"]
    assert [row["note"] for row in rows] == ["None", "", "NA", "x", "x"]
    for row, seed in ((0, 2), (1, 1), (4, 3)):
        decoded = decode_image(base64.b64decode(rows[row]["image"]))
        assert np.array_equal(decoded, jpeg(seed, "1")[0])
    assert (rows[2]["image"], rows[3]["image"]) == ("7", "8")
    # One name an image, and a lossless one: VLMEvalKit saves images by this column.
    assert [row["image_path"] for row in rows] == ["7.png", "8.png", "7.png", "8.png", "11.png"]
    copies = json.loads(table.read_text())["copies"]
    assert copies[0]["rate_bpp"] == pytest.approx(np.mean([jpeg(n, "1")[1] for n in (1, 2, 3)]))
    assert [(copy["rows"], copy["images"]) for copy in copies] == [(5, 3), (5, 3)]


def test_eyechart_itself_reads_a_copy_as_the_same_task(data: Path, tmp_path: Path) -> None:
    for paths in ((), ("--paths",)):
        assert export(data, tmp_path / "out", "--codecs", "jpeg", "--levels", "1", *paths) == 0
        (before,) = open_tasks(["POPE"], str(data))
        (after,) = open_tasks(["POPE"], str(tmp_path / "out" / "POPE_jpeg_1.tsv"))
        for old, new in zip(before.questions(), after.questions(), strict=True):
            assert (old.id, old.text, old.answer) == (new.id, new.text, new.answer)
            seed = {"7": 2, "8": 1, "9": 2, "10": 1, "11": 3}[new.id]
            assert np.array_equal(after.image(new.image), jpeg(seed, "1")[0])


def test_copies_under_the_original_name_have_a_folder_each(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--codecs", "jpeg", "--levels", "1,6", "--original-names")
    assert export(data, out, *options) == 0
    assert sorted(path.relative_to(out) for path in out.glob("*/POPE.tsv")) == [
        Path("POPE_jpeg_1/POPE.tsv"),
        Path("POPE_jpeg_6/POPE.tsv"),
    ]
    assert not list(out.glob("*.tsv"))
    (copy,) = open_tasks(["POPE"], str(out / "POPE_jpeg_6"))
    assert np.array_equal(copy.image(copy.questions()[0].image), jpeg(2, "6")[0])


def test_paths_name_image_files(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(data, out, "--codecs", "jpeg", "--levels", "1", "--paths") == 0
    rows = read_rows(out / "POPE_jpeg_1.tsv")
    assert "image" not in rows[0]
    folder = out / "images" / "POPE_jpeg_1"
    assert {row["image_path"] for row in rows} == {str(path) for path in folder.iterdir()}
    assert rows[0]["image_path"] == rows[2]["image_path"] == str(folder / "7.png")
    assert np.array_equal(read_image(folder / "7.png"), jpeg(2, "1")[0])


def test_a_familys_prompt_takes_the_place_of_what_it_was_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "tsv", "SEEDBench:max_images=1", "--data", "eyechart-mini"]
    out = tmp_path / "out"
    more = ["--codecs", "source", "--prompts", "internvl3", "--out", str(out), "--workers", "0"]
    assert run_args([*arguments, *more]) == 0
    (path,) = out.glob("*.tsv")
    assert path.name.startswith("SEEDBench_IMG-max_images-1_source_")
    rows = read_rows(path)
    (task,) = open_tasks(["SEEDBench:max_images=1"], "eyechart-mini")
    wanted = [task.prompt(question, "internvl3") for question in task.questions()]
    assert [row["question"] for row in rows] == wanted
    assert not {"A", "B", "hint"} & rows[0].keys()
    assert "score the answers with: eyechart score SEEDBench" in capsys.readouterr().out


def test_codecs_with_weights_get_their_device_and_batch(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    codec = ["--codecs", f"fake-neural:log={log}"]
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    device = ["--codec-device", "mps", "--codec-batch", "2"]
    assert export(data, tmp_path / "out", *codec, *device) == 0
    made = [line.split() for line in log.read_text().splitlines()]
    assert {where for *_, where in made} == {"mps"}
    assert [count for what, count, _ in made if what == "encode"] == ["2", "1"]


def test_captions_get_the_question_that_their_file_lacks(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["export", "tsv", "COCO-Caption:max_images=2", "--data", "eyechart-mini"]
    assert run_args([*arguments, "--codecs", "source", "-o", str(out), "--workers", "0"]) == 0
    (path,) = out.glob("COCO_VAL*.tsv")
    assert all(row["question"].strip() for row in read_rows(path))


def test_the_same_command_again_takes_what_was_compressed_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert export(data, out, "--codecs", "jpeg", "--levels", "1") == 0
    first = (out / "POPE_jpeg_1.tsv").read_bytes()

    def refuse(self: JpegCodec, rgb8: Rgb8, level: Level) -> Bitstream:
        raise AssertionError("compressed twice")

    monkeypatch.setattr(JpegCodec, "encode", refuse)
    assert export(data, out, "--codecs", "jpeg", "--levels", "1") == 0
    assert (out / "POPE_jpeg_1.tsv").read_bytes() == first


def test_an_image_that_cannot_be_compressed_fails_only_its_copy(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = JpegCodec.encode

    def fails(self: JpegCodec, rgb8: Rgb8, level: Level) -> Bitstream:
        if level.name == "1" and rgb8.shape[1] == 23:
            raise CodecError("cannot", codec="jpeg")
        return whole(self, rgb8, level)

    monkeypatch.setattr(JpegCodec, "encode", fails)
    out = tmp_path / "out"
    assert export(data, out, "--codecs", "jpeg", "--levels", "1,6") == 1
    assert [path.name for path in out.iterdir() if path.suffix] == ["POPE_jpeg_6.tsv"]
    printed = capsys.readouterr()
    assert printed.err == "eyechart: POPE_jpeg_1.tsv not written: jpeg level 1 image 11: cannot\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--codecs", "jpg"], "did you mean jpeg"),
        (["--codecs", "jpeg", "--levels", "10"], "no level '10'; allowed: 1"),
        (["--codecs", ","], "no codec named"),
        (["--codecs", "jpeg,jpeg"], "would be written twice"),
        (["--codecs", "jpeg", "--prompts", "gpt"], "prompts 'gpt': allowed: default, "),
        (["--codecs", "jpeg", "--json", "/nowhere/x.json"], "there is no folder /nowhere"),
        (["--codecs", "jpeg", "--run", "nowhere"], "nowhere: no eyechart run here"),
        (["--codecs", "fake-neural:log=l", "--codec-device", "tpu"], "device 'tpu': 'tpu' is not"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert export(data, tmp_path / "out", *arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_image_ends_the_export_and_leaves_no_copy(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data / "POPE.tsv"
    path.write_text(path.read_text().replace(cell(3), cell(3)[:80]))
    assert export(data, tmp_path / "out", "--codecs", "jpeg", "--levels", "1") == 2
    assert "POPE image 11: not a readable image" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".eyechart"]


def test_a_folder_that_cannot_be_made_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert export(data, tmp_path / "file", "--codecs", "jpeg") == 2
    assert "cannot be written" in capsys.readouterr().err


SLOW = """
import sys, time
from eyechart.cli import run_args
from eyechart.codecs.jpeg import JpegCodec
fast = JpegCodec.encode
def encode(self, rgb8, level):
    if rgb8.shape[1] == 23:
        print("at the last image", flush=True)
        time.sleep(600)
    return fast(self, rgb8, level)
JpegCodec.encode = encode
run_args(sys.argv[1:])
"""


def test_a_kill_leaves_nothing_that_looks_whole_and_the_next_run_tidies_up(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["export", "tsv", "POPE", "--data", str(data), "--out", str(out)]
    more = ["--codecs", "jpeg", "--levels", "1", "--workers", "0"]
    command = [sys.executable, "-c", SLOW, *arguments, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "at the last image\n"
        os.kill(child.pid, signal.SIGKILL)
    assert list(out.glob("*.tsv")) == []
    assert len(list(out.glob(".POPE_jpeg_1.tsv.*.tmp"))) == 1
    assert export(data, out, "--codecs", "jpeg", "--levels", "1") == 0
    assert sorted(path.name for path in out.iterdir()) == [".eyechart", "POPE_jpeg_1.tsv"]
