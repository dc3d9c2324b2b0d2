"""The autoencoder of HiFiC (Mentzer et al., arXiv 2006.09965), also used by MS-ILLM.

    x -> g_a -> y -> round about the mean -> y_hat -> g_s -> x_hat
                |                  ^
                v                  | means, scales
               h_a -> z -> round -> h_mean, h_scale

Two published codes are followed, so that their checkpoints load after a rename. They differ in
details that the weights depend on (`GanShape.code`):

| | HiFiC in PyTorch (Justin-Tan) | NeuralCompression (MS-ILLM, arXiv 2301.11189) |
| --- | --- | --- |
| convolutions of g_a, g_s | reflect at the borders; strided ones only at the top and right | zeros at all borders |
| strided convolutions of h_a | reflect | zeros |
| last layer of h_mean, h_scale | a transposed convolution | a convolution |
| density of z | three hidden layers, a nonlinearity also after the last | that of CompressAI |
| z is rounded | to whole numbers | about the median of its density |
"""  # noqa: E501 (a table)

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from eyechart.codecs.learned.coding import LatentCoder, Size, forward_in_one_pass
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.layers import conv, deconv, reflect

Code: TypeAlias = Literal["HiFiC", "NeuralCompression"]

_EPSILON = 1e-3
_BLOCK = re.compile(r"^g_s\.residual\.(\d+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GanShape:
    """The sizes of an autoencoder. The defaults are those of HiFiC.

    code: the published code that is followed. widths: channels at 1/1, 1/2, 1/4, 1/8 and 1/16 of
    the image's size. latent, hyper: channels of y and of z. blocks: residual blocks of the
    synthesis. normalized: the transforms work on images in -1..1, with tanh at the output; else in
    0..1. logistic: y has logistic densities; else normal ones.
    """

    code: Code = "HiFiC"
    widths: tuple[int, int, int, int, int] = (60, 120, 240, 480, 960)
    latent: int = 220
    hyper: int = 320
    blocks: int = 9
    normalized: bool = True
    logistic: bool = False

    @property
    def variant(self) -> str:
        """Image range, density of y and number of residual blocks."""
        images = "[-1, 1]" if self.normalized else "[0, 1]"
        density = "logistic" if self.logistic else "Gaussian"
        return f"images in {images}, {density} latent, {self.blocks} residual blocks"


MS_ILLM = GanShape(code="NeuralCompression", normalized=False)


def shape_of(tensors: Mapping[str, Tensor], base: GanShape) -> GanShape:
    """The variant of `base` that a checkpoint, under this package's keys, is of."""
    found = [match for match in map(_BLOCK.match, tensors) if match]
    return replace(
        base,
        blocks=1 + max((int(match[1]) for match in found), default=base.blocks - 1),
        normalized=_setting(tensors, "normalized", base.normalized),
        logistic=_setting(tensors, "logistic", base.logistic),
    )


def _setting(tensors: Mapping[str, Tensor], key: str, default: bool) -> bool:
    value = tensors.get(key)
    return default if value is None or value.numel() != 1 else bool(value.item())


class ChannelNorm(nn.Module):
    """Normalization over the channels of each position (HiFiC, section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True)
        normal: Tensor = (x - mean) * torch.rsqrt(variance + _EPSILON)
        return self.gamma * normal + self.beta


class ReflectConv(nn.Conv2d):
    """A convolution that reflects its input at the borders.

    margins: at the left, right, top and bottom. Maps too small for that are padded with their edge.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int = 1,
        margins: tuple[int, int, int, int],
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(reflect(x, self.margins))


class _GanAnalysis(nn.Module):
    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        first, *others = shape.widths
        blocks = [_normed(_conv(shape, 3, first, kernel=7))]
        blocks += [_normed(_halving(shape, before, after)) for before, after in _pairs(shape)]
        self.blocks = nn.Sequential(*blocks, _conv(shape, others[-1], shape.latent))
        self._normalized = shape.normalized

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.blocks(2 * x - 1 if self._normalized else x)
        return found


class _GanResidual(nn.Module):
    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        width = shape.widths[-1]
        self.layers = nn.Sequential(
            *_normed(_conv(shape, width, width)), _conv(shape, width, width), ChannelNorm(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


class _GanSynthesis(nn.Module):
    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        width, last = shape.widths[-1], shape.widths[0]
        self.head = nn.Sequential(
            ChannelNorm(shape.latent), _conv(shape, shape.latent, width), ChannelNorm(width)
        )
        self.residual = nn.Sequential(*(_GanResidual(shape) for _ in range(shape.blocks)))
        pairs = reversed(_pairs(shape))
        blocks = [_normed(deconv(after, before, kernel=3)) for before, after in pairs]
        self.blocks = nn.Sequential(*blocks, _conv(shape, last, 3, kernel=7))
        self._normalized = shape.normalized

    def forward(self, y_hat: Tensor) -> Tensor:
        head = self.head(y_hat)
        x_hat: Tensor = self.blocks(head + self.residual(head))
        return (torch.tanh(x_hat) + 1) / 2 if self._normalized else x_hat


class GanAutoencoder(nn.Module):
    """The network: transforms g_a, g_s and hyper transforms h_a, h_mean, h_scale.

    `forward` takes images (batch, 3, height, width) in 0..1 and returns the reconstruction, which
    is not clipped, and the likelihoods of `y` and `z`. Sides are multiples of 64.

    `normalized` and `logistic` are stored with the weights: no tensor's size tells them.
    """

    def __init__(self, shape: GanShape = GanShape()) -> None:
        super().__init__()
        self.shape = shape
        self.g_a, self.g_s = _GanAnalysis(shape), _GanSynthesis(shape)
        hyper = shape.hyper
        self.h_a = nn.Sequential(
            conv(shape.latent, hyper, kernel=3, stride=1),
            nn.ReLU(),
            _hyper_halving(shape),
            nn.ReLU(),
            _hyper_halving(shape),
        )
        self.h_mean, self.h_scale = _hyper_synthesis(shape), _hyper_synthesis(shape)
        own = shape.code == "HiFiC"
        self.entropy_bottleneck = (
            EntropyBottleneck(hyper, filters=(3, 3, 3), last_factor=True, about_zero=True)
            if own
            else EntropyBottleneck(hyper)
        )
        self.register_buffer("normalized", torch.tensor(float(shape.normalized)))
        self.register_buffer("logistic", torch.tensor(float(shape.logistic)))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return forward_in_one_pass(self, x)

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor:
        """Pass z and then y to a coder; both are None when decoding. size: of y."""
        z_hat = coder.bottleneck(z, self.entropy_bottleneck, (size[0] // 4, size[1] // 4))
        means, scales = self.h_mean(z_hat), self.h_scale(z_hat)
        if self.shape.logistic:
            return coder.logistic(y, means, scales)
        return coder.gaussian(y, means, scales)


def _pairs(shape: GanShape) -> list[tuple[int, int]]:
    """Channels before and after each halving of the size."""
    return list(pairwise(shape.widths))


def _conv(shape: GanShape, inputs: int, outputs: int, *, kernel: int = 3) -> nn.Conv2d:
    if shape.code == "HiFiC":
        side = kernel // 2
        return ReflectConv(inputs, outputs, kernel=kernel, margins=(side, side, side, side))
    return conv(inputs, outputs, kernel=kernel, stride=1)


def _halving(shape: GanShape, inputs: int, outputs: int) -> nn.Conv2d:
    if shape.code == "HiFiC":
        return ReflectConv(inputs, outputs, kernel=3, stride=2, margins=(0, 1, 1, 0))
    return conv(inputs, outputs, kernel=3)


def _hyper_halving(shape: GanShape) -> nn.Conv2d:
    if shape.code == "HiFiC":
        return ReflectConv(shape.hyper, shape.hyper, kernel=5, stride=2, margins=(2, 2, 2, 2))
    return conv(shape.hyper, shape.hyper)


def _hyper_synthesis(shape: GanShape) -> nn.Sequential:
    last = deconv if shape.code == "HiFiC" else conv
    return nn.Sequential(
        deconv(shape.hyper, shape.hyper),
        nn.ReLU(),
        deconv(shape.hyper, shape.hyper),
        nn.ReLU(),
        last(shape.hyper, shape.latent, kernel=3, stride=1),
    )


def _normed(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(layer, ChannelNorm(layer.out_channels), nn.ReLU())
