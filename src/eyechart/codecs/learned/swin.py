"""Swin transformer blocks over feature maps (Liu et al., arXiv 2103.14030).

Modules take and return (batch, channels, height, width), sides multiples of the window. Parameter
names follow TIC (https://github.com/lumingzzz/TIC).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MOST_SCORES = 1 << 24  # of windows whose attention is computed together; 64 MiB in float32
_MOST_HIDDEN = 1 << 26  # values inside an MLP that are computed together, in whole rows; 256 MiB


class Mlp(nn.Module):
    """Two linear layers over the last axis with a GELU between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return found


class WindowAttention(nn.Module):
    """Multi-head attention inside windows, with a learned bias per relative position.

    Takes tokens (windows, first + side * side, channels), the windows of one image after those of
    another, and returns (windows, side * side, channels). The `first` tokens of a window are
    prompts, which have no bias and are not returned. per_image: windows of an image. mask: added
    to the scores of an image's windows, (per_image, side * side, first + side * side).

    Scores of large images are computed for some windows after others, so that memory is bounded.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, side: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        table = torch.zeros((2 * side - 1) ** 2, heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        index = relative_positions(side)
        self.register_buffer("relative_position_index", index, persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(
        self, tokens: Tensor, mask: Tensor | None, *, per_image: int, first: int = 0
    ) -> Tensor:
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        bias = F.pad(bias, (first, 0))
        windows = max(1, _MOST_SCORES // bias.numel())
        # Equal parts of batches, whose sizes are powers of two: libraries round differently for
        # other numbers of windows.
        images = 1 << max(1, windows // per_image).bit_length() - 1
        parts = []
        for some in torch.split(tokens, images * per_image):
            for start in range(0, len(some), windows):
                here = slice(start, start + windows)
                part = None if mask is None else mask[here]
                parts.append(self._attend(some[here], bias, part, first))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend(self, tokens: Tensor, bias: Tensor, mask: Tensor | None, first: int) -> Tensor:
        """mask: of some windows, which the tokens are of once or several times."""
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(len(tokens) // len(mask), 1, 1, 1)
        found: Tensor = self.proj(attend(self.qkv(tokens), self.heads, bias, first=first))
        return found


class SwinBlock(nn.Module):
    """Window attention and an MLP, each added to its input after a layer norm.

    shift: how far the windows are moved down and right; tokens that are
    neighbours only because the map is rolled do not attend to each other.
    """

    def __init__(
        self, channels: int, heads: int, *, window: int, shift: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, window, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels) -> the same shape."""
        return self.with_tokens(x, None, lambda mask: mask)

    def with_tokens(
        self, x: Tensor, prompts: Tensor | None, masked: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """x: (batch, height, width, channels) -> the same shape.

        prompts: (windows, tokens, channels), to which windows also attend; None: none. masked:
        (windows of an image, side*side, side*side) -> the same with `tokens` more columns.
        """
        shift = self.shift
        moved, mask = self.norm1(x), None
        if shift:
            moved = torch.roll(moved, (-shift, -shift), (1, 2))
            mask = masked(shift_mask(x.shape[1], x.shape[2], self.window, shift).to(x))
        tokens, first = split_windows(moved, self.window), 0
        if prompts is not None:
            tokens, first = torch.cat([prompts, tokens], 1), prompts.shape[1]
        seen = self.attn(tokens, mask, per_image=len(tokens) // len(x), first=first)
        moved = join_windows(seen, x.shape, self.window)
        if shift:
            moved = torch.roll(moved, (shift, shift), (1, 2))
        return self._with_mlp(x + moved)

    def _with_mlp(self, x: Tensor) -> Tensor:
        """The block's second half, for some rows of large images after others."""
        in_a_row = len(x) * x.shape[2] * self.mlp.fc1.out_features
        rows = torch.split(x, max(1, _MOST_HIDDEN // in_a_row), 1)
        parts = [part + self.mlp(self.norm2(part)) for part in rows]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def scale_branches(self, factor: float) -> None:
        """Multiply by a factor what is added to the input.

        The layer norms before take out the input's scale, so a block with both multiplied by one
        factor gives its output multiplied by it.
        """
        for layer in (self.attn.proj, self.mlp.fc2):
            layer.weight.mul_(factor)
            layer.bias.mul_(factor)


class _Blocks(nn.Module):
    def __init__(self, blocks: list[SwinBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)


class ResidualSwin(nn.Module):
    """Swin blocks, added to the input (TIC's RSTB). shifted: every second one by half a window."""

    block: type[SwinBlock] = SwinBlock

    def __init__(
        self,
        channels: int,
        *,
        depth: int,
        heads: int,
        window: int,
        mlp_ratio: float,
        shifted: bool = True,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.residual_group = _Blocks(
            [
                self.block(
                    channels,
                    heads,
                    window=window,
                    shift=window // 2 if shifted and index % 2 else 0,
                    mlp_ratio=mlp_ratio,
                )
                for index in range(depth)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        for block in self.residual_group.blocks:
            tokens = block(tokens)
        return x + tokens.permute(0, 3, 1, 2)


@torch.no_grad()
def scale_branches(module: nn.Module, factor: float) -> None:
    """Multiply by a factor what the Swin blocks in a module add to their inputs."""
    for block in module.modules():
        if isinstance(block, SwinBlock):
            block.scale_branches(factor)


def split_windows(x: Tensor, side: int) -> Tensor:
    """(batch, height, width, channels) -> (windows, side * side, channels)."""
    batch, height, width, channels = x.shape
    grid = x.reshape(batch, height // side, side, width // side, side, channels)
    return grid.transpose(2, 3).reshape(-1, side * side, channels)


def join_windows(windows: Tensor, shape: torch.Size, side: int) -> Tensor:
    """Undo `split_windows` of a map of this shape."""
    batch, height, width, channels = shape
    grid = windows.reshape(batch, height // side, width // side, side, side, channels)
    return grid.transpose(2, 3).reshape(shape)


def attend(qkv: Tensor, heads: int, bias: Tensor, *, first: int = 0) -> Tensor:
    """Attention of queries, keys and values in one tensor (sets, tokens, 3 * channels).

    bias: added to the scores, (heads, tokens - first, tokens) or one for each set. first: the
    tokens before this one are keys only, not queries, and are not returned.
    """
    sets, tokens, width = qkv.shape
    split = qkv.reshape(sets, tokens, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
    query, key, value = split[0, :, :, first:], split[1], split[2]
    scores = query * (width // 3 // heads) ** -0.5 @ key.transpose(-2, -1) + bias
    seen: Tensor = (scores.softmax(-1) @ value).transpose(1, 2)
    return seen.reshape(sets, tokens - first, width // 3)


def relative_positions(side: int) -> Tensor:
    """(side * side, side * side): for two places of a window, the row of their bias in a table."""
    places = torch.arange(side)
    rows, columns = (part.flatten() for part in torch.meshgrid(places, places, indexing="ij"))
    down = rows[:, None] - rows[None, :] + side - 1
    right = columns[:, None] - columns[None, :] + side - 1
    return down * (2 * side - 1) + right


def shift_mask(height: int, width: int, side: int, shift: int) -> Tensor:
    """(windows, side * side, side * side): 0 where two places were neighbours, -100 elsewhere."""

    def regions(length: int) -> Tensor:
        places = torch.arange(length)
        return (places >= length - side).int() + (places >= length - shift).int()

    region = 3 * regions(height)[:, None] + regions(width)[None, :]
    grid = region.reshape(height // side, side, width // side, side).transpose(1, 2)
    windows = grid.reshape(-1, side * side)
    apart = windows[:, None, :] != windows[:, :, None]
    return apart.float().mul(-100.0)
