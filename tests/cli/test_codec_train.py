"""`eyechart codec train`: from a folder of photographs to a codec's weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.cli import run_args
from eyechart.codecs.learned.plugins import ELIC_MINI
from eyechart.codecs.learned.weights import load_weights
from eyechart.testing.codecs import sample_image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        Image.fromarray(sample_image(70, 90, rng)).save(folder / f"{index}.png")
    return folder


def _train(photos: Path, out: Path, *more: str) -> int:
    small = ["--steps", "2", "--batch", "1", "--crop", "64", "--held-out", "1", "--threads", "1"]
    command = ["codec", "train", "elic-mini", str(photos), "--out", str(out), *small, *more]
    return run_args(command)


def test_it_writes_weights_and_a_card_and_continues(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _train(photos, out, "--lambda", "0.01") == 0
    assert "trained to step 2" in capsys.readouterr().out
    load_weights(ELIC_MINI.build(), out / "weights.safetensors", codec="elic-mini")
    card = (out / "README.md").read_text()
    assert "held out from photos" in card
    assert _train(photos, tmp_path / "next", "--lambda", "0.002", "--init", str(out)) == 0
    assert _train(photos, out, "--lambda", "0.002") == 2
    assert "was trained with lambda 0.01" in capsys.readouterr().err


def test_validation_images_are_cropped_to_what_the_network_takes(
    photos: Path, tmp_path: Path
) -> None:
    small = ["--steps", "1", "--batch", "1", "--crop", "64", "--held-out", "1", "--threads", "1"]
    out = tmp_path / "out"
    command = ["codec", "train", "tic-mini", str(photos), "--out", str(out), "--lambda", "0.01"]
    assert run_args([*command, *small]) == 0
    card = (out / "README.md").read_text()
    assert "of 4 image files, 1 of them held out)" in card
    assert "held out from photos" in card


def test_a_folder_with_other_files_stays_as_it_is(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "README.md").write_text("mine")
    assert _train(photos, out, "--lambda", "0.01") == 2
    assert "not empty and holds no training to continue" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("README.md", "mine")]


def test_bad_input_is_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    elic = ["elic-mini", str(photos), "--lambda", "1", "--held-out", "1", "--crop", "64"]
    for command, reason in (
        (["elic-mini", str(tmp_path / "none"), "--lambda", "1"], "does not exist"),
        (["elic-mini", str(tmp_path / "empty"), "--lambda", "1"], "holds no image"),
        (["elic-mini", str(photos), "--lambda", "0"], "allowed are numbers above 0"),
        (["elic-mini", str(photos), "--lambda", "1", "--crop", "100"], "multiples of 64"),
        (["jpeg", str(photos), "--lambda", "1"], "cannot be trained; allowed are elic"),
        ([*elic, "--init", str(tmp_path / "none")], "not readable"),
        ([*elic, "--init", str(next(photos.iterdir()))], "not readable"),
        ([*elic, "--device", "cuda:99"], "device 'cuda:99': "),
        ([*elic, "--device", "map"], "device 'map' is for VLMs"),
        ([*elic, "--device", "gpu"], "'gpu' is not one; allowed: auto, cpu"),
        ([*elic, "--device", "cpu,cpu,cpu"], "batch of 8 crops; allowed are multiples of the 3"),
        ([*elic, "--device", "cpu,cpu", "--vlm", "eyechart-mini"], "with a VLM is one device"),
    ):
        assert run_args(["codec", "train", *command, "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1
    assert not out.exists()
