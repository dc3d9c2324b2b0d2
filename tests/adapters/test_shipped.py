"""The shipped adapter fits the shipped VLM, and reduces the feature error on compressed images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eyechart.adapters import open_adapter, read_config
from eyechart.adapters.answers import compare
from eyechart.adapters.base import open_base
from eyechart.adapters.towers import tower_of
from eyechart.cli import run_args
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.types import Decoding, Request, Rgb8
from eyechart.tasks import open_tasks
from eyechart.tasks.sampling import by_image
from eyechart.vlms import open_vlm
from eyechart.vlms.adapter_identity import CONFIG
from eyechart.zoo import weights_dir

MAX_BYTES = 3_000_000
MINI = ("elic-mini", "tic-mini", "transtic-mini", "illm-mini", "rdeic-mini")


def test_it_is_small_and_names_its_codecs() -> None:
    folder = weights_dir("universal")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MAX_BYTES
    trained = ("jpeg", "hevc", "vvc", *MINI)
    assert read_config(folder).trained_codecs == ("source", *trained)
    assert tuple(codec.name for codec in read_config(folder).codecs) == trained


def test_it_loads_as_if_saved_before_codecs_were_noted(tmp_path: Path) -> None:
    old = shutil.copytree(weights_dir("universal"), tmp_path / "old")
    config = json.loads((old / CONFIG).read_text())
    del config["codecs"]
    (old / CONFIG).write_text(json.dumps(config))
    assert read_config(old).codecs == ()
    assert read_config(old).trained_codecs == read_config(weights_dir("universal")).trained_codecs


def test_its_name_is_accepted_instead_of_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "copy"
    export = ["adapter", "export", "universal", "--conditioning", "labelled", "--out", str(out)]
    assert run_args(export) == 0
    assert read_config(out).conditioning == "labelled"


def test_one_run_compares_two_conditionings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "--adapter", "universal,universal:conditioning=labelled", "--tasks", "POPE"]
    few = ["--codecs", "jpeg:levels=[1]", "--max-images", "1", "--workers", "0", "--no-report"]
    assert run_args([*run, *few, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert run_args(["table", "scores", str(tmp_path), "--format", "csv"]) == 0
    rows = capsys.readouterr().out
    assert "eyechart-mini-s + universal," in rows
    assert "eyechart-mini-s + universal:conditioning=labelled," in rows
    assert run_args([*run[:2], "universal:conditioning=loudly", *few, "--out", str(tmp_path)]) == 2
    assert "conditioning='loudly' is not one of" in capsys.readouterr().err


def test_it_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["adapter", "list"]) == 0
    assert "universal" in capsys.readouterr().out


def test_features_of_compressed_images_are_closer_to_uncompressed_ones() -> None:
    (task,) = open_tasks(["POPE"])
    clean = [task.image(key) for key, _ in by_image(task.questions(), 4)]
    codec = JpegCodec()
    compressed = [codec.decode(codec.encode(rgb8, codec.levels[0])) for rgb8 in clean]
    vlm = open_base("eyechart-mini-s")
    backbone, plain = vlm.build()
    _, adapted = vlm.build()
    adapter = open_adapter("universal")
    adapter.attach(adapted)
    adapter.set_conditions([("jpeg", codec.levels[0].name)])

    def features(model: Any, rgb8: Rgb8) -> torch.Tensor:
        with torch.no_grad():
            return tower_of(model).features(dict(backbone.prepare(rgb8).inputs))

    wanted = [features(plain, rgb8) for rgb8 in clean]
    variance = torch.cat(wanted).var(0).mean()

    def errors(model: Any, pictures: list[Rgb8]) -> np.ndarray[Any, np.dtype[np.float64]]:
        pairs = zip(pictures, wanted, strict=True)
        found = [(features(model, rgb8) - goal).square().mean() for rgb8, goal in pairs]
        return np.array([float(error / variance) for error in found])

    without, with_adapter = errors(plain, compressed), errors(adapted, compressed)
    assert (with_adapter < 0.85 * without).all()
    assert with_adapter.mean() < 0.6 * without.mean()
    # The error on uncompressed images is small compared with the reduction.
    assert errors(adapted, clean).mean() < 0.1 * (without - with_adapter).mean()


def test_answers_on_strongly_compressed_images_get_better() -> None:
    tasks = open_tasks(["POPE"], "eyechart-mini")
    plain, adapted = open_vlm("eyechart-mini-s"), open_vlm("eyechart-mini-s", adapter="universal")
    rows = list(compare(plain, adapted, tasks, [JpegCodec(levels=[1])], images=20))
    assert [row.condition for row in rows] == ["source/lossless", "jpeg/1"]
    uncompressed, compressed = rows
    assert compressed.without < compressed.with_adapter
    assert abs(uncompressed.with_adapter - uncompressed.without) < 3


def test_it_answers_for_a_codec_that_it_was_not_trained_on() -> None:
    (task,) = open_tasks(["POPE"], "eyechart-mini")
    questions = task.questions()[:4]
    vlm = open_vlm("eyechart-mini-s", adapter="universal")
    request = Request(
        image=np.asarray(task.image(questions[0].image)),
        prompts=tuple(task.prompt(question, vlm.family) for question in questions),
        codec="webp",
        level="0",
    )
    ((*answers,),) = vlm.answer([request], Decoding(max_new_tokens=8))
    assert all(task.score(q, a.text).parsed for q, a in zip(questions, answers, strict=True))
