"""What distinguishes one learned codec from another: its network, padding, levels and training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from eyechart.codecs.checkpoints import PublishedCheckpoints
from eyechart.codecs.learned.padding import PaddingMode
from eyechart.core.types import CodecCategory

if TYPE_CHECKING:
    from eyechart.codecs.learned.objective import Objective
    from eyechart.codecs.learned.train import TrainConfig, TrainingStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A kind of network, and how images are padded for it.

    multiple: padded sides are multiples of this. padding: "reflect" uses the edge for images that
    are no larger than the padding. latent_multiple: y is padded by reflection to multiples of this.
    knob: what the number that names a level is. rate: whether the rate rises or falls with it.
    published: where checkpoints of others are. unpublished: levels of the paper that nobody
    published. shipped: the folder of weights in this package, if there is one.
    wide: on a CPU convolutions are computed by algorithms, or in a memory layout, that are faster
    for wide networks and round differently.
    variant: builds the variant of the network that tensors are of, where there are several.
    for_machines: builds a network from the tensors of its base codec, of which only what adapts it
    to a task is to be trained. adapted_from: the name of that base codec.
    category: which of the paper's it is.
    objective: what GAN training minimises for a network; None for a codec that is trained for rate
    and distortion alone. stages: of a codec that is trained in several, in order.
    shared: beginnings of the names of weights that are equal in all levels that ship.
    """

    name: str
    build: Callable[[], nn.Module]
    multiple: int
    padding: PaddingMode
    latent_multiple: int = 1
    knob: str = "lambda"
    rate: Literal["rises", "falls"] = "rises"
    published: tuple[PublishedCheckpoints, ...] = ()
    unpublished: tuple[str, ...] = ()
    shipped: Path | None = None
    wide: bool = False
    variant: Callable[[Mapping[str, Tensor]], nn.Module] | None = None
    for_machines: Callable[[Mapping[str, Tensor]], nn.Module] | None = None
    adapted_from: str = ""
    category: CodecCategory = "learned"
    objective: Callable[[nn.Module, TrainConfig], Objective] | None = None
    stages: Mapping[str, TrainingStage] = field(default_factory=dict)
    shared: tuple[str, ...] = ()

    def network_of(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """A network with these tensors' shapes, with random weights."""
        return self.build() if self.variant is None else self.variant(tensors)

    def variant_name(self, network: nn.Module) -> str:
        """Which of several variants a network of this architecture is; "" if there is one."""
        shape = getattr(network, "shape", None)
        return "" if self.variant is None or shape is None else str(shape.variant)
