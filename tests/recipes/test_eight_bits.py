"""Weights in 8 bits: what is stored, and that transformers loads it as any other model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen2_5_VLForConditionalGeneration

from recipes.chart.eight_bits import in_eight_bits, main
from recipes.chart.vlm import build_model, build_tokenizer


def test_a_model_loads_with_rounded_matrices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(build_tokenizer(["what is this? a dog"] * 4, vocab_size=300), "s")
    model.to(torch.float16).save_pretrained(tmp_path)
    (tmp_path / "README.md").write_text("# a model\n")
    exact = load_file(tmp_path / "model.safetensors")
    size = (tmp_path / "model.safetensors").stat().st_size
    monkeypatch.setattr(sys, "argv", ["eight_bits", "--model", str(tmp_path)])
    main()
    stored = load_file(tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_size < 0.6 * size
    for name, weight in exact.items():
        wide = weight.ndim < 2 or "embed_tokens" in name or "lm_head" in name
        assert stored[name].dtype == (torch.float16 if wide else torch.float8_e4m3fn)
        if wide:
            assert torch.equal(stored[name], weight)
        else:
            difference = (stored[name].float() - weight.float()).square().mean().sqrt()
            assert 0 < difference < 0.05 * weight.float().square().mean().sqrt()
    for dtype in (torch.float32, torch.bfloat16):
        loaded = Qwen2_5_VLForConditionalGeneration.from_pretrained(tmp_path, dtype=dtype)
        found = loaded.model.visual.blocks[0].attn.qkv.weight
        assert found.dtype == dtype
        name = next(n for n in stored if n.endswith("blocks.0.attn.qkv.weight"))
        assert torch.equal(found.float(), stored[name].float())
    assert "stored in 8 bits" in (tmp_path / "README.md").read_text()
    with pytest.raises(ValueError, match="in 8 bits already"):
        in_eight_bits(stored)


def test_weights_outside_of_the_range_are_refused() -> None:
    with pytest.raises(ValueError, match="allowed: 448"):
        in_eight_bits({"blocks.0.qkv.weight": torch.full((2, 2), 1000.0)})
