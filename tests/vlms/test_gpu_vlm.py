"""Local VLMs on a CUDA device: `pytest -m gpu`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eyechart.core.types import VLM, Decoding, Request
from eyechart.vlms.mini import EyechartMini
from eyechart.vlms.qwen2_5_vl import Qwen25VL
from tests.vlms.asking import plain_qwen, request

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICE = "cuda:0"


def texts(vlm: VLM, requests: list[Request], new_tokens: int) -> list[str]:
    answers = vlm.answer(requests, Decoding(max_new_tokens=new_tokens))
    return [answer.text for given in answers for answer in given]


def equal_share(first: list[str], second: list[str]) -> float:
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def test_the_built_in_vlm_answers_as_on_a_cpu() -> None:
    requests = [request(224, 224, 20, seed=seed) for seed in (1, 2, 3)]
    found = texts(EyechartMini(device=DEVICE), requests, 8)
    assert equal_share(found, texts(EyechartMini(device="cpu"), requests, 8)) >= 0.95


def test_qwen_equals_plain_generation(qwen_dir: Path) -> None:
    """But for scores that differ by rounding: the weights are random."""
    requests = [request(224, 224, 18, seed=1), request(120, 300, 3, seed=2), request(60, 60, 7)]
    vlm = Qwen25VL(str(qwen_dir), device=DEVICE, dtype="float32", min_pixels=None, max_pixels=None)
    plain = [text for given in plain_qwen(qwen_dir, requests, 4) for text in given]
    assert equal_share(texts(vlm, requests, 4), plain) >= 0.9


def test_bfloat16_is_the_precision_there_and_answers(qwen_dir: Path) -> None:
    vlm = Qwen25VL(str(qwen_dir), device=DEVICE, min_pixels=None, max_pixels=None)
    asked = [request(224, 224, 40, seed=5)]
    assert len(texts(vlm, asked, 3)) == 40
    assert equal_share(texts(vlm, asked, 3), texts(vlm, asked, 3)) == 1
