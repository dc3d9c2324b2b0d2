"""Published checkpoints: the network that each belongs to, and how its keys are renamed.

| published by | renamed keys |
| --- | --- |
| CompressAI before 1.2.6 | `entropy_bottleneck._matrix0` to `entropy_bottleneck.matrices.0`, likewise `_bias`, `_factor` |
| data-parallel training | the prefix `module.` is dropped |
| ELIC of VincentChandelier | nothing else |
| TIC of lumingzzz | `g_a0` to `g_a.0`, likewise `g_s`, `h_a`, `h_s` |
| TCM of jmliu206 | in transformer blocks `ln1` to `norm1`, `msa.embedding_layer` to `attn.qkv`, and so on; tables of position biases get one row a position |
| MLIC++ of JiangWeibeta | `g_a.analysis_transform.0` to `g_a.0`, likewise `g_s`, `h_a`, `h_s`, `entropy_parameters_*`, `lrp_*` |
| TransTIC of NYCU-MAPL | `g_a0` to `g_a.layers.0`, `h_a0` to `h_a.0`; `g_a0_prompt`, whose prompts are for `g_a1`, to `g_a.prompts.1`, `g_s0_prompt` to `g_s.prompts.0` |
| CompressAI's `Elic2022Chandelier` | `latent_codec.hyper.h_a` to `h_a`, `latent_codec.y.channel_context.y1` to `cc_transforms.0`, and so on (`RENAMES`) |

Buffers of CompressAI's entropy coder (`_quantized_cdf`, `scale_table`, ...) are left out: the tables
are made from the parameters.
"""  # noqa: E501 (a table)

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from eyechart.codecs.learned import mlicpp, tcm, transtic
from eyechart.codecs.learned.elic import MINI, Elic
from eyechart.codecs.learned.mlicpp import Mlicpp
from eyechart.codecs.learned.tcm import Tcm
from eyechart.codecs.learned.tic import Tic
from eyechart.codecs.learned.transtic import Transtic
from eyechart.codecs.learned.weights import misfit
from eyechart.core.errors import InputError
from eyechart.core.foreign import foreign_file

# (pattern, replacement), in order.
Rules: TypeAlias = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
_Network = TypeVar("_Network", bound=nn.Module)

# Buffers that follow from the shape or from the parameters.
_LEFT_OUT = re.compile(
    r"(^|\.)(_offset|_quantized_cdf|_cdf_length|scale_table|scale_bound|bound|pedestal|mask|target|"
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
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        # The messages are pages on options of torch.load.
        except (pickle.UnpicklingError, RuntimeError) as error:
            raise InputError(
                f"{path}: not a checkpoint; allowed are .safetensors files, and files of torch.save"
                " with tensors and plain values alone"
            ) from error
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
    return filled(name, NETWORKS[name](tensors), tensors)


def filled(name: str, network: _Network, tensors: Mapping[str, Tensor]) -> _Network:
    """The network in evaluation mode with these tensors. Raises InputError if they do not fit."""
    problem = misfit(network, tensors)
    if problem:
        raise InputError(f"{name}: {problem}")
    network.load_state_dict(tensors)
    return network.eval()


def renamed(
    name: str, state_dict: Mapping[str, Any], rules: Rules | None = None
) -> dict[str, Tensor]:
    """The tensors of a published checkpoint under this package's keys.

    rules: renames of the codec's own keys, `RENAMES` if None; CompressAI's are renamed always.
    Raises:
        InputError: the checkpoint holds no state_dict.
    """
    inner = state_dict.get("state_dict", state_dict)
    if not isinstance(inner, Mapping):
        raise InputError(f"{name}: the checkpoint holds no state_dict")
    tensors: dict[str, Tensor] = {}
    for key, value in inner.items():
        if not isinstance(value, Tensor) or _LEFT_OUT.search(key):
            continue
        key = _OLD_BOTTLENECK.sub(_new_bottleneck, key.removeprefix("module."))
        for pattern, replacement in RENAMES.get(name, ()) if rules is None else rules:
            key = re.sub(pattern, replacement, key)
        if key.endswith("relative_position_bias_table") and value.ndim == 3:
            value = value.flatten(1).T  # TCM's: (heads, down, right)
        tensors[key] = value.float()
    return tensors


def _new_bottleneck(match: re.Match[str]) -> str:
    return f".{_NEW_NAMES[match[1]]}.{match[2]}"


# Codec -> the network that its tensors are of (an architecture may have variants).
NETWORKS: Mapping[str, Callable[[Mapping[str, Tensor]], nn.Module]] = {
    "elic": lambda tensors: Elic(),
    "elic-mini": lambda tensors: Elic(MINI),
    "tic": lambda tensors: Tic(),
    "tic-mini": lambda tensors: Transtic(transtic.MINI),
    "tcm": lambda tensors: Tcm(tcm.shape_of(tensors)),
    "mlicpp": lambda tensors: Mlicpp(mlicpp.shape_of(tensors)),
    "transtic": lambda tensors: Transtic(transtic.shape_of(tensors)),
    "transtic-mini": lambda tensors: Transtic(transtic.shape_of(tensors, transtic.MINI)),
}

RENAMES: Mapping[str, Rules] = {
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
    "tcm": (
        (r"\.ln(\d)\.", r".norm\1."),
        (r"\.msa\.embedding_layer\.", ".attn.qkv."),
        (r"\.msa\.linear\.", ".attn.proj."),
        (r"\.msa\.relative_position_params$", ".attn.relative_position_bias_table"),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.2\.", ".mlp.fc2."),
    ),
    "mlicpp": (
        (r"^(g_[as])\.(analysis|synthesis)_transform\.", r"\1."),
        (r"^(h_[as])\.(reduction|increase)\.", r"\1."),
        (r"^(entropy_parameters_\w+\.\d+)\.fusion\.", r"\1."),
        (r"^(lrp_\w+\.\d+)\.lrp_transform\.", r"\1."),
    ),
    "transtic": (
        (r"^(g_[as])(\d)\.", r"\1.layers.\2."),
        (r"^(h_[as])(\d)\.", r"\1.\2."),
        (r"^g_a(\d)_prompt", lambda found: f"g_a{int(found[1]) + 1}_prompt"),
        (r"^(g_[as])(\d)_prompt\.", r"\1.prompts.\2."),
        (r"^(g_[as])(\d)_prompt_layers\.", r"\1.prompt_layers.\2."),
    ),
}
