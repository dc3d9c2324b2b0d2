"""Windows of several sizes in one call, in the types that training and inference run in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from eyechart.adapters.cpu_speed import speed_up_on_cpu
from eyechart.adapters.towers import tower_of
from eyechart.vlms.qwen2_5_vl import Qwen25VL, QwenBackbone
from tests.vlms.asking import picture

ODD = (120, 160)  # 112-pixel windows do not divide it: their sizes differ


@pytest.fixture(scope="module")
def backbone(qwen_dir: Path) -> QwenBackbone:
    vlm = Qwen25VL(str(qwen_dir), device="cpu", min_pixels=None, max_pixels=None)
    found = vlm.build()[0]
    assert isinstance(found, QwenBackbone)
    return found


def features(backbone: QwenBackbone, size: tuple[int, int]) -> Tensor:
    return backbone.encode([backbone.prepare(picture(*size))])[0]


@pytest.mark.parametrize("size", [ODD, (224, 224), (56, 56)])
@pytest.mark.parametrize("widened", [False, True])
def test_the_tower_runs_under_autocast_as_training_runs_it(
    qwen_dir: Path, backbone: QwenBackbone, size: tuple[int, int], widened: bool
) -> None:
    trained = Qwen25VL(str(qwen_dir), device="cpu", min_pixels=None, max_pixels=None)
    lower, model = trained.build()
    assert isinstance(lower, QwenBackbone)
    if widened:
        speed_up_on_cpu(tower_of(model))
    exact = features(backbone, size)
    with torch.autocast("cpu", torch.bfloat16):
        lowered = features(lower, size)
    error = (lowered.float() - exact).norm() / exact.norm()
    assert 0 < error < 0.1


def test_the_tower_equals_the_librarys_window_by_window(
    backbone: QwenBackbone, qwen_dir: Path
) -> None:
    from transformers import Qwen2_5_VLForConditionalGeneration

    library: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(qwen_dir, dtype=torch.float32)
    made = backbone.prepare(picture(*ODD))
    [expected] = library.model.get_image_features(
        made.inputs["pixel_values"], made.inputs["grid"]
    ).pooler_output
    torch.testing.assert_close(features(backbone, ODD), expected)
