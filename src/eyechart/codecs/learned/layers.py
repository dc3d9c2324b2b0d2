"""Building blocks that the learned codecs share.

Every module takes and returns float tensors of shape (batch, channels, height, width). Parameter
names follow CompressAI (https://github.com/InterDigitalInc/CompressAI), so that published
checkpoints load with few renames.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int, *, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    """A convolution that divides height and width by `stride`, rounding up."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def deconv(inputs: int, outputs: int, *, kernel: int = 5, stride: int = 2) -> nn.ConvTranspose2d:
    """A transposed convolution that multiplies height and width by `stride`."""
    return nn.ConvTranspose2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, output_padding=stride - 1
    )


def reflect(x: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """Pad by reflection about the border elements; with the edge where x is too small for that.

    margins: at the left, right, top and bottom.
    """
    if not any(margins):
        return x
    fits = max(margins[:2]) < x.shape[3] and max(margins[2:]) < x.shape[2]
    return F.pad(x, margins, mode="reflect" if fits else "replicate")


def bias_of(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """The bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias


class ResidualBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions over half the channels, added to the input (ELIC, fig. 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(channels, half, 1)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1)
        self.conv3 = nn.Conv2d(half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # In place, because new memory for large maps takes much of the time on a CPU.
        hidden = self.conv2(self.conv1(x).relu_()).relu_()
        out: Tensor = self.conv3(hidden).add_(x)
        return out


class _AttentionUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv = nn.Sequential(
            nn.Conv2d(channels, half, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x).add_(x).relu_()
        return out


class AttentionBlock(nn.Module):
    """x + a(x) * sigmoid(b(x)), the simplified attention of Cheng et al. (arXiv 2001.01568)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        units = [_AttentionUnit(channels) for _ in range(6)]
        self.conv_a = nn.Sequential(*units[:3])
        self.conv_b = nn.Sequential(*units[3:], nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv_a(x) * torch.sigmoid(self.conv_b(x))
        return out


class CheckerboardConv(nn.Conv2d):
    """A convolution over only those positions that have the other colour of a checkerboard.

    He et al., Checkerboard Context Model (arXiv 2103.15306), section 3.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 5) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        mask = torch.zeros_like(self.weight.data)
        mask[:, :, 0::2, 1::2] = 1
        mask[:, :, 1::2, 0::2] = 1
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.kernel_size[0] // 2)

    def at(self, x: Tensor, where: Tensor) -> Tensor:
        """The output at some positions: (batch, outputs, n). where: bool (height, width)."""
        side = self.kernel_size[0]
        height, width = x.shape[2:]
        padded = F.pad(x, (side // 2,) * 4)
        taps = [(row, column) for row in range(side) for column in range((row + 1) % 2, side, 2)]
        seen = [
            padded[:, :, row : row + height, column : column + width][:, :, where]
            for row, column in taps
        ]
        weights = torch.cat([self.weight[:, :, row, column] for row, column in taps], 1)
        return weights @ torch.cat(seen, 1) + bias_of(self)[:, None]


def at_positions(network: nn.Module, inputs: Tensor, where: Tensor) -> Tensor:
    """A network of 1x1 convolutions at some positions of a map, 0 at the others.

    inputs: (batch, channels, n) for the n positions. where: bool (height, width).
    Returns (batch, outputs, height, width).
    """
    count = inputs.shape[2]
    filled = inputs if count else F.pad(inputs, (0, 1))  # convolutions take no empty maps
    found: Tensor = network(filled[..., None])[:, :, :count, 0]
    full = found.new_zeros(*found.shape[:2], *where.shape)
    full[:, :, where] = found
    return full


def checkerboard(height: int, width: int, device: torch.device) -> Tensor:
    """Bool (height, width): True at anchors, where row and column are both even or both odd."""
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)[None, :]
    return (rows + columns) % 2 == 0


class _LowerBound(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp(min=bound)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        (grad,) = grads
        return grad * ((x >= ctx.bound) | (grad < 0)), None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """max(x, bound), with a gradient below the bound if it would raise x."""
    bounded: Tensor = _LowerBound.apply(x, bound)  # type: ignore[no-untyped-call]
    return bounded


def ste_round(x: Tensor) -> Tensor:
    """Round to whole numbers; the gradient is that of the identity (straight-through)."""
    return x + (x.round() - x).detach()
