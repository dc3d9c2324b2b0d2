"""The stages of rdeic-mini's training, each of which starts from the weights of the one before.

| stage | trains | compares |
| --- | --- | --- |
| vae | the autoencoder | images |
| latent | the latent codec, without diffusion | images |
| diffusion | the noise estimator, at a random step | latents |
| finetune | latent codec and noise estimator, through all steps of decoding | images, and their features |

The last two are the independent training and the fixed-step fine-tuning of RDEIC (arXiv
2410.02640). Here the latent codec is left as it is in the third stage.
"""  # noqa: E501 (a table)

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.mini import RdeicMini
from eyechart.codecs.generative.diffusion.sampler import (
    RELAY_STEPS,
    noise_like,
    relayed,
    step_generator,
)
from eyechart.codecs.generative.gan import gan_objective
from eyechart.codecs.learned.objective import Compare, Compared
from eyechart.codecs.learned.train import TrainConfig, TrainingStage
from eyechart.core.errors import InputError

STEPS = 2  # of decoding


def _images(network: nn.Module, x: Tensor) -> Compared:
    """What the autoencoder makes of images."""
    x_hat, likelihoods = _mini(network).vae(x)
    return Compared(found=x_hat, wanted=x, likelihoods=likelihoods)


def _decoded(network: nn.Module, x: Tensor) -> Compared:
    """What the autoencoder makes of decoded latents."""
    mini = _mini(network)
    c, _, likelihoods, loss = mini.codec(mini.vae.encoder(x))
    return Compared(found=mini.vae.decoder(c), wanted=x, likelihoods=likelihoods, extra=loss)


def _estimated(network: nn.Module, x: Tensor) -> Compared:
    """Clean latents that the estimator finds at a random step, in units of the image."""
    mini = _mini(network)
    latent = mini.vae.encoder(x)
    c, hint, likelihoods, _ = mini.codec(latent)
    generator = step_generator(mini)
    step = int(torch.randint(RELAY_STEPS, (), generator=generator))
    noise = noise_like(latent, generator, latent.shape[1])
    noisy, _ = relayed(latent, c, noise, step, RELAY_STEPS - 1)
    found = mini.estimator(noisy, c, hint, step)
    sizes = mini.vae.sizes()[:, None, None]
    return Compared(
        found=found * sizes, wanted=latent * sizes, likelihoods=likelihoods, images=False
    )


def _denoised(network: nn.Module, x: Tensor) -> Compared:
    """Images as the decoder makes them."""
    mini = _mini(network)
    c, hint, likelihoods, loss = mini.codec(mini.vae.encoder(x))
    latent = mini.relay(c, hint, STEPS, step_generator(mini))
    return Compared(found=mini.vae.decoder(latent), wanted=x, likelihoods=likelihoods, extra=loss)


def _mini(network: nn.Module) -> RdeicMini:
    assert isinstance(network, RdeicMini)
    return network


def _start_vae(
    network: nn.Module, images: Tensor, config: TrainConfig, before: TrainConfig | None
) -> None:
    if before is None:
        _mini(network).vae.start(images)


def _start_latent(
    network: nn.Module, images: Tensor, config: TrainConfig, before: TrainConfig | None
) -> None:
    """The latent codec from the autoencoder's latents, or from that of another level."""
    mini = _mini(network)
    if before is None:
        raise InputError("rdeic-mini: stage latent needs weights to start from, those of stage vae")
    if before.stage != "vae":
        mini.codec.scale_latent((config.lmbda / before.lmbda) ** 0.5)
        return
    with torch.no_grad():
        mini.codec.start(mini.vae.encoder(images), mini.vae.sizes(), config.lmbda)


def _start_later(
    network: nn.Module, images: Tensor, config: TrainConfig, before: TrainConfig | None
) -> None:
    if before is None or before.stage == "vae":
        raise InputError(
            f"rdeic-mini: stage {config.stage} needs weights to start from, those of an earlier one"
        )


def _without_base(compare: Compare) -> Callable[[str, torch.device], Compare]:
    def opened(base: str, device: torch.device) -> Compare:
        if base:
            raise InputError(f"rdeic-mini: base {base!r}; it has a VAE of its own, allowed is none")
        return compare

    return opened


STAGES: Mapping[str, TrainingStage] = MappingProxyType(
    {
        "vae": TrainingStage(
            open=_without_base(_images), parts=("vae.",), start=_start_vae, distortion="edges"
        ),
        "latent": TrainingStage(
            open=_without_base(_decoded), parts=("codec.",), start=_start_latent
        ),
        "diffusion": TrainingStage(
            open=_without_base(_estimated), parts=("estimator.",), start=_start_later
        ),
        "finetune": TrainingStage(
            open=_without_base(_denoised),
            parts=("codec.", "estimator."),
            start=_start_later,
            distortion="perceptual",
            objective=gan_objective,
        ),
    }
)
