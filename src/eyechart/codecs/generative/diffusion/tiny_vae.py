"""The autoencoder of rdeic-mini: images to a latent of 12 channels at 1/8 of their size.

    image -> encoder -> latent -> decoder -> image

Both sides are a linear transform of blocks of 8x8 pixels, and a convolutional network whose output
is added. Layers at the full size of the image and normalizations are what costs most on a CPU, so
there are none: the networks work on blocks of 4x4 and 8x8 pixels.

It is a variational autoencoder (Kingma and Welling, arXiv 1312.6114). The deviation of the
posterior is one number for each channel. The divergence from a standard normal density, in bits, is
the rate of its training, so that the latent has about unit variance, and noise that small changes
the decoded image little.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from eyechart.codecs.learned.layers import bias_of, conv

BLOCK = 8  # pixels a side of an element of the latent
_PATCH = 4  # pixels a side of an element of the networks' first layers
_NOISE, _MOST_NOISE = 0.08, 0.5  # first deviations, in units of the image and of the latent
_MOST_NATS = 80.0  # of an element: e^-80 is not yet 0 in float32, whose logarithm is infinite


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyVaeShape:
    """latent: channels of the latent. widths: channels at 1/4 and 1/8 of the image's size. blocks:
    residual blocks there."""

    latent: int = 12
    widths: tuple[int, int] = (48, 128)
    blocks: tuple[int, int] = (1, 2)


class TinyVae(nn.Module):
    """`forward` takes images (batch, 3, height, width) in 0..1 whose sides are multiples of 8.

    It returns the reconstruction and, as `latent`, 2^-b for the b bits of each element.
    """

    def __init__(self, shape: TinyVaeShape = TinyVaeShape()) -> None:
        super().__init__()
        self.encoder, self.decoder = _TinyEncoder(shape), _TinyDecoder(shape)
        self.log_deviation = nn.Parameter(torch.full((shape.latent,), _MOST_NOISE).log())

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        mean = self.encoder(x).float()
        log_deviation = self.log_deviation[:, None, None]
        deviation = log_deviation.exp()
        sample = mean + deviation * torch.randn_like(mean) if self.training else mean
        divergence = (mean.square() + deviation.square() - 1) / 2 - log_deviation
        return self.decoder(sample), {"latent": torch.exp(-divergence.clamp(max=_MOST_NATS))}

    def sizes(self) -> Tensor:
        """(latent,): how much a change of each channel of the latent changes the image, about."""
        sizes: Tensor = self.decoder.linear.weight.detach().square().sum((0, 2, 3)).sqrt()
        return sizes

    @torch.no_grad()
    def start(self, images: Tensor) -> None:
        """Set the first weights: the principal components of blocks, the networks add nothing.

        images: (batch, 3, height, width) to compute them from.
        """
        blocks = pixel_unshuffle(images, BLOCK).transpose(0, 1).flatten(1).double()
        mean = blocks.mean(1, keepdim=True)
        values, vectors = torch.linalg.eigh((blocks - mean) @ (blocks - mean).T / blocks.shape[1])
        count = self.log_deviation.numel()
        deviations = values.flip(0)[:count].sqrt()
        basis = vectors.flip(1)[:, :count].T
        forward = basis / deviations[:, None]
        self.log_deviation.copy_((_NOISE / deviations).clamp(max=_MOST_NOISE).log())
        _set(self.encoder.linear, forward, -forward @ mean[:, 0])
        _set(self.decoder.linear, (basis * deviations[:, None]).T, mean[:, 0])
        for last in (self.encoder.last, self.decoder.last):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(bias_of(last))


class _TinyEncoder(nn.Module):
    def __init__(self, shape: TinyVaeShape) -> None:
        super().__init__()
        quarter, eighth = shape.widths
        self.linear = conv(3 * BLOCK**2, shape.latent, kernel=1, stride=1)
        self.first = conv(3 * _PATCH**2, quarter, kernel=3, stride=1)
        self.quarter = _residuals(quarter, shape.blocks[0])
        self.down = conv(quarter, eighth, kernel=3)
        self.eighth = _residuals(eighth, shape.blocks[1])
        self.last = conv(eighth, shape.latent, kernel=3, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.quarter(self.first(pixel_unshuffle(x, _PATCH)))
        found: Tensor = self.linear(pixel_unshuffle(x, BLOCK))
        found = found + self.last(self.eighth(self.down(hidden)))
        return found


class _TinyDecoder(nn.Module):
    def __init__(self, shape: TinyVaeShape) -> None:
        super().__init__()
        quarter, eighth = shape.widths
        self.linear = conv(shape.latent, 3 * BLOCK**2, kernel=1, stride=1)
        self.first = conv(shape.latent, eighth, kernel=3, stride=1)
        self.eighth = _residuals(eighth, shape.blocks[1])
        self.up = conv(eighth, 4 * quarter, kernel=3, stride=1)
        self.quarter = _residuals(quarter, shape.blocks[0])
        self.last = conv(quarter, 3 * _PATCH**2, kernel=3, stride=1)

    def forward(self, latent: Tensor) -> Tensor:
        hidden = pixel_shuffle(self.up(self.eighth(self.first(latent))), 2)
        found: Tensor = pixel_shuffle(self.linear(latent), BLOCK)
        found = found + pixel_shuffle(self.last(self.quarter(hidden)), _PATCH)
        return found


class TinyResidual(nn.Module):
    """Two 3x3 convolutions, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, kernel=3, stride=1)
        self.conv2 = conv(channels, channels, kernel=3, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x.relu()).relu()).add_(x)
        return out


def _residuals(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(TinyResidual(channels) for _ in range(count)))


def _set(layer: nn.Conv2d, matrix: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(matrix[:, :, None, None])
    bias_of(layer).copy_(bias)
