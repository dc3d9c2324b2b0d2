"""The latent codec of RDEIC (Li et al., arXiv 2410.02640), section III-B.

    f -> encoder -> y -> slices, two passes each -> y_hat -> decoder -> hint -> out -> c
                    |            ^ means, scales
                hyper_enc -> z -> nearest of a codebook -> hyper_dec

f are features of the base model's VAE encoder, c is an estimate of the VAE's latent from which the
diffusion starts, hint what the noise estimator gets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.blocks import Doubling, Halving, ResidualBlock, conv3
from eyechart.codecs.generative.diffusion.context import SliceContext
from eyechart.codecs.learned.coding import Estimator, LatentCoder, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class RdeicShape:
    """The sizes of the latent codec. The defaults are those of the published code.

    inputs: channels of f. hyper: channels of z. slices: of y. entries: of the codebook. outputs:
    channels of c. blocks: residual blocks at each size.
    """

    inputs: int = 512
    hyper: int = 256
    slices: tuple[int, ...] = (8, 8, 8, 8, 16, 16, 32, 32, 64, 64)
    entries: int = 16384
    outputs: int = 4
    blocks: int = 3

    @property
    def latent(self) -> int:
        return sum(self.slices)


class RdeicLatentCodec(nn.Module):
    """`forward` takes f at 1/8 of the image's size and returns c, the hint and the likelihoods.

    Sides of images are multiples of 64.
    """

    transforms = ("encoder", "hyper_enc", "decoder", "out")

    def __init__(self, shape: RdeicShape = RdeicShape()) -> None:
        super().__init__()
        latent, hyper, blocks = shape.latent, shape.hyper, shape.blocks
        self.encoder = nn.Sequential(
            ResidualBlock(shape.inputs, latent),
            *_residuals(latent, blocks),
            Halving(latent, latent),
            *_residuals(latent, blocks),
            conv3(latent, latent),
        )
        self.hyper_enc = nn.Sequential(
            ResidualBlock(latent, hyper),
            ResidualBlock(hyper, hyper),
            Halving(hyper, hyper),
            Halving(hyper, hyper),
        )
        self.hyper_dec = nn.Sequential(
            Doubling(hyper, latent),
            Doubling(latent, latent),
            ResidualBlock(latent, latent * 3 // 2),
            ResidualBlock(latent * 3 // 2, 2 * latent),
        )
        self.decoder = nn.Sequential(
            conv3(latent, latent),
            *_residuals(latent, blocks),
            Doubling(latent, latent),
            *_residuals(latent, blocks + 1),
        )
        self.out = conv3(latent, shape.outputs)
        self.context = SliceContext(shape.slices, 2 * latent)
        self.codebook = nn.Parameter(torch.randn(shape.entries, hyper) / shape.entries)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        estimator = Estimator(training=self.training)
        y, z = self.latents(features)
        y_hat = self.code_latent(estimator, y, z, (y.shape[2], y.shape[3]))
        likelihoods = {"y": estimator.of_pairs(), "z": estimator.z_likelihoods[0]}
        return *self.condition(y_hat), likelihoods

    def latents(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """y at 1/16 and z at 1/64 of the image's size."""
        y = self.encoder(features)
        return y, self.hyper_enc(y)

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor:
        """Pass z and then y to a coder; -> y_hat. size: of y."""
        z_hat = coder.codebook(z, self.codebook, (size[0] // 4, size[1] // 4))
        return self.context.code(coder, y, self.hyper_dec(z_hat))

    def condition(self, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """c and the hint, at 1/8 of the image's size."""
        hint = self.decoder(y_hat)
        return self.out(hint), hint


def _residuals(channels: int, count: int) -> list[nn.Module]:
    return [ResidualBlock(channels, channels) for _ in range(count)]
