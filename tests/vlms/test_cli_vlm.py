"""The command `eyechart vlm`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eyechart.cli import run_args
from eyechart.core.images import encode_png
from tests.vlms.asking import picture


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    path.write_bytes(encode_png(picture(112, 140)))
    return path


def ask(*arguments: str | Path) -> int:
    return run_args(["vlm", "ask", *map(str, arguments)])


def own_pixels(folder: Path) -> str:
    return f"qwen2_5_vl:model={folder},min_pixels=null,max_pixels=null"


def test_list_names_all_vlms_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "140")
    cached = tmp_path / "models--OpenGVLab--InternVL3-2B-hf" / "snapshots" / "abc"
    cached.mkdir(parents=True)
    (cached / "config.json").write_text("{}")
    (cached / "model.safetensors").write_bytes(b"")
    assert run_args(["vlm", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "hf download Qwen/Qwen2.5-VL-3B-Instruct" in lines["qwen2.5-vl-3b"]
    assert lines["internvl3-2b"].rstrip().endswith("ready")
    assert "janus-pro-7b" in lines


def test_ask_prints_the_answers_alone_on_stdout(
    image: Path, qwen_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--vlm", own_pixels(qwen_dir), "--max-new-tokens", "3", "--device", "cpu")
    assert ask(image, "Is it red?", *options) == 0
    first = capsys.readouterr().out
    assert ask(image, "Is it red?", "Is it red?", *options) == 0
    assert capsys.readouterr().out == first * 2


def test_ask_through_a_codec_says_the_rate(
    image: Path, qwen_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--vlm", own_pixels(qwen_dir), "--max-new-tokens", "3", "--device", "cpu")
    assert ask(image, "Is it red?", *options, "--codec", "jpeg", "--level", "1") == 0
    assert "bpp" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--level", "1"), "level 1 needs a codec"),
        (("--codec", "jpeg"), "codec jpeg: no level given; allowed: "),
        (("--codec", "jpeg", "--level", "101"), "no level '101'"),
        (("--codec", "jpg"), "unknown codec 'jpg'"),
        (("--vlm", "qwen-3b"), "unknown vlm 'qwen-3b'"),
        (("--vlm", "./nowhere"), "'./nowhere' does not exist"),
    ],
)
def test_bad_input_is_one_line(
    image: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(image, "Is it red?", *arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.out == ""


def test_a_damaged_image_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(encode_png(np.zeros((40, 40, 3), np.uint8))[:60])
    assert ask(broken, "Is it red?") == 2
    assert "not a readable image" in capsys.readouterr().err
