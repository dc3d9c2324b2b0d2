"""The network of rdeic-mini: RDEIC (Li et al., arXiv 2410.02640) in small, with a VAE of its own.

    image -> VAE -> latent -> latent codec -> c, hint -> relay diffusion -> latent -> VAE -> image

As in RDEIC the decoded latent c gets the noise of step 300, and a network that also gets the hint
of the latent codec's decoder takes noise and coding error away in few steps. There is no base
model: this network predicts the clean latent as a correction of c, and not as a correction of what
Stable Diffusion predicts. The hyper-latent is an entry of a codebook.

The latent codec is a principal component transform of 2x2 elements and convolutional networks whose
output is added, as in the VAE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, silu

from eyechart.codecs.generative.diffusion.blocks import conv1, conv3
from eyechart.codecs.generative.diffusion.context import SliceContext
from eyechart.codecs.generative.diffusion.sampler import (
    RELAY_STEPS,
    denoise,
    noise_like,
    noise_of,
    noised,
    spaced_steps,
)
from eyechart.codecs.generative.diffusion.tiny_vae import TinyResidual, TinyVae, TinyVaeShape
from eyechart.codecs.learned.coding import Estimator, LatentCoder, Size
from eyechart.codecs.learned.layers import bias_of
from eyechart.codecs.learned.principal import latent_gain

_CELL = 2  # elements of the VAE's latent a side of an element of y
_HYPER = 4  # elements of y a side of an element of z
_LEAST_SIZE = 0.02  # of a channel of the latent, as a share of the largest
_WAVES = 32  # numbers that stand for a step
_LONGEST = 1000.0  # steps, of these waves


@dataclass(frozen=True, slots=True, kw_only=True)
class RdeicMiniShape:
    """vae: of the autoencoder. slices: channels of y, in all those of 2x2 latent elements. width:
    channels of the latent codec's networks and of the hint. hyper: channels of z. entries: of the
    codebook. context: widths of the contexts of earlier slices. estimator: channels of the noise
    estimator at 1/8 and 1/16 of the image's size."""

    vae: TinyVaeShape = field(default_factory=TinyVaeShape)
    slices: tuple[int, ...] = (8, 8, 16, 16)
    width: int = 48
    hyper: int = 24
    entries: int = 256
    context: tuple[int, int] = (20, 16)
    estimator: tuple[int, int] = (64, 80)


