"""Helpers of the adapter tests: tiny VLMs, prepared images, a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eyechart.adapters.condition import Vocabulary
from eyechart.adapters.conditioned import Conditioner
from eyechart.adapters.injection import injection_names
from eyechart.adapters.recipe import Recipe
from eyechart.adapters.towers import tower_of
from eyechart.vlms import open_vlm
from eyechart.vlms.towers import Tower

FAMILIES = ("qwen2_5_vl", "internvl", "janus")
ROTARY = ("rope_angle", "rope_cos_sin")
# (family, injection), rotary ones only where there are rotary positions.
ACTING = [
    (family, injection)
    for family in FAMILIES
    for injection in injection_names()
    if family == "qwen2_5_vl" or injection not in ROTARY
]
VOCABULARY = Vocabulary(
    entries=(("source", "lossless"), ("jpeg", "1"), ("jpeg", "6"), ("vvc", "53"))
)


def open_tiny(folder: Path) -> Any:
    """The VLM in a tiny directory; images keep their size."""
    options = {"min_pixels": None, "max_pixels": None} if folder.name == "qwen2_5_vl" else {}
    return open_vlm(str(folder), device="cpu", **options)


def built(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any, Tower]:
    """-> backbone, model and tower, with fresh weights from disk."""
    backbone, model = open_tiny(folder).build()
    model.to(dtype)
    return backbone, model, tower_of(model)


def pictures(
    backbone: Any, count: int = 2, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Inputs of images of different shapes."""
    rng = np.random.default_rng(3)
    sizes = [(56, 84), (112, 56), (56, 56)][:count]
    made = [backbone.prepare(rng.integers(0, 255, (*size, 3), dtype=np.uint8)) for size in sizes]
    joined = {key: torch.cat([one.inputs[key] for one in made]) for key in made[0].inputs}
    return {key: t.to(dtype) if t.is_floating_point() else t for key, t in joined.items()}


def conditioned(
    tower: Tower, injection: str, *, scale: float, conditioning: Any = "labelled"
) -> Conditioner:
    """A conditioner hooked into a tower, its tables random (scale 0: untrained)."""
    conditioner = Conditioner(tower, VOCABULARY, injection, conditioning)
    conditioner.to(next(tower.module.parameters()).dtype).requires_grad_(False)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for table in conditioner.injection.parameters():
            noise = torch.randn(table.shape, generator=generator)
            table.copy_(scale * noise)
    conditioner.attach(tower)
    return conditioner


def recipe(**changed: Any) -> Recipe:
    """A training of a few steps on a few images."""
    settings: Mapping[str, Any] = {
        "injection": "adaln",
        "steps": 6,
        "images_a_step": 2,
        "validation_images": 2,
        "bf16": False,
        "learning_rate": 1e-3,
    }
    return Recipe(**{**settings, **changed})
