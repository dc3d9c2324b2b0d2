"""The latent codec of StableCodec (Zhang et al., arXiv 2506.21977), sections 3.2 and 3.3.

    f, a -> g_a -> y -> four parts, one after the other -> y_hat -> g_s -> what the UNet gets
                   |          ^ means, scales                |
                  h_a -> z -> z_hat -> h_s                   +----> aux -> added to the clean latent

f is the latent of the base model's VAE, with LoRA in its encoder; a is the latent of the auxiliary
encoder, an ELIC network. y is at 1/64 of the image's size.

A quarter of y's channels is coded at each position of a 2x2 cell in each part: all channels at all
positions after four parts. What is known of y replaces the estimate of it (`base`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from eyechart.codecs.learned.coding import Estimator, LatentCoder, Size
from eyechart.codecs.learned.entropy import EntropyBottleneck

_PARTS = 4
# For each part, the place in a 2x2 cell (row by row) of each quarter of the channels.
_PLACES = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))
_BAND = 11  # length of the long kernels
_NORM_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class StableCodecShape:
    """The sizes of the latent codec. The defaults are those of the published code.

    latent: channels of y and of what the UNet gets. first: channels of f and of a inside g_a.
    widths: channels of g_a. aux: channels of the auxiliary decoder. reference: channels of f.
    auxiliary: channels of a.
    """

    latent: int = 320
    first: tuple[int, int] = (128, 64)
    widths: tuple[int, int] = (192, 256)
    aux: tuple[int, int] = (256, 192)
    reference: int = 4
    auxiliary: int = 320


class StableLatentCodec(nn.Module):
    """`forward` takes f and a and returns what the UNet gets, what is added and the likelihoods.

    Sides of images are multiples of 256.
    """

    transforms = ("g_a", "h_a", "g_s", "aux")

    def __init__(self, shape: StableCodecShape = StableCodecShape()) -> None:
        super().__init__()
        self.shape = shape
        latent, hyper, wide = shape.latent, shape.latent // 2, 3 * shape.latent
        self.g_a = _LatentAnalysis(shape)
        self.h_a = nn.Sequential(_halving(latent, hyper), _block(hyper), _halving(hyper, hyper))
        self.h_s = nn.Sequential(
            nn.Conv2d(hyper, 4 * hyper, 1),
            nn.PixelShuffle(2),
            _block(hyper),
            nn.Conv2d(hyper, 4 * latent, 1),
            nn.PixelShuffle(2),
        )
        self.g_s = _growing(latent, latent, latent, latent)
        self.aux = _growing(latent, *shape.aux, shape.reference)
        self.adapter_in = nn.ModuleList(_PriorAdapter(latent, wide) for _ in range(_PARTS))
        self.g_c = nn.Sequential(*(_block(wide) for _ in range(4)))
        self.adapter_out = nn.ModuleList(_PriorAdapter(wide, 2 * latent) for _ in range(_PARTS))
        middle = 3 * latent // 2
        self.LRP = nn.ModuleList(
            nn.Sequential(_PriorAdapter(2 * latent, middle), _PriorAdapter(middle, latent))
            for _ in range(_PARTS)
        )
        self.entropy_bottleneck = EntropyBottleneck(hyper)

    def forward(
        self, reference: Tensor, auxiliary: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        estimator = Estimator(training=self.training)
        y, z = self.latents(reference, auxiliary)
        size = (y.shape[2], y.shape[3])
        y_hat = self.code_latent(estimator, y, z, size)
        parts = [
            _spread(likelihoods, place, 1.0)
            for place, likelihoods in enumerate(estimator.y_likelihoods)
        ]
        coded = {"y": torch.stack(parts).prod(0), "z": estimator.z_likelihoods[0]}
        return *self.condition(y_hat), coded

    def latents(self, reference: Tensor, auxiliary: Tensor) -> tuple[Tensor, Tensor]:
        """y at 1/64 and z at 1/256 of the image's size."""
        y = self.g_a(reference, auxiliary)
        return y, self.h_a(y)

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor:
        """Pass z and then the four parts of y to a coder; -> y_hat. size: of y."""
        z_hat = coder.bottleneck(z, self.entropy_bottleneck, (size[0] // 4, size[1] // 4))
        base: Tensor = self.h_s(z_hat)
        for place in range(_PARTS):
            support = self.adapter_out[place](self.g_c(self.adapter_in[place](base)))
            means, scales = (_gather(part, place) for part in support.chunk(2, 1))
            own = None if y is None else _gather(y, place)
            coded = _spread(coder.gaussian(own, means, scales), place)
            mask = _mask(base, place)
            correction = 0.5 * torch.tanh(self.LRP[place](torch.cat([coded, base], 1)) * mask)
            base = base * (1 - mask) + coded + correction
        return base

    def condition(self, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """What the UNet gets, and what is added to the clean latent, at 1/8 of the image's size."""
        return self.g_s(y_hat), self.aux(y_hat)


def _gather(full: Tensor, part: int) -> Tensor:
    """The quarter of the elements that a part codes, (batch, channels / 4, height, width)."""
    return torch.stack((full * _mask(full, part)).chunk(_PARTS, 1)).sum(0)


def _spread(gathered: Tensor, part: int, fill: float = 0.0) -> Tensor:
    """The inverse of `_gather`, with another value at all other elements."""
    full = gathered.repeat(1, _PARTS, 1, 1)
    return torch.where(_mask(full, part) > 0, full, fill)


def _mask(like: Tensor, part: int) -> Tensor:
    """1 at the elements of a part, else 0: (1, channels, height, width)."""
    channels, height, width = like.shape[1:]
    rows = torch.arange(height, device=like.device)[:, None] % 2
    columns = torch.arange(width, device=like.device)[None, :] % 2
    cell = 2 * rows + columns
    quarters = [(cell == place).to(like) for place in _PLACES[part]]
    return torch.stack(quarters).repeat_interleave(channels // _PARTS, 0)[None]


class _LatentAnalysis(nn.Module):
    def __init__(self, shape: StableCodecShape) -> None:
        super().__init__()
        (first, second), (width, wider) = shape.first, shape.widths
        assert first + second == width
        self.pre1 = _HalvingBlock(shape.reference, first)
        self.pre2 = nn.Conv2d(shape.auxiliary, second, 3, padding=1)
        self.analysis_transform = nn.Sequential(
            _block(width),
            _HalvingBlock(width, wider),
            _block(wider),
            _HalvingBlock(wider, shape.latent),
            _block(shape.latent),
        )

    def forward(self, reference: Tensor, auxiliary: Tensor) -> Tensor:
        known = torch.cat([self.pre1(reference), self.pre2(auxiliary)], 1)
        y: Tensor = self.analysis_transform(known)
        return y


class _Bands(nn.Module):
    """Depthwise convolutions: 3x3, 1x11 and 11x1 on an eighth of the channels each.

    The other channels stay (InceptionNeXt, arXiv 2303.16900).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        eighth, reach = channels // 8, _BAND // 2
        self._sizes = [channels - 3 * eighth, eighth, eighth, eighth]
        self.dwconv_hw = nn.Conv2d(eighth, eighth, 3, padding=1, groups=eighth)
        self.dwconv_w = nn.Conv2d(eighth, eighth, (1, _BAND), padding=(0, reach), groups=eighth)
        self.dwconv_h = nn.Conv2d(eighth, eighth, (_BAND, 1), padding=(reach, 0), groups=eighth)

    def forward(self, x: Tensor) -> Tensor:
        kept, square, across, down = torch.split(x, self._sizes, 1)
        parts = [kept, self.dwconv_hw(square), self.dwconv_w(across), self.dwconv_h(down)]
        return torch.cat(parts, 1)


class _MixedBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthconv = _Bands(channels)
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(gelu(self.conv1(self.depthconv(x))))
        return out


class _Gated(nn.Module):
    """A gated depthwise convolution behind a normalization of each position's channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 2 * channels
        self.norm = nn.LayerNorm(channels, eps=_NORM_EPSILON)
        self.fc1 = nn.Conv2d(channels, 2 * hidden, 1)
        self.conv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        normal = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        gate, value = self.fc1(normal).chunk(2, 1)
        out: Tensor = x + self.fc2(gelu(gate) * self.conv(value))
        return out


def _block(channels: int) -> nn.Sequential:
    return nn.Sequential(_MixedBlock(channels), _Gated(channels))


class _HalvingBlock(nn.Module):
    """Halves height and width: the sum of a 3x3 and of a depthwise 5x5 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branch1 = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1), nn.GELU(), _halving(outputs, outputs)
        )
        self.branch2 = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1),
            nn.GELU(),
            nn.Conv2d(outputs, outputs, 5, stride=2, padding=2, groups=outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.branch1(x) + self.branch2(x)
        return out


class _DoublingBlock(nn.Module):
    """Doubles height and width: the sum of two sub-pixel convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        dense = nn.Conv2d(inputs, inputs, 3, padding=1)
        deep = nn.Conv2d(inputs, inputs, 5, padding=2, groups=inputs)
        self.branch1, self.branch2 = (
            nn.Sequential(first, nn.GELU(), nn.Conv2d(inputs, 4 * outputs, 1), nn.PixelShuffle(2))
            for first in (dense, deep)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.branch1(x) + self.branch2(x)
        return out


class _PriorAdapter(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = (inputs + outputs) // 2
        self.branch1 = nn.Sequential(
            nn.Conv2d(inputs, middle, 1),
            nn.GELU(),
            nn.Conv2d(middle, middle, 5, padding=2, groups=middle),
            nn.GELU(),
            nn.Conv2d(middle, outputs, 1),
        )
        self.branch2 = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.branch1(x) + self.branch2(x)
        return out


def _halving(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def _growing(first: int, second: int, third: int, last: int) -> nn.Sequential:
    """To eight times the height and width, in three steps."""
    return nn.Sequential(
        _block(first),
        _DoublingBlock(first, second),
        _block(second),
        _DoublingBlock(second, third),
        _block(third),
        _DoublingBlock(third, last),
    )
