"""Images and questions for the VLM tests, and the plain way of answering them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.vlm_throughput import plain_answers
from eyechart.core.types import Request, Rgb8

WORDS = ["is", "there", "a", "dog", "red", "car", "umbrella", "left", "of", "people", "table"]


def picture(height: int, width: int, seed: int = 0) -> Rgb8:
    """Coloured blocks; different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3))
    blocks = np.kron(coarse, np.ones((height // 4 + 1, width // 4 + 1, 1)))
    return blocks[:height, :width].astype(np.uint8)


def request(height: int, width: int, questions: int, seed: int = 0) -> Request:
    """One image with that many questions of one to fifteen words, some of them equal."""
    rng = np.random.default_rng(seed)
    prompts = [" ".join(rng.choice(WORDS, rng.integers(1, 16))) + "?" for _ in range(questions)]
    return Request(image=picture(height, width, seed), prompts=tuple(prompts))


def plain_qwen(
    folder: Path, requests: list[Request], new_tokens: int, dtype: torch.dtype = torch.float32
) -> list[list[str]]:
    """`generate`, once for each question, on transformers' own model."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    return plain_answers(folder, model.eval(), requests, {}, new_tokens)
