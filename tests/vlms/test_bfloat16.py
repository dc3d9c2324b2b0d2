"""In bfloat16 the engine and `generate` round differently: few answers change, and how many is
counted. Exactness is tested in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from eyechart.core.types import Decoding
from eyechart.vlms import open_vlm
from tests.vlms.asking import plain_qwen, request
from tests.vlms.test_internvl_janus import plain_internvl, plain_janus

REQUESTS = [request(112, 140, 25, seed=1), request(56, 56, 5, seed=2), request(90, 200, 20, seed=3)]
FAMILIES: list[tuple[str, Any, dict[str, Any]]] = [
    ("qwen_dir", plain_qwen, {"min_pixels": None, "max_pixels": None}),
    ("internvl_dir", plain_internvl, {"system": ""}),
    ("janus_dir", plain_janus, {}),
]


@pytest.mark.parametrize(("folder", "plain", "options"), FAMILIES)
def test_half_precision_changes_few_answers(
    folder: str, plain: Any, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    directory: Path = request.getfixturevalue(folder)
    vlm = open_vlm(str(directory), device="cpu", dtype="bfloat16", **options)
    assert vlm.options["dtype"] == "bfloat16"
    answers = vlm.answer(REQUESTS, Decoding(max_new_tokens=1))
    found = [answer.text for given in answers for answer in given]
    expected = [text for given in plain(directory, REQUESTS, 1, torch.bfloat16) for text in given]
    changed = sum(ours != theirs for ours, theirs in zip(found, expected, strict=True))
    assert len(set(expected)) > 10
    assert changed <= 0.1 * len(found), f"{changed} of {len(found)} answers changed"
