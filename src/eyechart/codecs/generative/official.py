"""Published checkpoints of GAN codecs, and how their keys are renamed.

| published by | keys |
| --- | --- |
| HiFiC of Justin-Tan | the weights are under `model_state_dict`; `Encoder.conv_block1.1` to `g_a.blocks.0.0`, `Generator.resblock_0.conv1` to `g_s.residual.0.layers.0`, `Hyperprior.synthesis_mu.conv1` to `h_mean.0`, `Hyperprior.hyperlatent_likelihood.H_0` to `entropy_bottleneck.matrices.0`, and so on; discriminator, LPIPS network and tables are left out; image range and density of the latent are read from `args` |
| MS-ILLM of NeuralCompression | `encoder` to `g_a`, `decoder` to `g_s`, `hyper_analysis` to `h_a`, and so on; the bottleneck's names of CompressAI before and since 1.2.6 |
| training code of MS-ILLM | the same with the prefix `model.`; keys without it are left out |
"""  # noqa: E501 (a table)

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from eyechart.codecs.generative.autoencoder import MS_ILLM, GanAutoencoder, GanShape, shape_of
from eyechart.codecs.learned.official import Rules, filled, renamed
from eyechart.core.errors import InputError

_HIFIC_LEFT_OUT = re.compile(
    r"^(Discriminator|perceptual_loss|squared_difference)\.|"
    r"^Hyperprior\.(hyperprior_entropy_model|prior_entropy_model|prior_density|index_tables)\b"
)
_HYPER = {"analysis_net": "h_a", "synthesis_mu": "h_mean", "synthesis_std": "h_scale"}
_DENSITY = {"H": "matrices", "a": "factors", "b": "biases"}
_HIFIC_RULES: Rules = (
    (r"^Encoder\.conv_block(\d)\.([12])\.", lambda m: f"g_a.blocks.{_less(m[1])}.{_less(m[2])}."),
    (r"^Encoder\.conv_block_out\.1\.", "g_a.blocks.5."),
    (r"^Generator\.conv_block_init\.0\.", "g_s.head.0."),
    (r"^Generator\.conv_block_init\.([23])\.", lambda m: f"g_s.head.{_less(m[1])}."),
    (
        r"^Generator\.resblock_(\d+)\.(conv|norm)([12])\.",
        lambda m: f"g_s.residual.{m[1]}.layers.{3 * _less(m[3]) + (m[2] == 'norm')}.",
    ),
    (r"^Generator\.upconv_block(\d)\.", lambda m: f"g_s.blocks.{_less(m[1])}."),
    (r"^Generator\.conv_block_out\.1\.", "g_s.blocks.4."),
    (
        r"^Hyperprior\.(analysis_net|synthesis_mu|synthesis_std)\.conv(\d)\.",
        lambda m: f"{_HYPER[m[1]]}.{2 * _less(m[2])}.",
    ),
    (
        r"^Hyperprior\.hyperlatent_likelihood\.([Hab])_(\d)$",
        lambda m: f"entropy_bottleneck.{_DENSITY[m[1]]}.{m[2]}",
    ),
)
_MS_ILLM_RULES: Rules = (
    (r"^encoder\.", "g_a."),
    (r"^decoder\.block_0\.", "g_s.head."),
    (r"^decoder\.resid_blocks\.(\d+)\.sequence\.", r"g_s.residual.\1.layers."),
    (r"^decoder\.blocks\.", "g_s.blocks."),
    (r"^hyper_analysis\.", "h_a."),
    (r"^hyper_synthesis_(mean|scale)\.", r"h_\1."),
    (r"^hyper_bottleneck\.", "entropy_bottleneck."),
)
_QUANTILES = "entropy_bottleneck.quantiles"


def load_official(name: str, state_dict: Mapping[str, Any]) -> GanAutoencoder:
    """A network in evaluation mode with published weights; `network(x)` is (x_hat, likelihoods).

    name: `hific` or `ms-illm`. state_dict: a checkpoint as published, or weights under this
    package's keys. HiFiC weights without their `args` are taken to be of a network for images in
    -1..1 with a Gaussian latent.
    Raises:
        InputError: an unknown name, weights of another network (with the first keys), or of a
            variant of HiFiC that is not supported.
    """
    if name not in _CONVERT:
        raise InputError(f"no published network {name!r}; allowed are {', '.join(_CONVERT)}")
    base, convert = _CONVERT[name]
    tensors = convert(state_dict)
    network = GanAutoencoder(shape_of(tensors, base))
    tensors.setdefault("normalized", network.state_dict()["normalized"])
    tensors.setdefault("logistic", network.state_dict()["logistic"])
    if base.code == "HiFiC" and _QUANTILES not in tensors:
        # Its code searches them in the density when it makes its tables.
        tensors[_QUANTILES] = network.entropy_bottleneck.quantiles.detach()
        filled(name, network, tensors).entropy_bottleneck.update_quantiles()
        return network
    return filled(name, network, tensors)


def tensors_of_hific(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint of HiFiC under this package's keys."""
    inner = checkpoint.get("model_state_dict", checkpoint)
    settings = checkpoint.get("args", {})
    if not isinstance(inner, Mapping) or not isinstance(settings, Mapping):
        raise InputError("hific: the checkpoint holds no model_state_dict")
    for setting in ("use_latent_mixture_model", "sample_noise"):
        if settings.get(setting):
            raise InputError(f"hific: trained with {setting}; only networks without it are allowed")
    whole = {key.removeprefix("module."): value for key, value in inner.items()}
    kept = {key: value for key, value in whole.items() if not _HIFIC_LEFT_OUT.search(key)}
    tensors = renamed("hific", kept, _HIFIC_RULES)
    if "normalize_input_image" in settings:
        tensors["normalized"] = torch.tensor(float(bool(settings["normalize_input_image"])))
    if "likelihood_type" in settings:
        tensors["logistic"] = torch.tensor(float(settings["likelihood_type"] == "logistic"))
    return tensors


def tensors_of_ms_illm(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint of MS-ILLM under this package's keys."""
    inner = checkpoint.get("state_dict", checkpoint)
    if isinstance(inner, Mapping) and any(key.startswith("model.encoder.") for key in inner):
        prefix = "model."
        inner = {key.removeprefix(prefix): inner[key] for key in inner if key.startswith(prefix)}
    return renamed("ms-illm", {"state_dict": inner}, _MS_ILLM_RULES)


def _less(number: str) -> int:
    """Numbers from 1 become numbers from 0."""
    return int(number) - 1


_CONVERT: Mapping[str, tuple[GanShape, Callable[[Mapping[str, Any]], dict[str, Tensor]]]] = {
    "hific": (GanShape(), tensors_of_hific),
    "ms-illm": (MS_ILLM, tensors_of_ms_illm),
}
PUBLISHED = tuple(_CONVERT)
