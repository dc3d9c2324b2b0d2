"""Published checkpoints: which network they are of, and how their keys are renamed.

| published by | what is renamed |
| --- | --- |
| CompressAI before 1.2.6 | `entropy_bottleneck._matrix0` to `entropy_bottleneck.matrices.0`, likewise `_bias`, `_factor` |
| data-parallel training | the prefix `module.` is dropped |
| ELIC of VincentChandelier | nothing else |
| TIC of lumingzzz | `g_a0` to `g_a.0`, likewise `g_s`, `h_a`, `h_s` |
| CompressAI's `Elic2022Chandelier` | `latent_codec.hyper.h_a` to `h_a`, `latent_codec.y.channel_context.y1` to `cc_transforms.0`, and so on (`RENAMES`) |

Buffers of CompressAI's entropy coder (`_quantized_cdf`, `scale_table`, ...) are left out: the tables
are made from the parameters.
"""  # noqa: E501 (a table)

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from eyechart.codecs.learned import tic
from eyechart.codecs.learned.elic import MINI, Elic
from eyechart.codecs.learned.tic import Tic
from eyechart.codecs.learned.weights import misfit
from eyechart.core.errors import InputError
from eyechart.core.foreign import foreign_file

# Buffers that follow from the shape or from the parameters.
_LEFT_OUT = re.compile(
    r"(^|\.)(_offset|_quantized_cdf|_cdf_length|scale_table|scale_bound|bound|mask|target|"
    r"relative_position_index|attn_mask)$"
)
_OLD_BOTTLENECK = re.compile(r"\._(matrix|bias|factor)(\d)$")
_NEW_NAMES = {"matrix": "matrices", "bias": "biases", "factor": "factors"}


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """The contents of a checkpoint file, .safetensors or what `torch.save` wrote; runs no code.

    Raises:
        InputError: unreadable, or a pickle that holds more than tensors and plain values.
    """
    with foreign_file(path, "a checkpoint"):
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: holds {type(found).__name__}; wanted is a state_dict")
    return found


def load_official(name: str, state_dict: Mapping[str, Any]) -> nn.Module:
    """A network in evaluation mode with published weights; `network(x)` is (x_hat, likelihoods).

    name: a codec's name (`elic`). state_dict: as published, or a checkpoint that holds one under
    `state_dict`.
    Raises:
        InputError: an unknown name, or weights of another network (with the first keys).
    """
    if name not in NETWORKS:
        raise InputError(f"no published network {name!r}; allowed are {', '.join(NETWORKS)}")
    tensors = renamed(name, state_dict)
    network = NETWORKS[name](tensors)
    problem = misfit(network, tensors)
    if problem:
        raise InputError(f"{name}: {problem}")
    network.load_state_dict(tensors)
    return network.eval()


def renamed(name: str, state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a published checkpoint under this package's keys."""
    inner = state_dict.get("state_dict", state_dict)
    if not isinstance(inner, Mapping):
        raise InputError(f"{name}: the checkpoint holds no state_dict")
    tensors: dict[str, Tensor] = {}
    for key, value in inner.items():
        if not isinstance(value, Tensor) or _LEFT_OUT.search(key):
            continue
        key = _OLD_BOTTLENECK.sub(_new_bottleneck, key.removeprefix("module."))
        for pattern, replacement in RENAMES.get(name, ()):
            key = re.sub(pattern, replacement, key)
        tensors[key] = value.float()
    return tensors


def _new_bottleneck(match: re.Match[str]) -> str:
    return f".{_NEW_NAMES[match[1]]}.{match[2]}"


# Codec -> the network that its tensors are of (an architecture may have variants).
NETWORKS: Mapping[str, Callable[[Mapping[str, Tensor]], nn.Module]] = {
    "elic": lambda tensors: Elic(),
    "elic-mini": lambda tensors: Elic(MINI),
    "tic": lambda tensors: Tic(),
    "tic-mini": lambda tensors: Tic(tic.MINI),
}

# Codec -> (pattern, replacement), in order.
RENAMES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "elic": (
        (r"^latent_codec\.hyper\.", ""),
        *(
            (rf"^latent_codec\.y\.channel_context\.y{index}\.", f"cc_transforms.{index - 1}.")
            for index in range(1, 5)
        ),
        (r"^latent_codec\.y\.latent_codec\.y(\d)\.context_prediction\.", r"context_prediction.\1."),
        (r"^latent_codec\.y\.latent_codec\.y(\d)\.entropy_parameters\.", r"ParamAggregation.\1."),
    ),
    "tic": ((r"^([gh]_[as])(\d)\.", r"\1.\2."),),
}
