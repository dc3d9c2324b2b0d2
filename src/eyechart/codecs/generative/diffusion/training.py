"""The stages in which the codecs on Stable Diffusion are trained. The base model stays as it is.

| codec | stage | trains | compares |
| --- | --- | --- | --- |
| DiffEIC, RDEIC | latent | the latent codec | the decoded latent with that of the VAE |
| DiffEIC, RDEIC | diffusion | latent codec, control module or noise estimator | the same, and predicted noise |
| RDEIC | finetune | the same, through two steps of decoding | images, and their features |
| StableCodec | diffusion | latent codec, auxiliary encoder, LoRA | images, and their features |
| StableCodec | finetune | the same | the same, with a discriminator |

The first stage of a codec may start from random weights, the others start from those of an earlier
one. The noise of the diffusion is that of one training step for all crops of an optimizer step. The
distance of latents is that of images: 255^2 * MSE.

DiffEIC (arXiv 2404.18820) and RDEIC (arXiv 2410.02640) train latent codec and noise prediction
together, as stage `diffusion` does. RDEIC's fixed-step fine-tuning is stage `finetune`. What
StableCodec (arXiv 2506.21977) minimises is in `stable_objective`.
"""  # noqa: E501 (a table)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.base import BaseKind, BaseModel, find_base, load_base
from eyechart.codecs.generative.diffusion.control import ControlledUnet
from eyechart.codecs.generative.diffusion.lora import first_lora, module_of, share_lora
from eyechart.codecs.generative.diffusion.networks import StableCodecNetwork
from eyechart.codecs.generative.diffusion.pipelines import UNET_LORA, VAE_LORA
from eyechart.codecs.generative.diffusion.sampler import (
    RELAY_STEPS,
    TRAINED_STEPS,
    clean,
    denoise,
    noise_like,
    noised,
    relayed,
    spaced_steps,
    step_generator,
)
from eyechart.codecs.generative.diffusion.stable_objective import stablecodec_objective
from eyechart.codecs.generative.gan import gan_objective
from eyechart.codecs.learned.coding import Estimator
from eyechart.codecs.learned.objective import Compare, Compared
from eyechart.codecs.learned.train import Start, TrainConfig, TrainingStage
from eyechart.core.errors import InputError

_FINETUNED_STEPS = 2  # of RDEIC's decoding
_UNET_RANK, _VAE_RANK = 32, 16  # of StableCodec's LoRA
_CompareWith = Callable[[nn.Module, Tensor, BaseModel], Compared]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coded:
    """A latent and what its codec makes of it. c: the decoded latent. loss: of the codebook."""

    latent: Tensor
    c: Tensor
    hint: Tensor
    likelihoods: Mapping[str, Tensor]
    loss: Tensor | None = None


def stages_of_diffeic(kind: BaseKind) -> dict[str, TrainingStage]:
    return {
        "latent": _stage(kind, lambda net, x, base: _latents(_diffeic(net, x, base)), ("codec.",)),
        "diffusion": _stage(kind, _diffeic_noise, ("codec.", "control."), later=True),
    }


def stages_of_rdeic(kind: BaseKind) -> dict[str, TrainingStage]:
    both = ("codec.", "control.")
    return {
        "latent": _stage(kind, lambda net, x, base: _latents(_rdeic(net, x, base)), ("codec.",)),
        "diffusion": _stage(kind, _rdeic_noise, both, later=True),
        "finetune": _stage(kind, _rdeic_images, both, later=True, distortion="perceptual"),
    }


def stages_of_stablecodec(kind: BaseKind, prompt: str) -> dict[str, TrainingStage]:
    parts = ("codec.", "auxiliary.", "lora.")
    return {
        "diffusion": TrainingStage(
            open=_opened(kind, _StableCodecImages(), prompt),
            parts=parts,
            start=_start_lora(kind),
            distortion="perceptual",
            objective=stablecodec_objective,
            features=("clip",),
        ),
        "finetune": TrainingStage(
            open=_opened(kind, _StableCodecImages(), prompt),
            parts=parts,
            start=_start_from_earlier,
            distortion="perceptual",
            objective=stablecodec_objective,
            features=("clip", "dino"),
        ),
    }


