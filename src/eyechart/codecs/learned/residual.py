"""Residual blocks with generalized divisive normalization, as TCM and MLIC++ use them.

Every module takes and returns (batch, channels, height, width). Parameter names are those of
CompressAI's layers (https://github.com/InterDigitalInc/CompressAI).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.layers import conv, lower_bound

_OFFSET = 2.0**-36  # keeps the square root of a parameter away from zero
_BETA_MIN = 1e-6


class Gdn(nn.Module):
    """x / sqrt(beta + gamma * x^2), or its approximate inverse (Balle et al., arXiv 1511.06281).

    `beta` and `gamma` are stored as square roots, so that their values are never negative.
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter((torch.ones(channels) + _OFFSET).sqrt())
        self.gamma = nn.Parameter((0.1 * torch.eye(channels) + _OFFSET).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        beta = lower_bound(self.beta, (_BETA_MIN + _OFFSET) ** 0.5) ** 2 - _OFFSET
        gamma = lower_bound(self.gamma, _OFFSET**0.5) ** 2 - _OFFSET
        energy = F.conv2d(x * x, gamma[:, :, None, None], beta)
        return x * (energy.sqrt() if self.inverse else energy.rsqrt())


def subpixel(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution that doubles height and width by pixel shuffling."""
    return nn.Sequential(conv(inputs, 4 * outputs, kernel=3, stride=1), nn.PixelShuffle(2))


class Residual(nn.Module):
    """Two 3x3 convolutions added to the input, which passes a 1x1 convolution on new widths."""

    def __init__(
        self, inputs: int, outputs: int, *, activation: Callable[[Tensor], Tensor] = F.leaky_relu
    ) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, kernel=3, stride=1)
        self.conv2 = conv(outputs, outputs, kernel=3, stride=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self._activation = activation

    def forward(self, x: Tensor) -> Tensor:
        hidden = self._activation(self.conv2(self._activation(self.conv1(x))))
        out: Tensor = hidden + self.skip(x)
        return out


class ResidualDown(nn.Module):
    """A residual block that halves height and width."""

    def __init__(
        self, inputs: int, outputs: int, *, activation: Callable[[Tensor], Tensor] = F.leaky_relu
    ) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, kernel=3)
        self.conv2 = conv(outputs, outputs, kernel=3, stride=1)
        self.gdn = Gdn(outputs)
        self.skip = conv(inputs, outputs, kernel=1)
        self._activation = activation

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.gdn(self.conv2(self._activation(self.conv1(x)))) + self.skip(x)
        return out


class ResidualUp(nn.Module):
    """A residual block that doubles height and width."""

    def __init__(
        self, inputs: int, outputs: int, *, activation: Callable[[Tensor], Tensor] = F.leaky_relu
    ) -> None:
        super().__init__()
        self.subpel_conv = subpixel(inputs, outputs)
        self.conv = conv(outputs, outputs, kernel=3, stride=1)
        self.igdn = Gdn(outputs, inverse=True)
        self.upsample = subpixel(inputs, outputs)
        self._activation = activation

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.igdn(self.conv(self._activation(self.subpel_conv(x))))
        out: Tensor = hidden + self.upsample(x)
        return out
