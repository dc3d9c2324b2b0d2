"""The contexts of MLIC++ (arXiv 2307.15421, section 3), from the parts of y that are known.

All take and return (batch, channels, height, width). `anchors` is bool (height, width): positions
of a slice that are coded first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.swin import Mlp, relative_positions

_HEADS = 2  # of the two contexts inside a slice
_SIDE = 5  # of the local context's window
_AT_ONCE = 4096  # positions of the local context, in whole rows; bounds its memory


class LocalContext(nn.Module):
    """Attention inside the 5x5 window about every position, among anchors (section 3.2)."""

    relative_position_index: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv_proj = nn.Linear(channels, 3 * channels)
        table = torch.zeros((2 * _SIDE - 1) ** 2, _HEADS)
        self.relative_position_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        index = relative_positions(_SIDE)
        self.register_buffer("relative_position_index", index, persistent=False)
        self.fusion = nn.Conv2d(channels, 2 * channels, _SIDE)
        self.proj = nn.Linear(2 * channels, 2 * channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(2 * channels)
        self.mlp = Mlp(2 * channels, 4 * channels)

    def forward(self, x: Tensor, anchors: Tensor) -> Tensor:
        """(batch, channels, ...) -> (batch, 2 * channels, ...)."""
        batch, channels, height, width = x.shape
        qkv = self.qkv_proj(self.norm1(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        border = [_SIDE // 2] * 4
        qkv, seen = F.pad(qkv, border), F.pad(anchors[None, None].to(x), border)
        bias = self.relative_position_table[self.relative_position_index].permute(2, 0, 1)
        rows = max(1, _AT_ONCE // width)
        parts = []
        for top in range(0, height, rows):
            strip = slice(top, min(height, top + rows) + _SIDE - 1)
            windows, among = _windows(qkv[:, :, strip]), _windows(seen[:, :, strip])
            parts.append(self._attend(windows, among[0, :, 0], bias))
        found: Tensor = self.proj(torch.cat(parts, 1))
        found = found + self.mlp(self.norm2(found))
        return found.reshape(batch, height, width, 2 * channels).permute(0, 3, 1, 2)

    def _attend(self, windows: Tensor, seen: Tensor, bias: Tensor) -> Tensor:
        """(batch, positions, 3 * channels, 25) -> (batch, positions, 2 * channels).

        seen: (positions, 25), 1 at anchors.
        """
        batch, positions, width, tokens = windows.shape
        size = width // 3 // _HEADS
        # The head is the fast axis of the channels here and the slow one behind the attention.
        split = windows.reshape(batch, positions, 3, size, _HEADS, tokens).permute(2, 0, 1, 4, 5, 3)
        query, key, value = split.unbind(0)
        mask = (seen[:, :, None] * seen[:, None, :] - 1) * 100.0
        scores = query * size**-0.5 @ key.transpose(-2, -1) + bias + mask[:, None]
        attended = (scores.softmax(-1) @ value).transpose(-2, -1)
        patches = attended.reshape(batch * positions, width // 3, _SIDE, _SIDE)
        fused: Tensor = self.fusion(patches)
        return fused.reshape(batch, positions, -1)


class ChannelContext(nn.Module):
    """Convolutions over all slices before."""

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, int]) -> None:
        super().__init__()
        first, second = widths
        self.fushion = nn.Sequential(  # name as in the authors' checkpoints
            nn.Conv2d(inputs, first, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(first, second, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(second, outputs, 3, padding=1),
        )

    def forward(self, known: Tensor) -> Tensor:
        found: Tensor = self.fushion(known)
        return found


class IntraContext(nn.Module):
    """Attention of the other positions to the anchors, over the whole slice (section 3.3).

    The similarity of positions is computed from the previous slice. The cost is linear in the
    number of positions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.queries, self.keys, self.values = (_projection(channels) for _ in range(3))
        self.reprojection = nn.Conv2d(channels, 2 * channels, 5, padding=2)
        self.mlp = _mlp(2 * channels, 4 * channels, 2 * channels)

    def forward(self, before: Tensor, first: Tensor, anchors: Tensor) -> Tensor:
        """before: the slice before. first: anchors of this slice, 0 elsewhere."""
        query = self.queries(torch.where(anchors, 0.0, before))[:, :, ~anchors]
        key = self.keys(torch.where(anchors, before, 0.0))[:, :, anchors]
        value = self.values(first)[:, :, anchors]
        seen = torch.zeros_like(before)
        seen[:, :, ~anchors] = _linear_attention(query, key, value, _HEADS)
        attention = self.reprojection(seen)
        found: Tensor = attention + self.mlp(attention)
        return found


class InterContext(nn.Module):
    """Attention of all positions to each other, over all slices before (section 3.3)."""

    def __init__(self, channels: int, outputs: int, *, head: int) -> None:
        super().__init__()
        self.heads = channels // head
        self.queries, self.keys, self.values = (_projection(channels) for _ in range(3))
        between = outputs * 3 // 2
        self.reprojection = nn.Conv2d(channels, between, 5, padding=2)
        self.mlp = _mlp(between, 2 * outputs, outputs)
        self.skip = nn.Conv2d(between, outputs, 1)

    def forward(self, known: Tensor) -> Tensor:
        query, key, value = (
            part(known).flatten(2) for part in (self.queries, self.keys, self.values)
        )
        seen = _linear_attention(query, key, value, self.heads).reshape(known.shape)
        attention = self.reprojection(seen)
        found: Tensor = self.skip(attention) + self.mlp(attention)
        return found


def _linear_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Softmax over positions and channels separately (Shen et al., arXiv 1812.01243).

    query: (batch, channels, m). key, value: (batch, channels, n). Returns the query's shape.
    """
    batch, channels, _ = query.shape
    query, key, value = (
        part.reshape(batch, heads, channels // heads, -1) for part in (query, key, value)
    )
    context = key.softmax(3) @ value.transpose(2, 3)
    return (context.transpose(2, 3) @ query.softmax(2)).flatten(1, 2)


def _projection(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
    )


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, hidden, 1),
        nn.GELU(),
        nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
        nn.GELU(),
        nn.Conv2d(hidden, outputs, 1),
    )


def _windows(x: Tensor) -> Tensor:
    """(batch, channels, height + 4, width + 4) -> (batch, height * width, channels, 25)."""
    batch, channels = x.shape[:2]
    return F.unfold(x, _SIDE).reshape(batch, channels, _SIDE**2, -1).permute(0, 3, 1, 2)
