"""From images to latents, and from decoded latents to images, for each of the codecs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.base import SCALE, BaseModel
from eyechart.codecs.generative.diffusion.control import ControlledUnet
from eyechart.codecs.generative.diffusion.lora import merge_lora
from eyechart.codecs.generative.diffusion.mini import RdeicMini
from eyechart.codecs.generative.diffusion.networks import (
    DiffEicNetwork,
    RdeicNetwork,
    StableCodecNetwork,
)
from eyechart.codecs.generative.diffusion.sampler import (
    RELAY_STEPS,
    TRAINED_STEPS,
    clean,
    denoise,
    noise_like,
    noised,
    spaced_steps,
)
from eyechart.codecs.generative.diffusion.tiles import in_blended_tiles
from eyechart.codecs.learned.coding import LatentCoder, Size
from eyechart.codecs.learned.densities import BottleneckTables, bottleneck_tables
from eyechart.codecs.learned.tiles import MOST_LATENTS, in_tiles

# The layers that have LoRA in StableCodec.
UNET_LORA = [
    *("to_k", "to_q", "to_v", "to_out.0", "conv", "conv1", "conv2", "conv_shortcut", "conv_out"),
    *("proj_in", "proj_out", "ff.net.2", "ff.net.0.proj"),
]
VAE_LORA = (
    r"^encoder\..*(conv1|conv2|conv_in|conv_shortcut|conv|conv_out|to_k|to_q|to_v|to_out\.0)$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """codec: its name. device, dtype: of the transforms and the base model. steps: of denoising.
    tile: side in latent elements."""

    codec: str
    device: torch.device
    dtype: torch.dtype
    steps: int
    tile: int


class Pipeline(Protocol):
    """One level on a device.

    tables: of z, None with a codebook. latent_px: pixels a side of an element of y.
    """

    tables: BottleneckTables | None
    latent_px: int

    def latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y and z, before they are rounded, of an image (1, 3, height, width) in 0..1."""
        ...

    def code(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> tuple[Tensor, ...]:
        """Pass z and y to a coder, in float64; -> what `picture` takes. size: of y."""
        ...

    def picture(self, coded: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """An image (1, 3, height, width) in about 0..1. generator: of the noise."""
        ...


class DiffEicPipeline:
    """Denoises pure noise; the condition is a hint of the control module."""

    latent_px = 16

    def __init__(self, network: DiffEicNetwork, base: BaseModel, settings: Settings) -> None:
        self._codec = _placed(network.codec, settings)
        self._base = base.to(settings.device, settings.dtype)
        control = network.control.to(settings.device, settings.dtype)
        self._unet = ControlledUnet(self._base.unet, control, self._base.prompt)
        self._settings = settings
        self.tables: BottleneckTables | None = bottleneck_tables(network.codec.entropy_bottleneck)

    def latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, z = self._codec.latents(x.to(self._settings.dtype), self._base.encode(x))
        return y, z

    def code(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> tuple[Tensor, ...]:
        y_hat, z_hat = self._codec.code_latent(coder, y, z, size)
        return y_hat, z_hat

    def picture(self, coded: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        dtype = self._settings.dtype
        y_hat, z_hat = (part.to(dtype) for part in coded)
        hint = self._codec.condition(y_hat, z_hat)
        start = noise_like(hint, generator, self._base.vae.config.latent_channels)
        predict = _hinted(self._unet, hint, self._settings)
        steps = spaced_steps(self._settings.steps, TRAINED_STEPS)
        return self._base.decode(denoise(predict, start, steps, generator))


class RdeicPipeline:
    """Denoises the decoded latent with the noise of step 300."""

    latent_px = 16
    tables: BottleneckTables | None = None

    def __init__(self, network: RdeicNetwork, base: BaseModel, settings: Settings) -> None:
        self._codec = _placed(network.codec, settings)
        self._base = base.to(settings.device, settings.dtype)
        control = network.control.to(settings.device, settings.dtype)
        self._unet = ControlledUnet(self._base.unet, control, self._base.prompt)
        self._settings = settings

    def latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, z = self._codec.latents(self._base.features(x))
        return y, z

    def code(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> tuple[Tensor, ...]:
        return (self._codec.code_latent(coder, y, z, size),)

    def picture(self, coded: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        start, hint = self._codec.condition(coded[0].to(self._settings.dtype))
        noise = noise_like(start, generator, start.shape[1])
        start = noised(start.float(), RELAY_STEPS - 1, noise)
        predict = _hinted(self._unet, hint, self._settings)
        steps = spaced_steps(self._settings.steps, RELAY_STEPS)
        return self._base.decode(denoise(predict, start, steps, generator))


class RdeicMiniPipeline:
    """As `RdeicPipeline`, with the VAE and the estimator of rdeic-mini. `tile` is not used."""

    latent_px = 16
    tables: BottleneckTables | None = None

    def __init__(self, network: RdeicMini, settings: Settings) -> None:
        self._vae = network.vae.to(settings.device, settings.dtype).eval()
        network.estimator.to(settings.device, settings.dtype).eval()
        self._codec = _placed(network.codec, settings)
        self._network, self._settings = network, settings

    def latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = _in_tiles(self._vae.encoder, x.to(self._settings.dtype), takes=SCALE, gives=1)
        y, z = self._codec.latents(latent)
        return y, z

    def code(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> tuple[Tensor, ...]:
        return (self._codec.code_latent(coder, y, z, size),)

    def picture(self, coded: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        dtype = self._settings.dtype
        c, hint = self._codec.condition(coded[0].to(dtype))
        latent = self._network.relay(c, hint, self._settings.steps, generator)
        return _in_tiles(self._vae.decoder, latent.to(dtype), takes=1, gives=SCALE).float()


class StableCodecPipeline:
    """One step from the decoded latent; a decoded residual is added to the clean latent."""

    latent_px = 64

    def __init__(self, network: StableCodecNetwork, base: BaseModel, settings: Settings) -> None:
        self._codec = _placed(network.codec, settings)
        self._auxiliary = network.auxiliary.to(settings.device, settings.dtype)
        unet = network.lora_of("unet")
        weight, bias = unet.pop("conv_in.weight"), unet.pop("conv_in.bias")
        merge_lora(base.unet, unet, UNET_LORA, part="UNet", codec=settings.codec)
        vae = network.lora_of("vae")
        merge_lora(base.vae, vae, VAE_LORA, part="VAE", codec=settings.codec)
        base.unet.conv_in = _convolution(weight, bias)
        self._base = base.to(settings.device, settings.dtype)
        self._settings = settings
        self.tables: BottleneckTables | None = bottleneck_tables(network.codec.entropy_bottleneck)

    def latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        auxiliary = in_tiles(self._auxiliary, x.to(self._settings.dtype), takes=16, gives=1)
        y, z = self._codec.latents(self._base.encode(x), auxiliary)
        return y, z

    def code(
        self, coder: LatentCoder, y: Tensor | None, z: Tensor | None, size: Size
    ) -> tuple[Tensor, ...]:
        return (self._codec.code_latent(coder, y, z, size),)

    def picture(self, coded: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        start, residual = self._codec.condition(coded[0].to(self._settings.dtype))
        last = TRAINED_STEPS - 1
        predicted = in_blended_tiles(
            lambda x: self._predicted(x, last),
            start,
            tile=self._settings.tile,
            codec=self._settings.codec,
        )
        noisy = start[:, : predicted.shape[1]].float()
        return self._base.decode(clean(noisy, predicted.float(), last) + residual.float())

    def _predicted(self, x: Tensor, step: int) -> Tensor:
        found: Tensor = self._base.unet(x, step, self._base.prompt, return_dict=False)[0]
        return found


def _in_tiles(transform: nn.Module, x: Tensor, *, takes: int, gives: int) -> Tensor:
    return in_tiles(transform, x, takes=takes, gives=gives, most=4 * MOST_LATENTS)


def _hinted(
    unet: ControlledUnet, hint: Tensor, settings: Settings
) -> Callable[[Tensor, int], Tensor]:
    """The UNet's prediction with a hint, in tiles where the latent is large."""

    def predict(x: Tensor, step: int) -> Tensor:
        channels = x.shape[1]
        return in_blended_tiles(
            lambda part: unet(part[:, :channels], part[:, channels:], step),
            torch.cat([x.to(hint), hint], 1),
            tile=settings.tile,
            codec=settings.codec,
        )

    return predict


def _placed(codec: Any, settings: Settings) -> Any:
    """A latent codec on the device: entropy networks in float64, transforms in their precision."""
    placed = codec.to(settings.device).eval().double()
    for name in placed.transforms:
        placed.get_submodule(name).to(settings.dtype)
    return placed


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=1)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
