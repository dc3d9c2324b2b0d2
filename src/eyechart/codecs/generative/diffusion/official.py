"""Published checkpoints of diffusion codecs, and how their keys are renamed.

| published by | keys |
| --- | --- |
| DiffEIC | of a Lightning checkpoint: `preprocess_model` to `codec`, `control_model` to `control`; what is not trained, the base model, is left out |
| RDEIC | the same; `quantize.embedding.weight` to `codec.codebook`; usage counts are left out |
| StableCodec | `state_dict_codec` to `codec`; `state_dict_unet` and `state_dict_vae` to `lora.unet` and `lora.vae`, without the names of the adapters |
| ELIC of StableCodec's authors | `g_a.analysis_transform` to `auxiliary`; the rest is left out |
"""  # noqa: E501 (a table)

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.networks import (
    DiffEicNetwork,
    RdeicNetwork,
    StableCodecNetwork,
)
from eyechart.codecs.learned.official import Rules, filled, renamed
from eyechart.core.errors import InputError

_TRAINED = re.compile(r"^(preprocess_model|control_model|codec|control)\.")
_LEFT_OUT = re.compile(
    r"(^control_model\.scale_list|\.embed_prob|\.usage)$|\.gaussian_conditional\."
)
_CONTEXTS = "local_context|channel_context|entropy_parameters_anchor|entropy_parameters_nonanchor"
_LIGHTNING_RULES: Rules = (
    (rf"^preprocess_model\.({_CONTEXTS})\.", r"codec.context.\1."),
    (r"^(codec\.context\.\w+\.\d+)\.(fusion|fushion)\.", r"\1."),
    (r"^preprocess_model\.quantize\.embedding\.weight$", "codec.codebook"),
    (r"^preprocess_model\.(hyper_dec)\.hyper_dec\.", r"codec.\1."),
    (r"^preprocess_model\.(hyper_enc)\.hyper_enc\.", r"codec.\1."),
    (r"^preprocess_model\.(encoder)\.g_a\.", r"codec.\1."),
    (r"^preprocess_model\.(decoder)\.g_s\.", r"codec.\1."),
    (r"^preprocess_model\.", "codec."),
    (r"^control_model\.", "control."),
)
_CODEC_RULES: Rules = (
    (
        r"^(aux|g_c|h_a|h_s|g_s|g_a|LRP\.\d)\.(block|reduction|increase|synthesis_transform)\.",
        r"\1.",
    ),
    (r"\.blocks\.([01])\.", r".\1."),
    (r"^", "codec."),
)
_LORA_RULES: Rules = ((r"\.lora_([AB])\.\w+\.weight$", r".lora_\1.weight"),)
_ELIC_RULES: Rules = (
    (r"^g_a\.analysis_transform\.", "auxiliary."),
    (
        r"^(auxiliary\.\d+)\.branch\.([024])\.",
        lambda found: f"{found[1]}.conv{int(found[2]) // 2 + 1}.",
    ),
)
_PARTS = ("state_dict_codec", "state_dict_unet", "state_dict_vae")


def load_official(
    name: str, state_dict: Mapping[str, Any], auxiliary: Mapping[str, Any] | None = None
) -> nn.Module:
    """A network in evaluation mode with published weights: `network.codec`, `network.control`.

    name: `diffeic`, `rdeic` or `stablecodec`. state_dict: a checkpoint as published, or weights
    under this package's keys. auxiliary: for StableCodec, the published ELIC checkpoint.
    Raises:
        InputError: an unknown name, or weights of another network (with the first keys).
    """
    if name not in _CONVERT:
        raise InputError(f"no published network {name!r}; allowed are {', '.join(_CONVERT)}")
    tensors = _CONVERT[name](name, state_dict, auxiliary)
    build: Callable[[Mapping[str, Tensor]], nn.Module] = _BUILD[name]
    return filled(name, build(tensors), tensors)


def tensors_of_lightning(
    name: str, checkpoint: Mapping[str, Any], auxiliary: Mapping[str, Any] | None = None
) -> dict[str, Tensor]:
    """The tensors of a checkpoint of DiffEIC or RDEIC under this package's keys."""
    if auxiliary is not None:
        raise InputError(f"{name}: has no auxiliary encoder")
    inner = checkpoint.get("state_dict", checkpoint)
    if not isinstance(inner, Mapping):
        raise InputError(f"{name}: the checkpoint holds no state_dict")
    kept = {
        key: value
        for key, value in inner.items()
        if _TRAINED.search(key) and not _LEFT_OUT.search(key)
    }
    if not kept:
        first = ", ".join(list(map(str, inner))[:3]) or "none"
        raise InputError(
            f"{name}: wanted are keys below preprocess_model and control_model; found are {first}"
        )
    return renamed(name, kept, _LIGHTNING_RULES)


def tensors_of_stablecodec(
    name: str, checkpoint: Mapping[str, Any], auxiliary: Mapping[str, Any] | None = None
) -> dict[str, Tensor]:
    """The tensors of a checkpoint of StableCodec, with ELIC's, under this package's keys."""
    if any(key.startswith("codec.") for key in checkpoint):
        return renamed(name, checkpoint, ())
    missing = [part for part in _PARTS if not isinstance(checkpoint.get(part), Mapping)]
    if missing:
        raise InputError(f"{name}: the checkpoint holds no {missing[0]}")
    if auxiliary is None:
        raise InputError(
            f"{name}: the file of the auxiliary encoder, elic_official.pth, is missing (auxiliary)"
        )
    codec, unet, vae = (checkpoint[part] for part in _PARTS)
    kept = {key: codec[key] for key in codec if not key.startswith("gaussian_conditional.")}
    tensors = renamed(name, kept, _CODEC_RULES)
    for part, weights in (("unet", unet), ("vae", vae)):
        lora = renamed(name, weights, _LORA_RULES)
        if not any(".lora_A." in key for key in lora):
            raise InputError(f"{name}: state_dict_{part} holds no LoRA weights")
        tensors |= {f"lora.{part}.{key}": value for key, value in lora.items()}
    missing = [key for key in ("weight", "bias") if f"lora.unet.conv_in.{key}" not in tensors]
    if missing:
        raise InputError(f"{name}: state_dict_unet holds no conv_in.{missing[0]}")
    elic = renamed(name, auxiliary, _ELIC_RULES)
    return tensors | {key: elic[key] for key in elic if key.startswith("auxiliary.")}


_CONVERT = {
    "diffeic": tensors_of_lightning,
    "rdeic": tensors_of_lightning,
    "stablecodec": tensors_of_stablecodec,
}
PUBLISHED = tuple(_CONVERT)
_BUILD: Mapping[str, Callable[[Mapping[str, Tensor]], nn.Module]] = {
    "diffeic": lambda tensors: DiffEicNetwork(),
    "rdeic": lambda tensors: RdeicNetwork(),
    "stablecodec": StableCodecNetwork,
}
