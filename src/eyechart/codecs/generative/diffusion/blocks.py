"""Blocks of the latent codecs of DiffEIC and RDEIC, with the parameter names of the published code.

Every module takes and returns tensors (batch, channels, height, width).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from eyechart.codecs.learned.layers import conv

_HIDDEN = 128  # channels inside a modulation


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions over half the channels, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv1(channels, half), nn.GELU(), conv3(half, half), nn.GELU(), conv1(half, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out


class Halving(nn.Module):
    """Halves height and width: two 3x3 convolutions, added to a strided 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = conv3(inputs, outputs, stride=2)
        self.conv2 = conv3(outputs, outputs)
        self.downsample = conv1(inputs, outputs, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = leaky_relu(self.conv2(leaky_relu(self.conv1(x))), 0.1) + self.downsample(x)
        return out


class Doubling(nn.Module):
    """Doubles height and width, by sub-pixel convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.subpel_conv = nn.Sequential(conv1(inputs, 4 * outputs), nn.PixelShuffle(2))
        self.conv = conv3(outputs, outputs)
        self.upsample = nn.Sequential(conv1(inputs, 4 * outputs), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = leaky_relu(self.conv(leaky_relu(self.subpel_conv(x))), 0.1) + self.upsample(x)
        return out


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, added to the input, or to a 1x1 convolution of it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv3(inputs, outputs), conv3(outputs, outputs)
        self.adaptor = None if inputs == outputs else conv1(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        skipped = x if self.adaptor is None else self.adaptor(x)
        out: Tensor = leaky_relu(self.conv2(leaky_relu(self.conv1(x)))) + skipped
        return out


class Modulation(nn.Module):
    """A spatial feature transform: a scale and a shift of every element from other features."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(conv3(features, _HIDDEN), nn.LeakyReLU(0.2))
        self.mlp_gamma, self.mlp_beta = conv3(_HIDDEN, channels), conv3(_HIDDEN, channels)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """features: of the same height and width."""
        shared = self.mlp_shared(features)
        out: Tensor = x * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)
        return out


class ModulatedResidual(nn.Module):
    """Two modulated 3x3 convolutions, added to the input."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.conv_0, self.conv_1 = conv3(channels, channels), conv3(channels, channels)
        self.norm_0, self.norm_1 = Modulation(channels, features), Modulation(channels, features)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        hidden = self.conv_0(leaky_relu(self.norm_0(x, features), 0.2))
        out: Tensor = x + self.conv_1(leaky_relu(self.norm_1(hidden, features), 0.2))
        return out


def conv1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution."""
    return conv(inputs, outputs, kernel=1, stride=stride)


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution."""
    return conv(inputs, outputs, kernel=3, stride=stride)


def with_gelu(*layers: nn.Module) -> nn.Sequential:
    """The layers with a GELU between each two."""
    between = [part for layer in layers for part in (nn.GELU(), layer)]
    return nn.Sequential(*between[1:])
