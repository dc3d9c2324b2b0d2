"""A family's vision tower for adapters: where conditions enter, and how to run it.

A `unit` is one input image of the tower: a tile for InternVL, the image for other families.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Inputs = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormSite:
    """A norm that AdaLN modulates, and the linear layers whose only input is its output.

    repeat: how many norm outputs are concatenated to one input of these (Qwen's merger: 4).
    """

    name: str
    norm: nn.Module
    readers: tuple[nn.Linear, ...]
    repeat: int = 1


class InputLayout(Protocol):
    """How a tower's inputs (`PreparedImage.inputs`, joined over images) belong to units."""

    def from_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inputs:
        """The inputs of a call of the tower's module."""
        ...

    def units(self, inputs: Mapping[str, Tensor]) -> int:
        """How many units the inputs hold."""
        ...

    def packed(self, inputs: Mapping[str, Tensor]) -> list[int] | None:
        """Patches of each unit, if the patches of all units form one sequence; else None."""
        ...

    def select(self, inputs: Mapping[str, Tensor], units: slice) -> Inputs:
        """The inputs of some units."""
        ...

    def images(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """The pixels of each unit as (3, H, W), normalised as the tower gets them."""
        ...


class Stacked:
    """Units of one size, stacked: `pixel_values` (units, 3, H, W)."""

    def from_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inputs:
        """The inputs of a call of the tower's module."""
        return {"pixel_values": args[0] if args else kwargs["pixel_values"]}

    def units(self, inputs: Mapping[str, Tensor]) -> int:
        """The size of the first dimension."""
        return len(inputs["pixel_values"])

    def packed(self, inputs: Mapping[str, Tensor]) -> list[int] | None:
        """None: units are stacked, not packed."""
        return None

    def select(self, inputs: Mapping[str, Tensor], units: slice) -> Inputs:
        """A slice of the first dimension of each tensor."""
        return {key: tensor[units] for key, tensor in inputs.items()}

    def images(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """(3, H, W) each."""
        return list(inputs["pixel_values"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """One family's vision tower.

    family: `model_type` of the model. prefix: of the encoder's keys in the model's state dict.
    module: the encoder, which is trained. patches: the module whose output are patch embeddings.
    patch_conv: the convolution in it. rotary: makes (cos, sin) of the patches, or None. head_dim:
    of one attention head. channels_first: the patch module's output is (n, W, h, w) instead of
    (..., W). run: inputs -> features. layout: how inputs belong to units. flat_patches: patch_conv
    gets single patches, as large as its kernel. qkv: the projections to queries, keys and values
    that may compute in float32 although the tower computes in bfloat16. blocks: parts of the
    encoder whose linear layers LoRA extends; (): all linear layers of the encoder.
    """

    family: str
    prefix: str
    module: nn.Module
    width: int
    head_dim: int
    norms: tuple[NormSite, ...]
    patches: nn.Module
    patch_conv: nn.Module
    channels_first: bool
    rotary: nn.Module | None
    run: Callable[[Mapping[str, Tensor]], Tensor]
    layout: InputLayout = field(default_factory=Stacked)
    flat_patches: bool = False
    qkv: tuple[nn.Module, ...] = ()
    blocks: tuple[nn.Module, ...] = ()

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Input of the language model: (visual tokens of all units, W), after the projector."""
        return self.run(inputs)

    def token_counts(self, inputs: Mapping[str, Tensor]) -> list[int]:
        """Relative number of features of each unit."""
        return self.layout.packed(inputs) or [1] * self.layout.units(inputs)


def norm_site(name: str, norm: nn.Module, *readers: nn.Linear, repeat: int = 1) -> NormSite:
    """A `NormSite` from positional arguments."""
    return NormSite(name=name, norm=norm, readers=readers, repeat=repeat)


def flat_features(output: Any) -> Tensor:
    """(units, tokens, W) of `get_image_features` -> (tokens of all units, W)."""
    features: Tensor = output.pooler_output
    return features.flatten(0, 1)


def add_to_bias(layer: nn.Module, offset: Tensor) -> None:
    """bias += offset in float32 or wider, then cast once. The layer must have a bias."""
    bias = layer.bias
    assert isinstance(bias, nn.Parameter)
    wide = torch.promote_types(bias.dtype, torch.float32)
    with torch.no_grad():
        bias.copy_((bias.to(wide) + offset.to(wide)).to(bias.dtype))
