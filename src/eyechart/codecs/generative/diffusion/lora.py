"""LoRA weights, under their published names: merged into a base model, or trained in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eyechart.core.errors import CodecError

_ALPHA = 8  # peft's default, with which StableCodec was trained
_ADAPTER = "default"


def module_of(tensors: Mapping[str, Tensor]) -> nn.Module:
    """A module whose state_dict has these keys and shapes."""
    root = nn.Module()
    for key, value in tensors.items():
        *path, name = key.split(".")
        owner = root
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        owner.register_parameter(name, nn.Parameter(torch.zeros_like(value), requires_grad=False))
    return root


def merge_lora(
    model: Any, tensors: Mapping[str, Tensor], targets: str | list[str], *, part: str, codec: str
) -> None:
    """Add LoRA weights to those of a model, once, so that it runs as before.

    tensors: keys such as `mid_block.resnets.0.conv1.lora_A.weight`. targets: the layers that have
    LoRA, as in peft's `LoraConfig`. part: of the base model, for messages.
    Raises:
        CodecError: they are for a model of other layers or shapes.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    rank = next((len(value) for key, value in tensors.items() if ".lora_A." in key), 1)
    own = {key: layer.weight for key, layer in _inject(model, targets, rank).items()}
    problem = _misfit(own, tensors)
    if problem:
        raise CodecError(f"LoRA weights of another {part}: {problem}", codec=codec)
    with torch.no_grad():
        for key, parameter in own.items():
            parameter.copy_(tensors[key])
    layers = [pair for pair in model.named_modules() if isinstance(pair[1], BaseTunerLayer)]
    for name, layer in layers:
        layer.merge()
        model.set_submodule(name, layer.get_base_layer())


def share_lora(model: Any, lora: nn.Module, targets: str | list[str]) -> None:
    """Give a model LoRA layers that have the parameters of `lora`, so that training changes these.

    lora: as `module_of` makes it, of one part of the base model.
    """
    shared = dict(lora.named_parameters())
    rank = next(len(value) for key, value in shared.items() if ".lora_A." in key)
    for key, layer in _inject(model, targets, rank).items():
        layer.weight = shared[key]


def first_lora(model: Any, targets: str | list[str], rank: int) -> dict[str, Tensor]:
    """The tensors that training starts from, with which a model runs as without them.

    model: its layers get LoRA layers; it may be on the device `meta`.
    """
    found = {}
    for key, layer in _inject(model, targets, rank).items():
        size = layer.weight[0].numel() ** -0.5 if ".lora_A." in key else 0.0
        found[key] = size * (2 * torch.rand(layer.weight.shape, device="cpu") - 1)
    return found


def _inject(model: Any, targets: str | list[str], rank: int) -> dict[str, Any]:
    """Give a model LoRA layers; -> these by the keys of their weights."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=_ALPHA, target_modules=targets)
    inject_adapter_in_model(config, model, _ADAPTER)
    return {
        name.replace(f".{_ADAPTER}", "") + ".weight": layer
        for name, layer in model.named_modules()
        if name.endswith((f".lora_A.{_ADAPTER}", f".lora_B.{_ADAPTER}"))
    }


def _misfit(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str:
    """The first key that does not fit; "" if all do."""
    for key, value in own.items():
        if key not in tensors:
            return f"{key} is missing"
        if tensors[key].shape != value.shape:
            return f"{key} is {tuple(tensors[key].shape)}, expected {tuple(value.shape)}"
    return next((f"{key} has no layer there" for key in tensors if key not in own), "")
