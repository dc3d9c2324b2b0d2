"""Attention in packed rows: a question attends to its image's prefix and to itself.

Two layouts of the same computation. `WholeRows` keeps all tokens, also padding, and uses one mask:
shapes are static, as a GPU needs. `OwnQuestions` leaves padding out and multiplies each question
with the keys of its prefix and its own only, a fifth of a row's keys: a CPU is faster with it.

Shape suffixes: B rows, L tokens of a row, T tokens that are kept, P tokens of a prefix,
Q questions, M tokens of a question, H heads, K head dim.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_ROUND_TO = 16  # questions of similar length are computed together


def layout_of(block_BL: Tensor) -> WholeRows | OwnQuestions:
    """The layout for the device. block_BL: as `packing.PackedRow.block`; the prefixes of all rows
    have one length."""
    return WholeRows(block_BL) if block_BL.is_cuda else OwnQuestions(block_BL)


class WholeRows:
    """All tokens of all rows. kept: (T,) their indices in the flattened rows."""

    def __init__(self, block_BL: Tensor) -> None:
        self._shape = block_BL.shape
        self._mask = attention_mask(block_BL)
        self.kept = torch.arange(block_BL.numel(), device=block_BL.device)

    def index_of(self, at: Tensor) -> Tensor:
        """Indices in the flattened rows -> among the kept tokens."""
        return at

    def attend(self, q_THK: Tensor, k_THK: Tensor, v_THK: Tensor) -> Tensor:
        """Attention, (T, H, K); keys and queries have their positions already."""
        q, k, v = (
            t.view(*self._shape, *t.shape[1:]).transpose(1, 2) for t in (q_THK, k_THK, v_THK)
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self._mask)
        return out.transpose(1, 2).flatten(0, 1)


class OwnQuestions:
    """The tokens that are no padding. kept: (T,) their indices in the flattened rows."""

    def __init__(self, block_BL: Tensor) -> None:
        block = block_BL.flatten().long()
        length = block_BL.shape[1]
        self.kept = torch.nonzero(block >= 0).flatten()
        self._index = torch.cumsum(block >= 0, 0) - 1
        prefix = int((block_BL[0] == 0).sum())
        first = torch.arange(block_BL.shape[0])[:, None] * length
        self._prefix_BP = self.index_of(first + torch.arange(prefix))
        row = self.kept // length
        number = row * (length + 1) + block[self.kept]
        asked = torch.nonzero(block[self.kept] > 0).flatten()
        _, sizes = torch.unique_consecutive(number[asked], return_counts=True)
        starts = asked[torch.cumsum(sizes, 0) - sizes]
        rounded = (sizes + _ROUND_TO - 1) // _ROUND_TO * _ROUND_TO
        self._groups: list[tuple[Tensor, Tensor, Tensor]] = []
        place = torch.empty(len(self.kept), dtype=torch.long)
        place[self._prefix_BP.flatten()] = torch.arange(self._prefix_BP.numel())
        before = self._prefix_BP.numel()
        for size in torch.unique(rounded).tolist():
            mine = torch.nonzero(rounded == size).flatten()
            inside = torch.arange(size)
            valid = inside < sizes[mine, None]
            at_QM = starts[mine, None] + inside * valid  # past its end a question's first token
            place[at_QM[valid]] = before + torch.nonzero(valid.flatten()).flatten()
            before += at_QM.numel()
            hidden = torch.ones(size, prefix + size, dtype=torch.bool).triu(prefix + 1)
            self._groups.append((at_QM, self._prefix_BP[row[starts[mine]]], hidden))
        self._place = place

    def index_of(self, at: Tensor) -> Tensor:
        """Indices in the flattened rows -> among the kept tokens."""
        index: Tensor = self._index[at]
        return index

    def attend(self, q_THK: Tensor, k_THK: Tensor, v_THK: Tensor) -> Tensor:
        """Attention, (T, H, K); keys and queries have their positions already."""
        at = self._prefix_BP
        hidden = torch.ones(at.shape[1], at.shape[1], dtype=torch.bool).triu(1)
        out = [_attend(q_THK, k_THK, v_THK, at, at, hidden)]
        for at_QM, prefix_QP, hidden in self._groups:
            keys = torch.cat([prefix_QP, at_QM], dim=1)
            out.append(_attend(q_THK, k_THK, v_THK, at_QM, keys, hidden))
        return torch.cat(out).index_select(0, self._place)


def _attend(
    q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, queries: Tensor, keys: Tensor, hidden: Tensor
) -> Tensor:
    """Attention of (n, M) queries to (n, S) keys, as (n M, H, K). hidden (M, S): True where a key
    is not attended to."""
    q, k, v = (
        t.index_select(0, at.flatten()).view(*at.shape, *t.shape[1:]).transpose(1, 2)
        for t, at in ((q_THK, queries), (k_THK, keys), (v_THK, keys))
    )
    # The backward pass of the fused kernel is slow for short rows on a CPU.
    scores = q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)
    weights = scores.masked_fill(hidden, -torch.inf).softmax(-1).to(v.dtype)
    attended: Tensor = (weights @ v).transpose(1, 2).flatten(0, 1)
    return attended


def attention_mask(block_BL: Any) -> Any:
    """bool (B, 1, L, L): causal, to the same question and the prefix; padding attends to itself."""
    length = block_BL.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=block_BL.device).tril()
    mine = block_BL[:, :, None] == block_BL[:, None, :]
    prefix = (block_BL == 0)[:, None, :]
    return ((mine | prefix) & causal)[:, None]
