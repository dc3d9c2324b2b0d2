"""Answers of a VLM with an adapter: every image of a batch has its own condition."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from eyechart.adapters.package import AdapterConfig, fingerprint, save
from eyechart.core.types import Decoding, Request
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
