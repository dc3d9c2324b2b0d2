"""GAN training (HiFiC, arXiv 2006.09965, section 3): an objective of `codecs.learned.train`.

The loss of the codec, in the order of magnitude of the rate:

    rate + lambda * (255^2 * MSE + k_P / k_M * perceptual distance + beta / k_M * adversarial loss)

with the ratios of HiFiC, whose loss this is after division by its weight of the rate, so that
lambda here is k_M over its lambda_a. The adversarial loss is the non-saturating one (equation 5).

Rate targeting: below the target the rate has a sixteenth of its weight (lambda_b of HiFiC), so that
the codec spends bits up to there and hardly more.

Training has two stages, as in HiFiC: without the adversarial loss, then with it, starting from the
weights of the first. MS-ILLM (arXiv 2301.11189) freezes the encoder in the second one. Its
discriminator classifies the codes of a VQ-VAE, of which no weights are at hand: the discriminator
here is HiFiC's for all codecs.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from eyechart.codecs.generative.adversarial_loss import AdversarialLoss
from eyechart.codecs.generative.discriminator import (
    HIFIC_DISCRIMINATOR,
    Discriminator,
    DiscriminatorShape,
)
from eyechart.codecs.learned.objective import Objective
from eyechart.codecs.learned.train import TrainConfig
from eyechart.zoo.efficientnet_lite0 import LiteFeatures, read_weights

_GanNetwork = TypeVar("_GanNetwork", bound=nn.Module)
_MSE = 0.075 / 2**5  # k_M of HiFiC
_PERCEPTUAL = 1 / _MSE
_BETA = 0.15
_DISCRIMINATOR_LR = 4.0  # times the codec's learning rate, as in SAGAN (arXiv 1805.08318)
_RATE_BELOW = 1 / 16  # weight of the rate below the target: lambda_b / lambda_a of its middle level
_TARGET_OVER_LAMBDA = 128  # gives lambda_a of HiFiC at 0.14 and 0.3 bpp


def default_lambda(target_bpp: float) -> float:
    """The weight of the distortion for a rate."""
    return target_bpp / _TARGET_OVER_LAMBDA


class GanObjective:
    """The loss of a codec, and its discriminator where `config` says adversarial.

    network: it has a synthesis `g_s`, whose input is the latent; `shape.latent` are its channels.
    beta: weight of the adversarial loss.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        features: LiteFeatures,
        shape: DiscriminatorShape = HIFIC_DISCRIMINATOR,
        *,
        beta: float = _BETA,
    ) -> None:
        device = next(network.parameters()).device
        self._config, self._adversarial_weight = config, beta / _MSE
        self._features = placed(features, device)
        self._y_hat: Tensor | None = None
        self._adversarial_loss: AdversarialLoss | None = None
        if config.adversarial:
            codec: Any = network
            discriminator = placed(Discriminator(codec.shape.latent, shape), device)
            self._adversarial_loss = AdversarialLoss(discriminator, config, speed=_DISCRIMINATOR_LR)
            codec.g_s.register_forward_pre_hook(self._keep_latent)

    def loss(self, x_hat: Tensor, x: Tensor, bpp: Tensor) -> Tensor:
        config = self._config
        distance = 255**2 * (x_hat - x).square().mean()
        distance = distance + _PERCEPTUAL * self._features.distance(x_hat, x)
        if self._adversarial_loss is not None:
            assert self._y_hat is not None
            adversarial = self._adversarial_loss.codec_loss(x_hat, x, self._y_hat)
            distance = distance + self._adversarial_weight * adversarial
        weight = 1.0 if bpp.item() > config.target_bpp else _RATE_BELOW
        return config.lmbda * distance + weight * bpp

    def train_own(self, lr: float) -> None:
        """One step of the discriminator: uncompressed crops are 1, decoded ones 0."""
        if self._adversarial_loss is not None:
            self._adversarial_loss.train(lr)

    def state(self) -> dict[str, Tensor]:
        return {} if self._adversarial_loss is None else self._adversarial_loss.state()

    def _keep_latent(self, synthesis: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._y_hat = inputs[0].detach()


def placed(network: _GanNetwork, device: torch.device) -> _GanNetwork:
    """On a device, in the memory layout that is faster for convolutions."""
    network.to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def gan_objective(
    network: nn.Module,
    config: TrainConfig,
    *,
    shape: DiscriminatorShape = HIFIC_DISCRIMINATOR,
    beta: float = _BETA,
) -> Objective:
    """The objective with the features of the installed package. beta: of the adversarial loss.

    Raises:
        InputError: without the package.
    """
    return GanObjective(network, config, LiteFeatures(read_weights()), shape, beta=beta)
