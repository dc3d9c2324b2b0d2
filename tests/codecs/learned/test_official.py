"""Published checkpoints get this package's keys; others are refused with their first keys."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from eyechart.codecs import learned  # noqa: E402
from eyechart.codecs.learned import load_official  # noqa: E402
from eyechart.codecs.learned.official import renamed  # noqa: E402
from eyechart.core.errors import InputError  # noqa: E402

RENAMES = {
    "g_a.0.weight": "g_a.0.weight",
    "module.g_s.2.conv1.bias": "g_s.2.conv1.bias",
    "entropy_bottleneck._matrix0": "entropy_bottleneck.matrices.0",
    "entropy_bottleneck._factor3": "entropy_bottleneck.factors.3",
    "entropy_bottleneck.biases.4": "entropy_bottleneck.biases.4",
    "latent_codec.hyper.h_s.4.bias": "h_s.4.bias",
    "latent_codec.hyper.entropy_bottleneck._bias1": "entropy_bottleneck.biases.1",
    "latent_codec.y.channel_context.y4.2.weight": "cc_transforms.3.2.weight",
    "latent_codec.y.latent_codec.y0.context_prediction.bias": "context_prediction.0.bias",
    "latent_codec.y.latent_codec.y2.entropy_parameters.4.bias": "ParamAggregation.2.4.bias",
}
LEFT_OUT = (
    "gaussian_conditional.scale_table",
    "gaussian_conditional._quantized_cdf",
    "entropy_bottleneck.target",
    "entropy_bottleneck.likelihood_lower_bound.bound",
    "context_prediction.3.mask",
)


def test_keys_of_both_published_layouts_are_renamed() -> None:
    state = {key: torch.zeros(1) for key in (*RENAMES, *LEFT_OUT)}
    assert sorted(renamed("elic", state)) == sorted(RENAMES.values())
    assert sorted(renamed("elic", {"state_dict": state, "epoch": 7})) == sorted(RENAMES.values())


def test_keys_of_tic_are_renamed() -> None:
    keys = ("g_a0.weight", "h_s3.residual_group.blocks.1.attn.qkv.bias", "g_s6.bias")
    left_out = (
        "g_a1.residual_group.blocks.0.attn.relative_position_index",
        "g_a1.residual_group.blocks.1.attn_mask",
    )
    state = {key: torch.zeros(1) for key in (*keys, *left_out)}
    wanted = ["g_a.0.weight", "g_s.6.bias", "h_s.3.residual_group.blocks.1.attn.qkv.bias"]
    assert sorted(renamed("tic", state)) == wanted


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(InputError, match=r"elic: not the weights .* lacks g_a\.0\.weight"):
        load_official("elic", {"features.0.weight": torch.zeros(2)})
    with pytest.raises(InputError, match="allowed are elic, elic-mini, tic"):
        load_official("vgg", {})
    with pytest.raises(InputError, match="holds no state_dict"):
        load_official("elic", {"state_dict": 3})


def test_the_package_has_no_other_names_and_loads_no_torch() -> None:
    assert not hasattr(learned, "load")
    code = "import sys, eyechart.codecs.learned; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
