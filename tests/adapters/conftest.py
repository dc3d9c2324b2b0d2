"""Tiny random VLMs of all three families, with their real configuration classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.random_vlm import QWEN_SIZES, save_qwen2_5_vl
from tests.adapters.tiny_towers import FAMILIES
from tests.vlms.tiny_families import save_internvl, save_janus


@pytest.fixture(scope="session")
def tiny_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One checkpoint directory for each family."""
    root = tmp_path_factory.mktemp("tiny")
    for family in FAMILIES:
        (root / family).mkdir()
    return {
        "qwen2_5_vl": save_qwen2_5_vl(root / "qwen2_5_vl", QWEN_SIZES["test"]),
        "internvl": save_internvl(root / "internvl"),
        "janus": save_janus(root / "janus"),
    }


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten small images with edges and texture, on which JPEG makes visible artefacts."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(7)
    for number in range(10):
        small = rng.integers(0, 255, (7, 7, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(small).resize((56, 56), Image.Resampling.BICUBIC))
        noise = rng.integers(-20, 20, picture.shape)
        Image.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8)).save(
            folder / f"{number:02d}.png"
        )
    return folder
