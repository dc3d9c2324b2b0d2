"""Swin blocks whose windows also attend to prompts, and the network that makes prompts (TransTIC).

Prompts are additional tokens in the windows of a transformer block: constants that are the same for
every window, or a feature map that has half the height and width of the block's input.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.layers import conv
from eyechart.codecs.learned.swin import ResidualSwin, SwinBlock, split_windows

_TOKENS = 16  # constant prompts of a block


class _PromptedBlock(SwinBlock):
    """A Swin block whose windows also attend to prompts."""

    def with_map(self, x: Tensor, prompts: Tensor) -> Tensor:
        """x: (batch, height, width, channels). prompts: the same, half as high and wide."""
        half = -self.shift // 2
        moved = torch.roll(prompts, (half, half), (1, 2)) if half else prompts
        return self.with_tokens(x, split_windows(moved, self.window // 2), _map_mask)

    def with_constants(self, x: Tensor, prompts: Tensor) -> Tensor:
        """x: (batch, height, width, channels). prompts: (tokens, channels)."""
        count = x.shape[0] * (x.shape[1] // self.window) * (x.shape[2] // self.window)
        return self.with_tokens(x, prompts.expand(count, -1, -1), _constants_mask)


class PromptedSwin(ResidualSwin):
    """Swin blocks, each with a separate map of prompts."""

    block = _PromptedBlock

    def prompted(self, x: Tensor, prompts: Sequence[Tensor]) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        for block, one in zip(self.residual_group.blocks, prompts, strict=True):
            assert isinstance(block, _PromptedBlock)
            tokens = block.with_map(tokens, one.permute(0, 2, 3, 1))
        return x + tokens.permute(0, 3, 1, 2)


class ConstantlyPromptedSwin(ResidualSwin):
    """Swin blocks, each with separate constant prompts."""

    block = _PromptedBlock

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
        super().__init__(
            channels, depth=depth, heads=heads, window=window, mlp_ratio=mlp_ratio, shifted=shifted
        )
        reach = (6 / (3 + channels)) ** 0.5
        embeddings = torch.empty(depth, _TOKENS, channels).uniform_(-reach, reach)
        self.residual_group.prompt_embeddings = nn.Parameter(embeddings)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        embeddings = self.residual_group.get_parameter("prompt_embeddings")
        for block, prompts in zip(self.residual_group.blocks, embeddings, strict=True):
            assert isinstance(block, _PromptedBlock)
            tokens = block.with_constants(tokens, prompts)
        return x + tokens.permute(0, 3, 1, 2)


class PromptNetwork(nn.Module):
    """A small U-Net over the image: (batch, 3, height, width) to half the height and width."""

    def __init__(self, outputs: int, width: int) -> None:
        super().__init__()
        self.down1 = _normed(3, width, width)
        self.down2 = _normed(width, 2 * width, 2 * width)
        self.down3 = _normed(2 * width, 4 * width, 4 * width)
        self.up2 = _normed(6 * width, 2 * width, 2 * width, 2 * width)
        self.up1 = _normed(3 * width, width, width, width)
        self.classifier = nn.Sequential(conv(width, outputs, kernel=3))
        self._pool = nn.MaxPool2d(2)
        self._grow = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, picture: Tensor) -> Tensor:
        fine = self.down1(picture)
        middle = self.down2(self._pool(fine))
        coarse = self.down3(self._pool(middle))
        middle = self.up2(torch.cat([middle, self._grow(coarse)], 1))
        fine = self.up1(torch.cat([fine, self._grow(middle)], 1))
        found: Tensor = self.classifier(fine)
        return found


def _normed(*widths: int) -> nn.Sequential:
    """3x3 convolutions, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [conv(before, after, kernel=3, stride=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def _map_mask(mask: Tensor) -> Tensor:
    """What the authors' code adds to the scores of a map's prompts and then the window's tokens.

    There are a quarter as many prompts. The window's mask is used for them and the first tokens,
    and half of its columns for the last tokens. Published prompts were trained with it.
    """
    count = mask.shape[2] // 4
    return torch.cat([mask, mask[:, :, count:-count:2]], 2)


def _constants_mask(mask: Tensor) -> Tensor:
    """All tokens attend to the prompts."""
    return F.pad(mask, (_TOKENS, 0))