class RdeicMini(nn.Module):
    """vae: the autoencoder, equal in all levels. codec: the latent codec. estimator: of noise."""

    def __init__(self, shape: RdeicMiniShape = RdeicMiniShape()) -> None:
        super().__init__()
        self.vae = TinyVae(shape.vae)
        self.codec = TinyLatentCodec(shape)
        self.estimator = NoiseEstimator(shape)

    def relay(self, c: Tensor, hint: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """The clean latent, from the decoded one, by relay diffusion. Float32."""
        noise = noise_like(c, generator, c.shape[1])
        return denoise(
            lambda x, step: self.estimator.noise(x, c, hint, step),
            noised(c.float(), RELAY_STEPS - 1, noise),
            spaced_steps(steps, RELAY_STEPS),
            generator,
        )


class TinyLatentCodec(nn.Module):
    """`forward` takes latents of the VAE and returns c, the hint and the likelihoods.

    Sides of the latents are even. y is at 1/16 and z at 1/64 of the image's size. Inside, channels
    are multiplied by `sizes`, so that equal errors change the image equally.
    """

    sizes: Tensor

    transforms = ("linear", "analysis", "hyper_enc", "linear_back", "synthesis", "out")

    def __init__(self, shape: RdeicMiniShape) -> None:
        super().__init__()
        latent, width, hyper = sum(shape.slices), shape.width, shape.hyper
        cell = shape.vae.latent * _CELL**2
        self.linear = conv1(cell, latent)
        self.analysis = nn.Sequential(conv3(cell, width), TinyResidual(width), conv3(width, latent))
        self.hyper_enc = nn.Sequential(
            conv3(latent, hyper, stride=2), nn.ReLU(), conv3(hyper, hyper, stride=2)
        )
        self.hyper_dec = nn.Sequential(
            _doubling(hyper, hyper), nn.ReLU(), _doubling(hyper, hyper), nn.ReLU()
        )
        self.linear_back = conv1(latent, cell)
        self.synthesis = nn.Sequential(
            conv3(latent, width), TinyResidual(width), _doubling(width, width), TinyResidual(width)
        )
        self.out = conv3(width, shape.vae.latent)
        self.context = SliceContext(shape.slices, hyper, widths=shape.context)
        self.codebook = nn.Parameter(torch.randn(shape.entries, hyper))
        self.register_buffer("sizes", torch.ones(shape.vae.latent, 1, 1))

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor], Tensor]:
        """The last output is the loss of the codebook."""
        estimator = Estimator(training=self.training)
        y, z = self.latents(latent)
        y_hat = self.code_latent(estimator, y, z, (y.shape[2], y.shape[3]))
        likelihoods = {"y": estimator.of_pairs(), "z": estimator.z_likelihoods[0]}
        return *self.condition(y_hat), likelihoods, estimator.codebook_loss

    def latents(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """y and z before they are rounded."""
        cells = pixel_unshuffle(latent * self.sizes.to(latent), _CELL)
        y = self.linear(cells) + self.analysis(cells)
        return y, self.hyper_enc(y)

    def code_latent(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> Tensor:
        """Pass z and then y to a coder; -> y_hat. size: of y."""
        height, width = size
        z_hat = coder.codebook(z, self.codebook, (-(-height // _HYPER), -(-width // _HYPER)))
        return self.context.code(coder, y, self.hyper_dec(z_hat)[:, :, :height, :width])

    def condition(self, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """c and the hint, at 1/8 of the image's size."""
        hint = self.synthesis(y_hat)
        c = pixel_shuffle(self.linear_back(y_hat), _CELL) + self.out(hint)
        return c / self.sizes.to(c), hint

    @torch.no_grad()
    def start(self, latents: Tensor, sizes: Tensor, lmbda: float) -> None:
        """Set the first weights: principal components, and what z is for a codebook.

        latents: of the VAE. sizes: (channels,), how much a change of each channel changes the
        image. lmbda: sets the size of y, so that a quantisation step of 1 is right.
        """
        self.sizes.copy_(sizes.clamp(min=_LEAST_SIZE * sizes.max())[:, None, None])
        cells = pixel_unshuffle(latents * self.sizes, _CELL)
        values = cells.transpose(0, 1).flatten(1).double()
        mean = values.mean(1, keepdim=True)
        _, vectors = torch.linalg.eigh((values - mean) @ (values - mean).T / values.shape[1])
        basis, gain = vectors.flip(1).T, latent_gain(lmbda)
        _set(self.linear, gain * basis, -gain * (basis @ mean)[:, 0])
        _set(self.linear_back, basis.T / gain, mean[:, 0])
        last = self.analysis[-1]
        assert isinstance(last, nn.Conv2d)
        for layer in (last, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(bias_of(layer))
        y = self.linear(cells)
        self.context.start(y.std((0, 2, 3)))
        z = self.hyper_enc(y).transpose(0, 1).flatten(1).T
        chosen = torch.linspace(0, len(z) - 1, len(self.codebook)).long()
        self.codebook.copy_(z[chosen])

    @torch.no_grad()
    def scale_latent(self, factor: float) -> None:
        """Multiply y by a factor that the synthesis divides by: only the rounding of y changes."""
        last, first, hyper = self.analysis[-1], self.synthesis[0], self.hyper_enc[0]
        for layer in (self.linear, last):
            assert isinstance(layer, nn.Conv2d)
            layer.weight.mul_(factor)
            bias_of(layer).mul_(factor)
        for layer in (self.linear_back, first, hyper):
            assert isinstance(layer, nn.Conv2d)
            layer.weight.div_(factor)
        self.context.scale(factor)


class NoiseEstimator(nn.Module):
    """Corrects the decoded latent: two sizes, with a scale and a shift of channels by the step."""

    def __init__(self, shape: RdeicMiniShape) -> None:
        super().__init__()
        (wide, narrow), latent = shape.estimator, shape.vae.latent
        self.first = conv3(2 * latent + shape.width, wide)
        self.before, self.after = _TimedResidual(wide), _TimedResidual(wide)
        self.down = conv3(wide, narrow, stride=2)
        self.middle = nn.ModuleList(_TimedResidual(narrow) for _ in range(2))
        self.up = nn.Sequential(conv1(narrow, 4 * wide), nn.PixelShuffle(2))
        self.last = conv3(wide, latent)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(bias_of(self.last))

    def forward(self, x: Tensor, c: Tensor, hint: Tensor, step: int) -> Tensor:
        """The clean latent. x: noisy latents, of even sides."""
        waves = _waves(step, x.device).to(x.dtype)
        fine = self.before(self.first(torch.cat([x, c, hint], 1)), waves)
        coarse = self.down(fine)
        for block in self.middle:
            coarse = block(coarse, waves)
        found: Tensor = self.last(self.after(fine + self.up(coarse), waves))
        return c + found

    def noise(self, x: Tensor, c: Tensor, hint: Tensor, step: int) -> Tensor:
        """The noise, with the residual, that the predicted clean latent implies."""
        return noise_of(x, self.forward(x.to(c), c, hint, step).to(x), step)


class _TimedResidual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv3(channels, channels), conv3(channels, channels)
        self.time = nn.Linear(_WAVES, 2 * channels)

    def forward(self, x: Tensor, waves: Tensor) -> Tensor:
        scale, shift = self.time(waves)[:, :, None, None].chunk(2, 1)
        hidden = self.conv1(silu(x)) * (1 + scale) + shift
        out: Tensor = x + self.conv2(silu(hidden))
        return out


def _waves(step: int, device: torch.device) -> Tensor:
    """(1, waves): sines and cosines of the step."""
    half = _WAVES // 2
    rates = torch.exp(-math.log(_LONGEST) * torch.arange(half, device=device) / half)
    return torch.cat([(step * rates).sin(), (step * rates).cos()])[None]


def _doubling(inputs: int, outputs: int) -> nn.Sequential:
    """Doubles height and width."""
    return nn.Sequential(conv1(inputs, 4 * outputs), nn.PixelShuffle(2), conv3(outputs, outputs))


def _set(layer: nn.Conv2d, matrix: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(matrix[:, :, None, None])
    bias_of(layer).copy_(bias)
