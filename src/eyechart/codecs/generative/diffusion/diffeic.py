"""The latent codec of DiffEIC (Li et al., arXiv 2404.18820), section III-A.

    x, f -> encoder -> y -> slices, two passes each -> y_hat -> decoder -> c, the condition
                       |            ^ means, scales               ^
                  f -> hyper_enc -> z -> z_hat -> hyper_dec       |
                                         z_hat -> f_c ------------+

f is the latent of the base model's VAE. Its features modulate all transforms. c has the size of f
and is the hint of the control module.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from eyechart.codecs.generative.diffusion.blocks import (
    Bottleneck,
    Doubling,
    Halving,
    ModulatedResidual,
    Modulation,
    conv1,
    conv3,
    with_gelu,
)
from eyechart.codecs.generative.diffusion.context import SliceContext
from eyechart.codecs.learned.coding import Estimator, LatentCoder, Size
from eyechart.codecs.learned.entropy import EntropyBottleneck
from eyechart.codecs.learned.layers import conv, deconv
from eyechart.codecs.learned.tiles import in_tiles

_REFERENCE_PX = 8  # side of an element of the VAE's latent


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffEicShape:
    """The sizes of the latent codec. The defaults are those of the published code.

    widths: channels of the encoder at 1/2, 1/4, 1/8 and 1/16 of the image's size. hyper: channels
    of z. slices: of y. features: channels of what modulates. reference: channels of f and c.
    blocks: residual blocks at each size.
    """

    widths: tuple[int, int, int, int] = (64, 128, 192, 192)
    hyper: int = 192
    slices: tuple[int, ...] = (8, 8, 8, 8, 16, 16, 32, 32, 96, 96)
    features: int = 64
    reference: int = 4
    blocks: int = 3

    @property
    def latent(self) -> int:
        return sum(self.slices)


class DiffEicLatentCodec(nn.Module):
    """`forward` takes images in 0..1 and their VAE latents, and returns c and the likelihoods.

    Sides of images are multiples of 64.
    """

    transforms = ("encoder", "hyper_enc", "f_c", "decoder")

    def __init__(self, shape: DiffEicShape = DiffEicShape()) -> None:
        super().__init__()
        hyper, latent = shape.hyper, shape.latent
        self.encoder, self.hyper_enc = _DiffEicEncoder(shape), _HyperEncoder(shape)
        self.hyper_dec = with_gelu(
            deconv(hyper, latent),
            deconv(latent, latent * 3 // 2),
            deconv(latent * 3 // 2, 2 * latent, kernel=3, stride=1),
        )
        self.f_c = with_gelu(
            deconv(hyper, hyper // 2),
            deconv(hyper // 2, hyper // 4),
            deconv(hyper // 4, hyper // 4, kernel=3, stride=1),
        )
        self.decoder = _Decoder(shape)
        self.context = SliceContext(shape.slices, 2 * latent)
        self.entropy_bottleneck = EntropyBottleneck(hyper)

    def forward(self, x: Tensor, reference: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        estimator = Estimator(training=self.training)
        y, z = self.latents(x, reference)
        y_hat, z_hat = self.code_latent(estimator, y, z, (y.shape[2], y.shape[3]))
        likelihoods = {"y": estimator.of_pairs(), "z": estimator.z_likelihoods[0]}
        return self.condition(y_hat, z_hat), likelihoods

    def latents(self, x: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """y at 1/16 and z at 1/64 of the image's size."""
        packed = torch.cat([pixel_unshuffle(x, _REFERENCE_PX), reference], 1)
        y = in_tiles(self._encode, packed, takes=2, gives=1)
        return y, self.hyper_enc(y, reference)

    def _encode(self, packed: Tensor) -> Tensor:
        """packed: images with 8x8 pixels in the channels of an element, and their VAE latents."""
        pixels = 3 * _REFERENCE_PX**2
        image = pixel_shuffle(packed[:, :pixels], _REFERENCE_PX)
        y: Tensor = self.encoder(image, packed[:, pixels:])
        return y

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> tuple[Tensor, Tensor]:
        """Pass z and then y to a coder; -> y_hat, z_hat. size: of y."""
        z_hat = coder.bottleneck(z, self.entropy_bottleneck, (size[0] // 4, size[1] // 4))
        return self.context.code(coder, y, self.hyper_dec(z_hat)), z_hat

    def condition(self, y_hat: Tensor, z_hat: Tensor) -> Tensor:
        """c, at 1/8 of the image's size."""
        found: Tensor = self.decoder(y_hat, self.f_c(z_hat))
        return found


class _DiffEicEncoder(nn.Module):
    def __init__(self, shape: DiffEicShape) -> None:
        super().__init__()
        features = shape.features
        half, quarter, eighth, last = shape.widths
        self.sft_1_8 = with_gelu(conv3(shape.reference, features), conv1(features, features))
        self.sft_1_16 = with_gelu(conv3(features, features, stride=2), conv1(features, features))
        self.sft_1_16_2 = with_gelu(conv3(features, features), conv1(features, features))
        sizes = ((3, half), (half, quarter), (quarter, eighth))
        self.g_a1 = nn.Sequential(
            *(
                layer
                for before, after in sizes
                for layer in (Halving(before, after), *_blocks(shape, after))
            )
        )
        self.g_a1_ref = Modulation(eighth, features)
        self.g_a2 = nn.Sequential(Halving(eighth, last), *_blocks(shape, last))
        self.g_a2_ref = Modulation(last, features)
        self.g_a3 = conv3(last, last)
        self.g_a4, self.g_a5 = ModulatedResidual(last, features), ModulatedResidual(last, features)
        self.g_a6 = conv3(last, shape.latent)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        features = self.sft_1_8(reference)
        x = self.g_a1_ref(self.g_a1(x), features)
        features = self.sft_1_16(features)
        x = self.g_a2_ref(self.g_a2(x), features)
        features = self.sft_1_16_2(features)
        x = self.g_a5(self.g_a4(self.g_a3(x), features), features)
        y: Tensor = self.g_a6(x)
        return y


class _HyperEncoder(nn.Module):
    def __init__(self, shape: DiffEicShape) -> None:
        super().__init__()
        hyper, features = shape.hyper, shape.features
        self.sft_feature = with_gelu(
            conv3(shape.reference, features, stride=2), conv1(features, features)
        )
        self.sft_feature_h1 = _narrowing(shape.latent + features, features)
        self.sft_feature_h2 = with_gelu(
            conv(features, features, kernel=3), conv1(features, features)
        )
        self.sft_feature_h3 = with_gelu(
            conv(features, features, kernel=3), conv1(features, features)
        )
        self.h_a0, self.h_a1 = conv3(shape.latent, hyper), Modulation(hyper, features)
        self.h_a3, self.h_a4 = conv(hyper, hyper), Modulation(hyper, features)
        self.h_a6 = conv(hyper, hyper)
        self.h_a7 = ModulatedResidual(hyper, features)
        self.h_a8 = ModulatedResidual(hyper, features)
        self.h_a9 = conv1(hyper, hyper)

    def forward(self, y: Tensor, reference: Tensor) -> Tensor:
        features = self.sft_feature_h1(torch.cat([self.sft_feature(reference), y], 1))
        x = nn.functional.gelu(self.h_a1(self.h_a0(y), features))
        features = self.sft_feature_h2(features)
        x = nn.functional.gelu(self.h_a4(self.h_a3(x), features))
        features = self.sft_feature_h3(features)
        x = self.h_a8(self.h_a7(self.h_a6(x), features), features)
        z: Tensor = self.h_a9(x)
        return z


class _Decoder(nn.Module):
    def __init__(self, shape: DiffEicShape) -> None:
        super().__init__()
        latent, hyper, features = shape.latent, shape.hyper, shape.features
        self.sft_feature_gs1 = _narrowing(latent + hyper // 4, features)
        self.sft_feature_gs2 = with_gelu(conv3(features, features), conv1(features, features))
        self.sft_feature_gs3 = with_gelu(
            deconv(features, features, kernel=3), conv1(features, features)
        )
        self.g_s0 = ModulatedResidual(latent, features)
        self.g_s1 = ModulatedResidual(latent, features)
        self.g_s2 = nn.Sequential(conv3(latent, hyper), *_blocks(shape, hyper))
        self.g_s2_ref = Modulation(hyper, features)
        self.g_s3 = nn.Sequential(Doubling(hyper, hyper), *_blocks(shape, hyper))
        self.g_s3_ref = Modulation(hyper, features)
        self.g_s4 = conv3(hyper, shape.reference)

    def forward(self, y_hat: Tensor, known: Tensor) -> Tensor:
        features = self.sft_feature_gs1(torch.cat([known, y_hat], 1))
        x = self.g_s1(self.g_s0(y_hat, features), features)
        features = self.sft_feature_gs2(features)
        x = self.g_s2_ref(self.g_s2(x), features)
        features = self.sft_feature_gs3(features)
        x = self.g_s3_ref(self.g_s3(x), features)
        found: Tensor = self.g_s4(x)
        return found


def _blocks(shape: DiffEicShape, channels: int) -> list[nn.Module]:
    return [Bottleneck(channels) for _ in range(shape.blocks)]


def _narrowing(inputs: int, features: int) -> nn.Sequential:
    return with_gelu(
        conv3(inputs, 4 * features),
        conv3(4 * features, 2 * features),
        conv3(2 * features, features),
    )