def _stage(
    kind: BaseKind,
    compare: _CompareWith,
    parts: tuple[str, ...],
    *,
    later: bool = False,
    distortion: Literal["mse", "perceptual"] = "mse",
) -> TrainingStage:
    return TrainingStage(
        open=_opened(kind, compare),
        parts=parts,
        start=_start_from_earlier if later else _start_anywhere,
        distortion=distortion,
        objective=gan_objective if distortion == "perceptual" else None,
    )


def _opened(
    kind: BaseKind, compare: _CompareWith, prompt: str = ""
) -> Callable[[str, torch.device], Compare]:
    """Reads the base model when a training begins."""

    def opened(base: str, device: torch.device) -> Compare:
        folder = find_base(base, kind, codec="codec train")
        model = load_base(folder, prompt, codec="codec train").to(device, torch.float32)
        for part in (model.unet, model.vae):
            part.requires_grad_(False)
        return lambda network, x: compare(network, x, model)

    return opened


def _start_anywhere(
    network: nn.Module, images: Tensor, config: TrainConfig, before: TrainConfig | None
) -> None:
    pass


def _start_from_earlier(
    network: nn.Module, images: Tensor, config: TrainConfig, before: TrainConfig | None
) -> None:
    if before is None:
        raise InputError(
            f"stage {config.stage} needs weights to start from, those of an earlier stage"
        )


def _start_lora(kind: BaseKind) -> Start:
    def start(
        network: nn.Module, images: Tensor, config: TrainConfig, before: TrainConfig | None
    ) -> None:
        if before is None:
            assert isinstance(network, StableCodecNetwork)
            folder = find_base(config.base, kind, codec="stablecodec")
            network.lora = module_of(_first_lora(folder, network.codec.shape.latent))

    return start


# --- DiffEIC and RDEIC ------------------------------------------------------------------------


def _diffeic(network: Any, x: Tensor, base: BaseModel) -> _Coded:
    with torch.no_grad():
        latent = base.encode(x)
    c, likelihoods = network.codec(x, latent)
    return _Coded(latent=latent, c=c, hint=c, likelihoods=likelihoods)


def _rdeic(network: Any, x: Tensor, base: BaseModel) -> _Coded:
    codec, estimator = network.codec, Estimator(training=network.training)
    with torch.no_grad():
        latent, features = base.encode(x), base.features(x)
    y, z = codec.latents(features)
    y_hat = codec.code_latent(estimator, y, z, (y.shape[2], y.shape[3]))
    c, hint = codec.condition(y_hat)
    likelihoods = {"y": estimator.of_pairs(), "z": estimator.z_likelihoods[0]}
    loss = estimator.codebook_loss
    return _Coded(latent=latent, c=c, hint=hint, likelihoods=likelihoods, loss=loss)


def _latents(coded: _Coded, *more: tuple[Tensor, Tensor]) -> Compared:
    """The decoded latent with that of the VAE, and other pairs of the same size."""
    found, wanted = zip((coded.c, coded.latent), *more, strict=True)
    return Compared(
        found=torch.cat(found, 1),
        wanted=torch.cat(wanted, 1),
        likelihoods=coded.likelihoods,
        extra=coded.loss,
        images=False,
    )


def _diffeic_noise(network: nn.Module, x: Tensor, base: BaseModel) -> Compared:
    coded = _diffeic(network, x, base)
    generator = step_generator(network)
    step = int(torch.randint(TRAINED_STEPS, (), generator=generator))
    noise = noise_like(coded.latent, generator, coded.latent.shape[1])
    found = _unet(network, base)(noised(coded.latent, step, noise), coded.hint, step)
    return _latents(coded, (found, noise))


