"""Adapters on disk: round trips, and refusal of files that do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import Linear

import eyechart.adapters as adapters
from eyechart.adapters.package import (
    AdapterConfig,
    fingerprint,
    open_adapter,
    save,
    with_conditioning,
)
from eyechart.adapters.trainable import Lora, apply_changes, changes, make_trainable
from eyechart.core.errors import InputError
from eyechart.vlms.adapter_identity import CONFIG, WEIGHTS
from tests.adapters.tiny_towers import VOCABULARY, built, conditioned, pictures

JPEG = ("jpeg", "1")


@pytest.fixture
def saved(tiny_dirs: dict[str, Path], tmp_path: Path) -> Path:
    """An adapter for the tiny Qwen with random tables and changed weights."""
    _, _, tower = built(tiny_dirs["qwen2_5_vl"])
    base = {name: tensor.clone() for name, tensor in tower.module.state_dict().items()}
    mark = fingerprint(tower)
    conditioner = conditioned(tower, "adaln", scale=0.2)
    with torch.no_grad():
        for parameter in tower.module.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.manual_seed(1))
    config = AdapterConfig(
        base={"name": "tiny"},
        fingerprint=mark,
        vocabulary=VOCABULARY,
        injection="adaln",
        trainable="encoder",
    )
    save(tmp_path / "saved", config, conditioner, changes(tower, base))
    return tmp_path / "saved"


def change_config(folder: Path, **fields: Any) -> None:
    value = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**value, **fields}))


def test_a_loaded_adapter_does_what_the_trained_one_did(
    tiny_dirs: dict[str, Path], saved: Path
) -> None:
    backbone, model, tower = built(tiny_dirs["qwen2_5_vl"])
    inputs = pictures(backbone)
    with torch.no_grad():
        plain = tower.features(inputs)
        adapter = adapters.load(saved, model)
        adapter.set_conditions([JPEG])
        jpeg = tower.features(inputs)
        adapter.set_conditions([("vvc", "53")])
        assert (jpeg - tower.features(inputs)).abs().max() > 1e-3
    assert (jpeg - plain).abs().max() > 1e-3
    assert adapter.config.trained_codecs == ("source", "jpeg", "vvc")


def test_differences_lose_little_in_bfloat16(tiny_dirs: dict[str, Path]) -> None:
    _, _, tower = built(tiny_dirs["janus"])
    base = {name: tensor.clone() for name, tensor in tower.module.state_dict().items()}
    with torch.no_grad():
        for parameter in tower.module.parameters():
            parameter += 0.01 * parameter.std().nan_to_num() * torch.randn(parameter.shape)
    wanted = {name: tensor.clone() for name, tensor in tower.module.state_dict().items()}
    kept = changes(tower, base)
    tower.module.load_state_dict(base)
    apply_changes(tower, kept)
    for name, tensor in tower.module.state_dict().items():
        error = (tensor - wanted[name]).norm()
        rounded = (wanted[name].bfloat16().float() - wanted[name]).norm()
        assert error <= 0.1 * rounded + 1e-7


def test_conditioning_is_an_option_of_the_adapter(saved: Path) -> None:
    assert open_adapter(saved).config.conditioning == "labelled"
    for typed in ("conditioning=estimated", "tell=blind"):
        assert open_adapter(f"{saved}:{typed}").config.conditioning == "estimated"
    with pytest.raises(InputError, match="conditioning='softly' is not one of"):
        open_adapter(f"{saved}:conditioning=softly")
    with pytest.raises(InputError, match="unknown option 'volume'; allowed: conditioning"):
        open_adapter(f"{saved}:volume=3")


def test_another_base_is_refused_and_unchanged(tiny_dirs: dict[str, Path], saved: Path) -> None:
    backbone, model, tower = built(tiny_dirs["qwen2_5_vl"])
    with torch.no_grad():
        next(tower.module.parameters()).mul_(1.5)
    inputs = pictures(backbone)
    with torch.no_grad():
        plain = tower.features(inputs)
        with pytest.raises(InputError, match=r"made for tiny .*this VLM's vision tower is"):
            adapters.load(saved, model)
        assert torch.equal(plain, tower.features(inputs))


def test_the_same_base_in_bfloat16_is_the_same_base(tiny_dirs: dict[str, Path]) -> None:
    towers = [built(tiny_dirs["janus"], dtype)[2] for dtype in (torch.float32, torch.bfloat16)]
    assert fingerprint(towers[0]) == fingerprint(towers[1])


def test_another_vocabulary_is_refused(tiny_dirs: dict[str, Path], saved: Path) -> None:
    change_config(saved, entries=[["source", "lossless"], ["jpeg", "1"]])
    _, model, _ = built(tiny_dirs["qwen2_5_vl"])
    with pytest.raises(InputError, match=r"has shape \(5, 96\), the vocabulary of 2 conditions"):
        adapters.load(saved, model)


@pytest.mark.parametrize("lost", ["delta.blocks.0.attn.qkv.weight", "estimator.head.bias"])
def test_missing_tensors_are_named(saved: Path, lost: str) -> None:
    weights = load_file(saved / WEIGHTS)
    del weights[lost]
    save_file(weights, saved / WEIGHTS)
    with pytest.raises(InputError, match=f"1 of .* tensors missing, first {lost}"):
        open_adapter(saved)


def test_unknown_tensors_are_refused(tiny_dirs: dict[str, Path], saved: Path) -> None:
    weights = load_file(saved / WEIGHTS)
    save_file({**weights, "delta.blocks.9.norm1.weight": torch.ones(3)}, saved / WEIGHTS)
    _, model, tower = built(tiny_dirs["qwen2_5_vl"])
    before = fingerprint(tower)
    with pytest.raises(InputError, match=r"delta.blocks.9.norm1.weight fits no weight"):
        adapters.load(saved, model)
    assert fingerprint(tower) == before


@pytest.mark.parametrize("keep", [0, 7, 100, 5000])
def test_a_file_cut_short_is_refused(saved: Path, keep: int) -> None:
    whole = (saved / WEIGHTS).read_bytes()
    (saved / WEIGHTS).write_bytes(whole[:keep])
    with pytest.raises(InputError, match="damaged or cut short"):
        open_adapter(saved)


def test_bad_configurations_are_one_line(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no adapter_config.json"):
        open_adapter(tmp_path)
    change_config(saved, injection="film")
    with pytest.raises(InputError, match="unknown injection 'film'"):
        open_adapter(saved)
    change_config(saved, format=99)
    with pytest.raises(InputError, match="format 99, this eyechart reads 1"):
        open_adapter(saved)
    for text in ("{", "[]", '{"format": 1}'):
        (saved / CONFIG).write_text(text)
        with pytest.raises(InputError, match="damaged"):
            open_adapter(saved)


def test_low_rank_changes_round_trip(tiny_dirs: dict[str, Path]) -> None:
    backbone, _, tower = built(tiny_dirs["internvl"])
    inputs = pictures(backbone)
    make_trainable(tower, "lora", Lora(rank=4, alpha=8))
    trained = [name for name, p in tower.module.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    with torch.no_grad():
        for name, parameter in tower.module.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
        wanted = tower.features(inputs)
        kept = changes(tower, {})
        _, _, fresh = built(tiny_dirs["internvl"])
        plain = fresh.features(inputs)
        apply_changes(fresh, kept)
        torch.testing.assert_close(fresh.features(inputs), wanted, rtol=1e-4, atol=1e-4)
    assert (wanted - plain).abs().max() > 1e-3


def test_the_tower_names_the_blocks_whose_layers_get_low_rank_additions(
    tiny_dirs: dict[str, Path],
) -> None:
    def extended(only: slice | None) -> set[str]:
        _, _, tower = built(tiny_dirs["janus"])
        layers = {name for name, part in tower.module.named_modules() if isinstance(part, Linear)}
        tower = replace(tower, blocks=() if only is None else tower.blocks[only])
        make_trainable(tower, "lora", Lora(rank=2))
        trained = [name for name, p in tower.module.named_parameters() if p.requires_grad]
        return {layer for layer in layers if any(name.startswith(f"{layer}.") for name in trained)}

    first, all_blocks, everything = map(extended, (slice(1), slice(None), None))
    assert first
    assert all(name.startswith("encoder.layers.0.") for name in first)
    assert first < all_blocks <= everything
    assert {name for name in everything if name.startswith("encoder.layers.")} == all_blocks


def test_a_copy_with_another_conditioning_is_another_adapter(saved: Path, tmp_path: Path) -> None:
    with_conditioning(saved, tmp_path / "copy", "blind")
    assert open_adapter(tmp_path / "copy").config.conditioning == "estimated"
    assert (tmp_path / "copy" / WEIGHTS).read_bytes() == (saved / WEIGHTS).read_bytes()
    assert (tmp_path / "copy" / CONFIG).read_bytes() != (saved / CONFIG).read_bytes()
    with pytest.raises(InputError, match="not empty"):
        with_conditioning(saved, tmp_path / "copy", "unknown")
