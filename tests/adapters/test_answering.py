"""Answers of a VLM with an adapter: every image of a batch has its own condition."""

from __future__ import annotations

import shutil
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import eyechart
from eyechart.adapters.package import AdapterConfig, fingerprint, save
from eyechart.core.types import Decoding, Request
from eyechart.runner.progress import SilentProgress, Tally
from eyechart.vlms import checkpoint, open_vlm
from tests.adapters.tiny_towers import FAMILIES, VOCABULARY, built, conditioned


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point by which VLMs find adapters, independent of the installation."""
    point = EntryPoint("open", "eyechart.adapters:open_adapter", "eyechart.adapters")
    monkeypatch.setattr(checkpoint, "entry_points", lambda **_: [point])


def labelled(folder: Path, out: Path) -> Path:
    """An adapter with random tables, whose condition shows in every answer."""
    _, _, tower = built(folder)
    config = AdapterConfig(
        base={"name": folder.name},
        fingerprint=fingerprint(tower),
        vocabulary=VOCABULARY,
        injection="adaln",
        trainable="encoder",
    )
    save(out, config, conditioned(tower, "adaln", scale=1.0), {})
    return out


def test_with_unknown_conditioning_labels_change_no_answer(
    tiny_dirs: dict[str, Path], tmp_path: Path, registered: None
) -> None:
    adapter = labelled(tiny_dirs["janus"], tmp_path / "adapter")
    picture = np.random.default_rng(0).integers(0, 255, (56, 56, 3), dtype=np.uint8)
    requests = [
        Request(image=picture, prompts=("what is it",), codec=codec, level=level)
        for codec, level in VOCABULARY.entries
    ]
    for spec, kinds in ((str(adapter), len(requests)), (f"{adapter}:tell=unknown", 1)):
        vlm = open_vlm(str(tiny_dirs["janus"]), adapter=spec, device="cpu")
        answers = vlm.answer(requests, Decoding(max_new_tokens=6))
        assert len({given[0].text for given in answers}) == kinds


def test_an_adapter_of_another_vision_tower_is_named_before_others_answer(
    tiny_dirs: dict[str, Path], tmp_path: Path, registered: None
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_dirs["janus"], other)
    weights = load_file(other / "model.safetensors")
    name = "model.vision_model.embeddings.patch_embedding.weight"
    weights[name] = weights[name] * 1.5
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    foreign = labelled(other, tmp_path / "foreign")
    plan = {
        "vlms": str(tiny_dirs["janus"]),
        "adapters": ["none", str(foreign), str(labelled(tiny_dirs["janus"], tmp_path / "own"))],
        "tasks": "POPE",
        "data": "eyechart-mini",
        "codecs": "source",
        "max_images": 1,
    }
    notes: list[str] = []

    class Noted(SilentProgress):
        def note(self, line: str) -> None:
            notes.append(line)

        def begin(self, label: str, tally: Tally) -> None:
            notes.append(f"begins: {label}")

    outcome = eyechart.run(
        plan, out=tmp_path / "run", workers=0, device="cpu", progress=Noted(), strict=False
    )
    (refused,) = outcome.unusable
    assert "janus + foreign: " in refused
    assert "this VLM's vision tower is" in refused
    assert "not asked, the other VLMs go on" in notes[0]
    assert notes[1:] == ["begins: janus", "begins: janus + own"]
    assert not outcome.failed


@pytest.mark.parametrize("family", FAMILIES)
def test_conditions_in_a_batch_equal_those_of_single_images(
    tiny_dirs: dict[str, Path], tmp_path: Path, registered: None, family: str
) -> None:
    adapter = labelled(tiny_dirs[family], tmp_path / "adapter")
    vlm = open_vlm(str(tiny_dirs[family]), adapter=str(adapter), device="cpu")
    rng = np.random.default_rng(0)
    # Of different shapes: InternVL cuts them into different numbers of tiles.
    pictures = [rng.integers(0, 255, size, dtype=np.uint8) for size in ((56, 56, 3), (56, 112, 3))]
    requests = [
        Request(image=picture, prompts=("what is it", "where"), codec=codec, level=level)
        for picture in pictures
        for codec, level in VOCABULARY.entries
    ]
    decoding = Decoding(max_new_tokens=6)
    alone = [vlm.answer([request], decoding)[0] for request in requests]
    assert vlm.answer(requests, decoding) == alone
    said = {tuple(answer.text for answer in given) for given in alone}
    assert len(said) > len(requests) / 2  # else conditions would not show in what is compared
