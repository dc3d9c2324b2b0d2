"""Window attention of the Qwen2.5-VL vision tower, one call for all windows of one size.

transformers calls the attention kernel once for each window and layer (30 windows for a 640x480
image, 28 window layers: 840 calls). Windows of one size are independent and are stacked into one
batch, which only reduces the number of calls.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import pairwise
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def batch_windows(vision_tower: Any) -> None:
    """Replace the attention of every block of this instance of the tower by the batched one."""
    for block in vision_tower.blocks:
        block.attn.forward = MethodType(_forward, block.attn)


def _forward(
    self: Any,
    hidden_states: Tensor,
    cu_seqlens: Tensor,
    position_embeddings: tuple[Tensor, Tensor],
    **_: Any,
) -> Tensor:
    """(S, W) -> (S, W); cu_seqlens: borders of the windows (int, on any device)."""
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

    length = hidden_states.shape[0]
    query, key, value = self.qkv(hidden_states).view(length, 3, self.num_heads, -1).unbind(1)
    query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
    groups = _groups(tuple(cu_seqlens.tolist()), str(hidden_states.device))
    if len(groups) == 1 and groups[0][1] is None:
        mixed = _attend(query, key, value, groups[0][0], self.scaling)
    else:
        parts = [
            _attend(query[index], key[index], value[index], size, self.scaling)
            for size, index in groups
        ]
        # In the dtype of the parts, as autocast and training on a CPU change that of the operands.
        mixed = torch.empty_like(value, dtype=parts[0].dtype)
        for group, part in zip(groups, parts, strict=True):
            mixed[group[1]] = part
    output: Tensor = self.proj(mixed.reshape(length, -1))
    return output


def _attend(query: Tensor, key: Tensor, value: Tensor, size: int, scale: float) -> Tensor:
    """Tokens of equal windows, (windows * size, heads, D) each, one window behind another."""
    query, key, value = (
        part.view(-1, size, *part.shape[1:]).transpose(1, 2) for part in (query, key, value)
    )
    mixed = scaled_dot_product_attention(query, key, value, scale=scale)
    return mixed.transpose(1, 2).flatten(0, 1)


@lru_cache(maxsize=64)
def _groups(borders: tuple[int, ...], device: str) -> list[tuple[int, Tensor | None]]:
    """(window size, token indices of all windows of that size); None: all windows are equal."""
    starts = defaultdict(list)
    for start, end in pairwise(borders):
        starts[end - start].append(start)
    if len(starts) == 1:
        return [(next(iter(starts)), None)]
    return [
        (size, torch.cat([torch.arange(at, at + size) for at in where]).to(device))
        for size, where in starts.items()
    ]
