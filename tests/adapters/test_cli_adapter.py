"""`eyechart adapter` as a user types it."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyechart.cli import run_args
from eyechart.core.types import Decoding, Request
from eyechart.vlms import checkpoint, open_vlm


@pytest.fixture(scope="module")
def trained(
    tiny_dirs: dict[str, Path], image_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An adapter made by the command line."""
    out = tmp_path_factory.mktemp("adapters") / "jpeg"
    code = run_args(arguments(image_folder, tiny_dirs, out))
    assert code == 0
    return out


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point by which VLMs find adapters, whatever is installed."""
    point = EntryPoint("open", "eyechart.adapters:open_adapter", "eyechart.adapters")
    monkeypatch.setattr(checkpoint, "entry_points", lambda **_: [point])


def arguments(images: Path, tiny_dirs: dict[str, Path], out: Path, *more: str) -> list[str]:
    return [
        *("adapter", "train", str(images), "--vlm", str(tiny_dirs["janus"]), "--out", str(out)),
        *("--codecs", "jpeg:levels=[1,6]", "--steps", "4", "--images-a-step", "2"),
        *("--validation-images", "2", "--float32", *more),
    ]


def test_training_writes_an_adapter_and_shows_what_it_removed(
    trained: Path,
    tiny_dirs: dict[str, Path],
    image_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "log.jsonl"} <= names
    # The same command again has nothing left to train.
    assert run_args(arguments(image_folder, tiny_dirs, trained)) == 0
    out = capsys.readouterr().out
    assert "jpeg/1" in out
    assert "removed" in out


def test_the_adapter_answers_by_the_condition_of_each_picture(
    trained: Path, tiny_dirs: dict[str, Path], registered: None
) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    requests = [
        Request(image=picture, prompts=("what is it",), codec="jpeg", level="1"),
        Request(image=picture, prompts=("what is it", "which colour"), codec="source"),
    ]
    vlm = open_vlm(str(tiny_dirs["janus"]), adapter=str(trained), device="cpu")
    answers = vlm.answer(requests, Decoding(max_new_tokens=4))
    assert [len(one) for one in answers] == [1, 2]
    assert vlm.options["adapter"]
    assert "adapter" not in open_vlm(str(tiny_dirs["janus"])).options


def test_list_shows_adapters_and_damaged_ones(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["adapter", "list", str(trained.parent)]) == 0
    assert "adaln" in capsys.readouterr().out
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "adapter_config.json").write_text("{")
    assert run_args(["adapter", "list", str(tmp_path)]) == 0
    assert "damaged" in capsys.readouterr().out


def test_export_writes_a_stock_directory(
    trained: Path, tiny_dirs: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "stock"
    asked = ["adapter", "export", str(trained), "--codec", "jpeg", "--level", "1"]
    assert run_args([*asked, "--vlm", str(tiny_dirs["janus"]), "--out", str(out)]) == 0
    assert open_vlm(str(out)).name == "stock"
    blind = tmp_path / "blind"
    assert (
        run_args(["adapter", "export", str(trained), "--tell", "blind", "--out", str(blind)]) == 0
    )
    assert (blind / "adapter_model.safetensors").is_file()


def test_bad_input_is_one_line_and_exit_code_2(
    trained: Path,
    tiny_dirs: dict[str, Path],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "out"
    qwen = str(tiny_dirs["qwen2_5_vl"])
    cases = [
        (arguments(empty, tiny_dirs, out), "no pictures"),
        (arguments(tmp_path / "nowhere", tiny_dirs, out), "does not exist"),
        (arguments(image_folder, tiny_dirs, out, "--codecs", "jpg"), "unknown codec 'jpg'"),
        (arguments(image_folder, tiny_dirs, out, "--injection", "film"), "'film' is not one of"),
        (arguments(image_folder, tiny_dirs, out, "--vlm", "openai"), "cannot be trained"),
        (arguments(image_folder, tiny_dirs, out, "--pretend", "hm"), "UNSEEN=KNOWN"),
        (arguments(image_folder, tiny_dirs, out, "--tell", "x"), "tell='x'"),
        (["adapter", "export", str(trained), "--codec", "vvc", "--out", str(out)], "vocabulary"),
        (["adapter", "export", str(trained), "--out", str(out)], "give --codec"),
        (
            [
                *("adapter", "export", str(trained), "--codec", "jpeg", "--level", "1"),
                *("--vlm", qwen, "--out", str(out)),
            ],
            "made for janus",
        ),
    ]
    for typed, message in cases:
        assert run_args(typed) == 2, typed
        error = capsys.readouterr().err
        assert message in error.splitlines()[-1], typed
    assert not (out / "adapter_config.json").exists()


def test_a_broken_picture_names_its_file(
    tiny_dirs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        Image.new("RGB", (40, 40)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"\x89PNG cut")
    assert run_args(arguments(tmp_path, tiny_dirs, tmp_path / "out")) == 2
    assert "3.png: not a readable picture" in capsys.readouterr().err
