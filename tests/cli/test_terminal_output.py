"""What the terminal shows: text of users as it is, no padding in pipes, what a codec lacks."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eyechart.analysis.table import Entry, Table, TableRow
from eyechart.cli import run_args
from eyechart.cli.estimate_view import print_estimate
from eyechart.cli.table_view import show
from eyechart.core.images import encode_png
from eyechart.runner.estimate import CodecEstimate, Estimate, ModelEstimate, TaskEstimate
from tests.tasks.tsv_files import png_base64, write_tsv
from tests.vlms.chat_server import completion, serve

MARKUP = "[red]x[/] [/] :eyes: [link=a]"  # rich would colour it, raise an error, draw eyes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    row = {
        "index": 1,
        "image": png_base64(1),
        "question": f"{MARKUP}\x1b[2J",  # the last part would clear the screen
        "answer": "Yes",
        "category": f"random {MARKUP}",
    }
    write_tsv(tmp_path / "POPE.tsv", [row])
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose path holds markup."""
    path = tmp_path / "[red]x[" / "] :eyes:"
    path.mkdir(parents=True)
    return path


def plain_console() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=200, markup=False, emoji=False, highlight=False), out


def test_a_task_is_shown_as_it_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["task", "show", "POPE", "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    assert f"│ {MARKUP}\\x1b[2J" in shown
    assert f"random {MARKUP}  " in shown


def test_paths_of_an_export_are_shown_as_they_are(
    data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", "tsv", "POPE", "--codecs", "source", "--data", str(data)]
    assert run_args([*command, "--workers", "0", "--out", str(folder)]) == 0
    assert f".tsv files in {folder};" in capsys.readouterr().out


def test_paths_of_tasks_are_shown_as_they_are(
    data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "POPE.tsv").rename(folder / "POPE.tsv")
    assert run_args(["task", "list", "--data", str(folder)]) == 0
    assert f"{folder} (data)" in capsys.readouterr().out


def test_images_of_a_bench_are_named_as_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "good.png").write_bytes(encode_png(np.full((32, 48, 3), 90, np.uint8)))
    (folder / "[b]bad.png").write_bytes(b"nothing")
    assert run_args(["codec", "bench", str(folder), "--codec", "jpeg", "--metrics", "psnr"]) == 0
    shown = capsys.readouterr()
    assert "[b]bad.png: not a readable" in shown.err
    assert f"{folder}: 1 of 2 images left out" in shown.err


def test_adapters_are_shown_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from eyechart.cli.adapter_view import Bar, print_list

    with Bar(1) as bar:
        bar.checked(3, [MARKUP], 0)
    assert MARKUP in capsys.readouterr().err
    print_list([], folder)
    assert f"no adapters in {folder};" in capsys.readouterr().out
    (folder / "adapter_config.json").write_text("{}")
    assert run_args(["adapter", "list", str(folder)]) == 0
    assert f"{folder / 'adapter_config.json'}: " in capsys.readouterr().out


def test_tables_and_estimates_are_shown_as_they_are() -> None:
    console, out = plain_console()
    rows = (TableRow(keys=(f"vlm {MARKUP}", f"task {MARKUP}"), entries=(Entry(value=1.0),)),)
    table = Table(
        title=f"title {MARKUP}",
        keys=("VLM", "task"),
        column_kind="codec",
        columns=(f"codec {MARKUP}",),
        rows=rows,
        legend=f"legend {MARKUP}",
    )
    show([table], console)
    for name in ("vlm", "task", "title", "legend"):
        assert f"{name} {MARKUP}" in out.getvalue()
    codec = CodecEstimate(
        name=f"codec {MARKUP}", levels=1, code_s=None, payload_bytes=None, note=f"note {MARKUP}"
    )
    task = TaskEstimate(name=f"task {MARKUP}", questions=1, images=1, note="counted", pixels=1)
    model = ModelEstimate(name=f"vlm {MARKUP}", rate=None, usd=None)
    found = Estimate(models=(model,), tasks=(task,), codecs=(codec,), image_px=(1, 1))
    console, out = plain_console()
    print_estimate(f"title {MARKUP}", found, 1, console)
    for name in ("vlm", "task", "codec", "note", "title"):
        assert f"{name} {MARKUP}" in out.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60])
def test_every_block_of_columns_names_its_group(width: int) -> None:
    out = io.StringIO()
    table = Table(
        title="title",
        keys=("VLM", "task"),
        column_kind="codec",
        columns=tuple(f"codec {place}" for place in range(9)),
        groups=("learned",) * 9,
        rows=(TableRow(keys=("v", "t"), entries=tuple(Entry(value=1.0) for _ in range(9))),),
    )
    show([table], Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    blocks = sum(line.startswith("  task") for line in lines)
    assert out.getvalue().count("learned") == blocks > 1
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("command", ["codec list", "codec show jpeg", "task list"])
def test_lines_in_a_pipe_end_with_their_text(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(command.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


def test_a_codec_without_levels_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("constriction")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert run_args(["codec", "show", "elic"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "no levels" in line]
    assert "eyechart codec add elic" in line


def test_what_depends_on_the_device_is_said_beside_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("constriction")
    (tmp_path / "a.png").write_bytes(encode_png(np.full((32, 48, 3), 90, np.uint8)))
    out = tmp_path / "bench.json"
    command = ["codec", "bench", str(tmp_path), "--codec", "jpeg,elic-mini", "--metrics", "psnr"]
    assert run_args([*command, "--json", str(out)]) == 0
    assert "elic-mini: reproducible per device" in capsys.readouterr().out
    assert json.loads(out.read_text())["reproducible"] == {
        "jpeg": "bitwise",
        "elic-mini": "per device",
    }


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_terminals_that_are_not_utf_8_get_similar_signs(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(encode_png(np.zeros((16, 16, 3), np.uint8)))
    for command in (
        "plan --tasks POPE --codecs jpeg --vlm eyechart-mini",
        "run -h",
        "codec bench photos --codec jpeg,webp",
        "codec encode photos/a.png \u65e5\u672c.bin --codec source",
        "task show POPE",
        "doctor",
    ):
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", out)
        code = run_args(command.split())
        out.seek(0)
        printed = out.read()
        assert code == 0, f"{command}: {printed}"
        assert printed


def test_a_file_name_that_is_no_text_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, stream = tmp_path / "a.png", tmp_path / os.fsdecode(b"b\xe9.bin")
    photo.write_bytes(encode_png(np.zeros((16, 16, 3), np.uint8)))
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    assert run_args(["codec", "encode", str(photo), str(stream), "--codec", "source"]) == 0
    out.seek(0)
    assert "b\\udce9.bin: " in out.read()


@pytest.mark.parametrize("typed", ["caf\udcc3\udca9", "\ud800 \udcff"])
def test_a_question_of_another_locale_is_asked(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(encode_png(np.zeros((16, 16, 3), np.uint8)))
    with serve(lambda _: completion("yes")) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
        vlm = f"openai:model=m,base_url={server.url}"
        assert run_args(["vlm", "ask", str(photo), typed, "--vlm", vlm]) == 0
    asked = server.asked[0]["messages"][0]["content"][1]["text"]
    assert ("caf\u00e9" if typed.startswith("caf") else "? ?") in asked