def _rdeic_noise(network: nn.Module, x: Tensor, base: BaseModel) -> Compared:
    coded = _rdeic(network, x, base)
    generator = step_generator(network)
    step = int(torch.randint(RELAY_STEPS, (), generator=generator))
    noise = noise_like(coded.latent, generator, coded.latent.shape[1])
    noisy, wanted = relayed(coded.latent, coded.c, noise, step, RELAY_STEPS - 1)
    found = _unet(network, base)(noisy, coded.hint, step)
    return _latents(coded, (found, wanted.detach()))


def _rdeic_images(network: nn.Module, x: Tensor, base: BaseModel) -> Compared:
    coded, unet = _rdeic(network, x, base), _unet(network, base)
    generator = step_generator(network)
    noise = noise_like(coded.c, generator, coded.c.shape[1])
    latent = denoise(
        lambda noisy, step: unet(noisy, coded.hint, step),
        noised(coded.c, RELAY_STEPS - 1, noise),
        spaced_steps(_FINETUNED_STEPS, RELAY_STEPS),
        generator,
    )
    return Compared(
        found=base.decode(latent), wanted=x, likelihoods=coded.likelihoods, extra=coded.loss
    )


def _unet(network: Any, base: BaseModel) -> ControlledUnet:
    return ControlledUnet(base.unet, network.control, base.prompt)


# --- StableCodec ------------------------------------------------------------------------------


def _first_lora(folder: Path, inputs: int) -> dict[str, Tensor]:
    """LoRA weights that change nothing, and a first layer of the UNet for more channels."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    found: dict[str, Tensor] = {}
    parts: tuple[tuple[str, Any, str | list[str], int], ...] = (
        ("unet", UNet2DConditionModel, UNET_LORA, _UNET_RANK),
        ("vae", AutoencoderKL, VAE_LORA, _VAE_RANK),
    )
    for part, model_class, targets, rank in parts:
        with torch.device("meta"):
            model = model_class.from_config(model_class.load_config(folder / part))
        lora = first_lora(model, targets, rank)
        found |= {f"{part}.{key}": value for key, value in lora.items()}
    before = load_base(folder, "", codec="stablecodec").unet.conv_in
    weight = torch.zeros(before.out_channels, inputs, *before.kernel_size)
    weight[:, : before.in_channels] = before.weight.detach()
    return found | {"unet.conv_in.weight": weight, "unet.conv_in.bias": before.bias.detach()}


class _StableCodecImages:
    """Images as the decoder makes them. The base model gets the network's LoRA layers at the first
    call, which then share its parameters."""

    def __init__(self) -> None:
        self._model: BaseModel | None = None

    def __call__(self, network: nn.Module, x: Tensor, base: BaseModel) -> Compared:
        assert isinstance(network, StableCodecNetwork)
        if self._model is not base:
            _share(network, base)
            self._model = base
        start, residual, likelihoods = network.codec(base.encode(x), network.auxiliary(x))
        last = TRAINED_STEPS - 1
        prompt = base.prompt.expand(len(x), -1, -1)
        predicted = base.unet(start, last, prompt, return_dict=False)[0]
        latent = clean(start[:, : predicted.shape[1]], predicted, last) + residual
        return Compared(found=base.decode(latent), wanted=x, likelihoods=likelihoods)


def _share(network: StableCodecNetwork, base: BaseModel) -> None:
    share_lora(base.unet, network.lora.get_submodule("unet"), UNET_LORA)
    share_lora(base.vae, network.lora.get_submodule("vae"), VAE_LORA)
    weight = network.lora.get_parameter("unet.conv_in.weight")
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=1)
    layer.weight = weight
    layer.bias = network.lora.get_parameter("unet.conv_in.bias")
    base.unet.conv_in = layer
