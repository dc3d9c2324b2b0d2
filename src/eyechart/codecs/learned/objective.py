"""What a training of a codec compares, and what it minimises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn

from eyechart.codecs.learned.distortion import Distance


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a training compares, for a batch of crops.

    found, wanted: images in 0..1, or other tensors of one shape. likelihoods: of what is coded.
    extra: an addition to the loss. images: whether they are images, so that values beyond 0..1 are
    clipped when they are measured.
    """

    found: Tensor
    wanted: Tensor
    likelihoods: Mapping[str, Tensor]
    extra: Tensor | None = None
    images: bool = True

    def in_float32(self) -> Compared:
        """The same, for losses in full precision."""
        return replace(
            self,
            found=self.found.float(),
            wanted=self.wanted.float(),
            likelihoods={name: part.float() for name, part in self.likelihoods.items()},
        )


# A network and crops (batch, 3, height, width) in 0..1, sides multiples that the network takes.
Compare: TypeAlias = Callable[[nn.Module, Tensor], Compared]


def compare_images(network: nn.Module, pictures: Tensor) -> Compared:
    """The reconstruction of a network that returns it with the likelihoods."""
    x_hat, likelihoods = network(pictures)
    return Compared(found=x_hat.float(), wanted=pictures, likelihoods=likelihoods)


def bpp_of(compared: Compared, pictures: Tensor) -> Tensor:
    """bpp by the likelihoods."""
    bits = torch.stack([-part.log2().sum() for part in compared.likelihoods.values()]).sum()
    return bits / (pictures.shape[0] * pictures.shape[2] * pictures.shape[3])


class Objective(Protocol):
    """What a training minimises. Networks of its own are trained beside the codec's."""

    def loss(self, x_hat: Tensor, x: Tensor, bpp: Tensor) -> Tensor:
        """The loss of the codec for decoded and uncompressed crops, and their rate."""
        ...

    def train_own(self, lr: float) -> None:
        """One step of the objective's own networks on the crops of the last loss."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Weights and optimizer states of its own networks, as they are (no copies)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RateDistortion:
    """lambda * distance + bpp."""

    lmbda: float
    distance: Distance

    def loss(self, x_hat: Tensor, x: Tensor, bpp: Tensor) -> Tensor:
        return self.lmbda * self.distance(x_hat, x) + bpp

    def train_own(self, lr: float) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}
