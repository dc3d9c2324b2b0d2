"""The conditional patch discriminator of HiFiC (arXiv 2006.09965, section 3.2 and figure 2).

    y_hat -> conv -> leaky ReLU -> nearest neighbour, to the image's size
                                          |
    image -------------------------> concatenate -> 4 x (conv -> leaky ReLU) -> conv -> logits

There is one logit for each 16x16 pixels of the image.
All convolutions but the last have spectral normalization (Miyato et al., arXiv 1802.05957).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

_SLOPE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorShape:
    """The sizes of a discriminator. The defaults are those of HiFiC.

    condition: channels that are made of the latent. widths: channels at 1/2 to 1/16 of the size.
    """

    condition: int = 12
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)


HIFIC_DISCRIMINATOR = DiscriminatorShape()


class Discriminator(nn.Module):
    """Tells uncompressed images from decoded ones. latent: channels of y.

    `forward` takes images (batch, 3, height, width) in 0..1 and the latent (batch, latent, height /
    16, width / 16), and returns logits of that size; positive ones mean uncompressed.
    """

    def __init__(self, latent: int, shape: DiscriminatorShape = HIFIC_DISCRIMINATOR) -> None:
        super().__init__()
        self.condition = spectral_norm(nn.Conv2d(latent, shape.condition, 3, padding=1))
        layers: list[nn.Module] = []
        inputs = 3 + shape.condition
        for width in shape.widths:
            layers += [spectral_norm(nn.Conv2d(inputs, width, 4, stride=2, padding=1))]
            layers += [nn.LeakyReLU(_SLOPE)]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 1))

    def forward(self, images: Tensor, y_hat: Tensor) -> Tensor:
        known = F.leaky_relu(self.condition(y_hat), _SLOPE)
        known = F.interpolate(known, images.shape[2:], mode="nearest")
        logits: Tensor = self.layers(torch.cat([2 * images - 1, known], 1))
        return logits
