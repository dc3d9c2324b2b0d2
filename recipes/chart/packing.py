"""One image and many questions in one row, so that the visual tokens are computed once.

Every question attends to the image's prefix and to itself, not to other questions. Its positions
start after the prefix, as if it were the only question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from recipes.chart.forward import TOKENS

END_WEIGHT = 0.2  # of an answer's end, relative to its other tokens: it is learned early
# Of the image and of all questions and answers; fixed, so that shapes are static. A multiple of 8,
# as the attention kernels of GPUs need.
ROW_TOKENS = 576
_CACHED_TEXTS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRow:
    """One packed image: L = ROW_TOKENS tokens."""

    ids: npt.NDArray[np.int64]  # (L,)
    position: npt.NDArray[np.int64]  # (3, L)
    block: npt.NDArray[np.int64]  # (L,) 0 for the prefix, question number from 1, -1 for padding
    target: npt.NDArray[np.int64]  # (L,) the next token where it belongs to an answer, else -100
    weight: npt.NDArray[np.float32]  # (L,) of the target in the loss; a question's weights sum to 1
    kinds: tuple[str, ...]  # question type of each packed question


class Packer:
    """Turns (prompt, answer) texts about one image into a `PackedRow`."""

    def __init__(self, tokenizer: Any) -> None:
        fast = tokenizer.backend_tokenizer  # without the checks of a tokenizer's call

        @lru_cache(maxsize=_CACHED_TEXTS)
        def ids(text: str) -> tuple[int, ...]:
            return tuple(fast.encode(text, add_special_tokens=False).ids)

        self.ids = ids
        self.pad_id: int = tokenizer.pad_token_id
        image_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        before = ids("<|im_start|>user\n<|vision_start|>")
        self.first = len(before)  # index of the first visual token
        self.prefix = [*before, *[image_id] * TOKENS**2, *ids("<|vision_end|>")]
        grid = np.arange(TOKENS**2)
        image = self.first + np.stack([0 * grid, grid // TOKENS, grid % TOKENS])
        head = np.tile(np.arange(self.first), (3, 1))
        end = np.full((3, 1), self.first + TOKENS)
        self.prefix_position = np.concatenate([head, image, end], axis=1)
        self.start = self.first + TOKENS + 1  # position of a question's first token
        self.between = ids("<|im_end|>\n<|im_start|>assistant\n")
        self.end_of_answer = ids("<|im_end|>")

    def pack(self, asked: Sequence[tuple[str, str, str]]) -> PackedRow:
        """Pack questions (type, prompt, answer); those that do not fit are left out."""
        length = ROW_TOKENS
        ids = np.full(length, self.pad_id)
        position = np.zeros((3, length), dtype=np.int64)
        block = np.full(length, -1)
        target = np.full(length, -100)
        weight = np.zeros(length, dtype=np.float32)
        at = len(self.prefix)
        ids[:at], position[:, :at], block[:at] = self.prefix, self.prefix_position, 0
        kinds: list[str] = []
        for kind, prompt, answer in asked:
            question = [*self.ids(prompt), *self.between]
            said = [*self.ids(answer), *self.end_of_answer]
            tokens = [*question, *said]
            end = at + len(tokens)
            if end > length:
                continue
            kinds.append(kind)
            ids[at:end] = tokens
            position[:, at:end] = self.start + np.arange(len(tokens))
            block[at:end] = len(kinds)
            first = at + len(question) - 1  # this token predicts the answer's first
            target[first : end - 1] = said
            weight[first : end - 1] = 1 / (len(said) - 1 + END_WEIGHT)
            weight[end - 2] *= END_WEIGHT
            at = end
        return PackedRow(
            ids=ids,
            position=position,
            block=block,
            target=target,
            weight=weight,
            kinds=tuple(kinds),
        )
