"""First weights of strided convolutions: a principal component transform and its inverse.

Each convolution takes blocks of 2x2 to their principal components, each transposed convolution
takes these back. Together they are a linear transform coder of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.layers import bias_of

FIRST_BRANCHES = 0.1  # of a transformer block's random weights, so that it changes its input little
_NOISE = 0.02  # of the size that random weights would have


@runtime_checkable
class LinearStart(Protocol):
    """A network whose training starts as a principal component transform.

    start: set the weights from images (batch, 3, height, width) in 0..1 for a weight of the
    distortion. scale_latent: multiply y by a factor without changing the transforms otherwise.
    """

    def start(self, images: Tensor, lmbda: float) -> None: ...
    def scale_latent(self, factor: float) -> None: ...


def latent_gain(lmbda: float) -> float:
    """Factor on orthonormal components in 0..1 with which a quantisation step of 1 is optimal.

    At a high rate the loss lambda * 255^2 * MSE + bits per pixel of three channels is smallest
    where the step is sqrt(18 / (lambda * 255^2 * ln 2)).
    """
    return math.sqrt(lmbda * 255**2 * math.log(2) / 18)


@torch.no_grad()
def start_linear(
    down: Sequence[nn.Conv2d], up: Sequence[nn.ConvTranspose2d], pictures: Tensor, *, gain: float
) -> Tensor:
    """Set the weights of stride-2 convolutions and, outermost first, of their inverses.

    pictures: (batch, 3, height, width), sides multiples of 2^len(down). gain: factor on the latent.
    Returns the latent of the images.
    """
    x, channels = pictures, pictures.shape[1]
    for index, (forward, backward) in enumerate(zip(down, up, strict=True)):
        factor = gain if index == 0 else 1.0
        basis, mean = _principal(F.pixel_unshuffle(x[:, :channels], 2), forward.out_channels)
        for layer, inputs in ((forward, channels), (backward, len(basis))):
            taps = layer.kernel_size[0] * layer.kernel_size[1]
            layer.weight.normal_(0, _NOISE * (inputs * taps) ** -0.5)
        extra = forward.weight[len(basis) :]
        extra.normal_(0, (extra[0].numel() if len(extra) else 1) ** -0.5)
        _block(forward)[: len(basis), :channels] = factor * basis.reshape(-1, channels, 2, 2)
        nn.init.zeros_(bias_of(forward))
        bias_of(forward)[: len(basis)] = -factor * basis @ mean
        _block(backward)[: len(basis), :channels] = basis.reshape(-1, channels, 2, 2) / factor
        nn.init.zeros_(bias_of(backward))
        bias_of(backward)[:channels] = mean.reshape(channels, 4).mean(1)
        x, channels = forward(x), len(basis)
    return x


def _block(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """The 2x2 taps that meet each input once: (out or in, in or out, 2, 2)."""
    first = layer.kernel_size[0] // 2
    return layer.weight[:, :, first : first + 2, first : first + 2]


def _principal(blocks: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Principal components (rows, orthonormal, at most `most`) of (batch, channels, h, w), mean."""
    values = blocks.transpose(0, 1).flatten(1).double()
    mean = values.mean(1, keepdim=True)
    covariance = (values - mean) @ (values - mean).T / values.shape[1]
    _, vectors = torch.linalg.eigh(covariance)
    basis = vectors.flip(1)[:, :most].T
    return basis.to(blocks), mean[:, 0].to(blocks)
