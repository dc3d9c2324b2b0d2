"""Training on several devices: here two processes on a CPU."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from datetime import timedelta
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from safetensors.torch import load_file

import eyechart
from eyechart.codecs.learned import parallel
from eyechart.core.errors import InputError
from eyechart.testing.codecs import sample_image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(sample_image(80, 96, rng)).save(folder / f"{number}.png")
    return folder


def train(photos: Path, out: Path, steps: int, device: str, batch: int = 2) -> Path:
    return eyechart.train_codec(
        "elic-mini",
        photos,
        lmbda=0.01,
        out=out,
        steps=steps,
        batch=batch,
        crop_px=64,
        held_out=1,
        device=device,
    )


@pytest.mark.slow
def test_two_processes_continue_exactly_and_each_adds_its_share(
    photos: Path, tmp_path: Path
) -> None:
    whole = load_file(train(photos, tmp_path / "whole", 3, "cpu,cpu"))
    train(photos, tmp_path / "parts", 2, "cpu,cpu")
    parts = load_file(train(photos, tmp_path / "parts", 3, "cpu,cpu"))
    assert all(np.array_equal(whole[key], parts[key]) for key in whole)
    alone = load_file(train(photos, tmp_path / "alone", 3, "cpu"))
    assert any(not np.array_equal(whole[key], alone[key]) for key in whole)
    with pytest.raises(InputError, match="was trained with processes 2"):
        train(photos, tmp_path / "whole", 4, "cpu")


@pytest.mark.slow
def test_ctrl_c_does_not_end_the_other_process_before_it_has_joined(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    join, ended = parallel._join, []

    def interrupted(devices: Sequence[str], index: int, meeting: str) -> None:
        for other in active_children():
            assert other.pid is not None
            os.kill(other.pid, signal.SIGINT)
            ended.append(other)
        join(devices, index, meeting)  # without the other, until the timeout

    monkeypatch.setattr(parallel, "_TIMEOUT", timedelta(seconds=60))
    monkeypatch.setattr(parallel, "_join", interrupted)
    assert train(photos, tmp_path / "out", 1, "cpu,cpu").is_file()
    assert len(ended) == 1


def test_the_batch_is_a_multiple_of_the_devices(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch of 3 crops; allowed are multiples of the 2 dev"):
        train(photos, tmp_path / "out", 1, "cpu,cpu", batch=3)
    assert not (tmp_path / "out").exists()
