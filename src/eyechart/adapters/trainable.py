"""Which weights of a vision tower are trained: all (as in the paper), or low-rank additions.

LoRA (Hu et al., arXiv:2106.09685) from the package peft, on the linear layers of the
blocks that the tower names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from eyechart.core.errors import InputError, PluginError
from eyechart.vlms.towers import Tower

Trainable: TypeAlias = Literal["encoder", "lora"]
TRAINABLE: tuple[Trainable, ...] = get_args(Trainable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """rank of the additions; alpha / rank scales them."""

    rank: int = 16
    alpha: int = 32


def make_trainable(tower: Tower, trainable: str, lora: Lora) -> None:
    """Set `requires_grad` for the chosen weights of the tower and clear it for all others.

    Raises:
        InputError: not one of the two choices. PluginError: peft is missing.
    """
    if trainable == "encoder":
        tower.module.requires_grad_(True)
    elif trainable == "lora":
        _add_lora(tower, lora)
    else:
        raise InputError(f"trainable {trainable!r} is not one of {', '.join(TRAINABLE)}")


def _add_lora(tower: Tower, lora: Lora) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise PluginError("LoRA needs the package peft; pip install 'eyechart[adapter]'") from error
    tower.module.requires_grad_(False)
    inside = {part for block in tower.blocks or (tower.module,) for part in block.modules()}
    targets = [
        name
        for name, module in tower.module.named_modules()
        if isinstance(module, nn.Linear) and module in inside
    ]
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets)
    with torch.random.fork_rng(devices=[]):  # fixed seed of the random initial values
        torch.manual_seed(0)
        inject_adapter_in_model(config, tower.module)


def changes(
    tower: Tower, base: Mapping[str, Tensor], dtype: torch.dtype = torch.bfloat16
) -> dict[str, Tensor]:
    """The changes of training, to be stored: `delta.NAME`, or `lora_a.NAME` and `lora_b.NAME`.

    base: the tower's state before. Storing rounded differences is more exact than storing rounded
    weights, because differences are small.
    """
    found: dict[str, Tensor] = {}
    for name, module in tower.module.named_modules():
        layer: Any = module
        if hasattr(layer, "lora_A"):
            scale = layer.scaling["default"]
            found[f"lora_a.{name}.weight"] = layer.lora_A["default"].weight.detach().float()
            found[f"lora_b.{name}.weight"] = scale * layer.lora_B["default"].weight.detach().float()
    if found:
        return {name: tensor.contiguous().cpu() for name, tensor in found.items()}
    for name, tensor in tower.module.state_dict().items():
        difference = tensor.detach().float() - base[name].float()
        if difference.any():
            found[f"delta.{name}"] = difference.to(dtype).contiguous().cpu()
    return found


def apply_changes(tower: Tower, changed: Mapping[str, Tensor]) -> None:
    """Add stored changes to a tower's weights in float32, then cast."""
    state = tower.module.state_dict()
    with torch.no_grad():
        for key, tensor in changed.items():
            kind, _, name = key.partition(".")
            if kind == "lora_b":
                continue
            weight = state[name]
            added = tensor.to(weight.device, torch.float32)
            if kind == "lora_a":
                added = changed[f"lora_b.{name}"].to(added) @ added
            weight.copy_((weight.float() + added).to(weight.dtype))
