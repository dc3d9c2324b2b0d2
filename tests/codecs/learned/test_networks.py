"""The published architectures: their sizes, their checkpoints' keys, and small ones as codecs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from torch import Tensor, nn  # noqa: E402

from eyechart.codecs.learned import mlicpp, mlicpp_context, swin, tcm, transtic  # noqa: E402
from eyechart.codecs.learned.elic import Elic, ElicShape  # noqa: E402
from eyechart.codecs.learned.mlicpp import Mlicpp, MlicShape  # noqa: E402
from eyechart.codecs.learned.mlicpp_context import LocalContext  # noqa: E402
from eyechart.codecs.learned.official import renamed  # noqa: E402
from eyechart.codecs.learned.tcm import Tcm, TcmShape  # noqa: E402
from eyechart.codecs.learned.tic import Tic, TicShape  # noqa: E402
from eyechart.codecs.learned.transtic import Transtic, TransticShape  # noqa: E402
from eyechart.codecs.learned.weights import write_level  # noqa: E402
from eyechart.testing import check_codec  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402
from tests.codecs.learned.small_networks import (  # noqa: E402
    SmallMlicpp,
    SmallTcm,
    SmallTranstic,
    write_small_weights,
)

OLD_MLICPP = MlicShape(synthesis_2023=True, prediction_2023=True)
ENCODER_PROMPTS = TransticShape(encoder_prompts=True, decoder_prompts="constant")
ALL_PROMPTS = TransticShape(encoder_prompts=True, decoder_prompts="latent")


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (Elic, 33_792_771),
        (Tcm, 45_180_752),
        (Mlicpp, 83_501_408),
        (lambda: Mlicpp(OLD_MLICPP), 116_716_928),
        (Tic, 10_227_299),
        (Transtic, 7_510_723),
        (lambda: Transtic(ENCODER_PROMPTS), 9_130_691),
        (lambda: Transtic(ALL_PROMPTS), 12_383_363),
    ],
)
def test_full_size_networks_have_the_published_parameter_counts(
    build: Callable[[], nn.Module], parameters: int
) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build().parameters()) == parameters


def meta(network: Callable[[], nn.Module]) -> dict[str, Tensor]:
    with torch.device("meta"):
        return network().state_dict()


def test_the_variant_of_a_checkpoint_is_found() -> None:
    for small in (TcmShape(), TcmShape(width=128)):
        assert tcm.shape_of(meta(lambda shape=small: Tcm(shape))) == small  # type: ignore[misc]
    for mlic in (MlicShape(), OLD_MLICPP, MlicShape(synthesis_2023=True)):
        assert mlicpp.shape_of(meta(lambda shape=mlic: Mlicpp(shape))) == mlic  # type: ignore[misc]
    for trans in (TransticShape(), ENCODER_PROMPTS, ALL_PROMPTS):
        found = transtic.shape_of(meta(lambda shape=trans: Transtic(shape)))  # type: ignore[misc]
        assert found == trans


def test_variants_have_names() -> None:
    assert TcmShape(width=128).variant == "N = 128"
    assert [MlicShape().variant, OLD_MLICPP.variant] == ["of 2024", "of 2023"]
    assert TransticShape().variant == "base, without prompts"
    assert ENCODER_PROMPTS.variant == "prompts in encoder and decoder (constant)"
    assert TransticShape(encoder_prompts=True).variant == "prompts in encoder"


@pytest.mark.parametrize(
    ("codec", "key", "wanted"),
    [
        ("tcm", "g_a.1.trans_block.ln1.weight", "g_a.1.trans_block.norm1.weight"),
        ("tcm", "g_s.2.trans_block.mlp.2.bias", "g_s.2.trans_block.mlp.fc2.bias"),
        (
            "tcm",
            "atten_mean.0.0.non_local_block.block_2.msa.embedding_layer.bias",
            "atten_mean.0.0.non_local_block.block_2.attn.qkv.bias",
        ),
        ("mlicpp", "g_s.synthesis_transform.0.conv1.bias", "g_s.0.conv1.bias"),
        ("mlicpp", "h_s.increase.2.0.weight", "h_s.2.0.weight"),
        ("mlicpp", "lrp_anchor.3.lrp_transform.6.bias", "lrp_anchor.3.6.bias"),
        ("mlicpp", "local_context.0.fusion.weight", "local_context.0.fusion.weight"),
        ("transtic", "module.g_a0.weight", "g_a.layers.0.weight"),
        ("transtic", "h_s3.bias", "h_s.3.bias"),
        ("transtic", "g_a0_prompt.down1.0.weight", "g_a.prompts.1.down1.0.weight"),
        ("transtic", "g_a2_prompt_layers.3.bias", "g_a.prompt_layers.3.3.bias"),
        ("transtic", "g_s6_prompt.weight", "g_s.prompts.6.weight"),
    ],
)
def test_published_keys_are_renamed(codec: str, key: str, wanted: str) -> None:
    assert list(renamed(codec, {key: torch.zeros(1)})) == [wanted]


def test_position_biases_of_tcm_become_a_table() -> None:
    published = torch.arange(2 * 3 * 3.0).reshape(2, 3, 3)  # (heads, down, right)
    key = "g_a.1.trans_block.msa.relative_position_params"
    (table,) = renamed("tcm", {key: published}).values()
    assert table.shape == (9, 2)
    assert table[5, 1] == published[1, 1, 2]


@pytest.mark.parametrize("kind", [SmallTcm, SmallMlicpp, SmallTranstic])
def test_small_networks_meet_the_requirements_of_a_codec(
    kind: type[SmallTcm | SmallMlicpp | SmallTranstic], tmp_path: Path
) -> None:
    codec = kind(weights=str(tmp_path))
    write_small_weights(codec, tmp_path)
    check_codec(codec, options={"weights": str(tmp_path)}, sizes=((1, 1), (17, 33)))


@pytest.mark.parametrize("at_once", [1, 9, 20])
def test_the_local_context_is_the_same_in_any_number_of_strips(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """One row at a time, also where a row has more positions than are allowed, or two rows."""
    torch.manual_seed(0)
    context = LocalContext(8).double()
    x = torch.randn(2, 8, 7, 9, dtype=torch.float64)
    anchors = torch.arange(7)[:, None] % 2 == torch.arange(9) % 2
    with torch.no_grad():
        whole = context(x, anchors)
        monkeypatch.setattr(mlicpp_context, "_AT_ONCE", at_once)
        assert torch.allclose(context(x, anchors), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("prompts", ["", "constant", "latent"])
@pytest.mark.parametrize("windows", [1, 3, 4, 9, 20])
def test_swin_blocks_are_the_same_for_some_windows_after_others(
    monkeypatch: pytest.MonkeyPatch, prompts: transtic.DecoderPrompts, windows: int
) -> None:
    """Three images of four windows each: parts of an image, one of them, two, or all."""
    torch.manual_seed(0)
    shape = TransticShape(
        width=8, latent=8, depths=(2,) * 6, heads=(2,) * 6, window=4, decoder_prompts=prompts
    )
    network = Transtic(shape).double().eval()
    y = torch.randn(3, 8, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        whole = network.g_s(y)
        tokens = {"": 16, "constant": 32, "latent": 20}[prompts]
        monkeypatch.setattr(swin, "_MOST_SCORES", windows * 2 * 16 * tokens)
        monkeypatch.setattr(swin, "_MOST_HIDDEN", windows * 3 * 8 * 8)
        assert torch.allclose(network.g_s(y), whole, rtol=0, atol=1e-12)


def _fill(network: nn.Module) -> None:
    """Weights by a formula: the same ones were given to the authors' networks."""
    tensors = network.state_dict()
    for index, key in enumerate(sorted(tensors)):
        tensor = tensors[key]
        if key.endswith("quantiles"):
            tensor.copy_(torch.tensor([-9.0, 0.25, 9.0]).expand_as(tensor))
        elif tensor.is_floating_point():
            places = torch.arange(tensor.numel(), dtype=torch.float64)
            wave = torch.sin(places * 1.7 + index).reshape(tensor.shape)
            near_one = ("var", "norm1.weight", "norm2.weight", "gdn.beta")
            if tensor.ndim > 1:
                tensor.copy_(wave * (2.0 / tensor[0].numel()) ** 0.5)
            else:
                tensor.copy_(0.1 * wave + (1.0 if key.endswith(near_one) else 0.0))


@pytest.mark.parametrize(
    ("build", "size", "pixels", "bits"),
    [
        (
            lambda: Elic(ElicShape(widths=(16, 16, 16), hyper=(16, 24))),
            64,
            [-0.2745, -1.09195, -0.31519, -0.36959, 0.18471, 0.99254],
            {"y": 27968.89, "z": 44.59},
        ),
        (
            lambda: Tic(TicShape(width=32, latent=48)),
            128,
            [0.50476, 0.48856, -0.076, -0.05962, -0.50061, -0.48151],
            {"y": 16176.64, "z": 428.4},
        ),
        (
            lambda: Tcm(TcmShape(width=32)),
            256,
            [-0.047, -0.04522, 0.05372, 0.05746, 0.18831, 0.18113],
            {"y": 596122.19, "z": 7960.5},
        ),
        (
            lambda: Mlicpp(MlicShape(width=16, latent=64, slices=2)),
            64,
            [-0.07941, -0.08234, -0.08382, -0.08224, -0.07631, -0.07161],
            {"y": 2791.66, "z": 39.26},
        ),
        (
            lambda: Transtic(
                TransticShape(width=16, latent=32, encoder_prompts=True, decoder_prompts="latent")
            ),
            256,
            [0.00333, -0.02323, -0.38497, -0.24406, -0.02815, 0.02331],
            {"y": 126385.22, "z": 1756.76},
        ),
    ],
)
def test_outputs_are_those_of_the_authors_code(
    build: Callable[[], nn.Module], size: int, pixels: list[float], bits: dict[str, float]
) -> None:
    network = build().eval()
    _fill(network)
    if isinstance(network, Tcm):  # its y would be rounded away
        with torch.no_grad():
            network.g_a.get_submodule("9").weight.mul_(5)  # type: ignore[operator, union-attr]
    down, right = torch.arange(size)[:, None], torch.arange(size)[None, :]
    waves = [torch.sin(down * (0.05 + 0.02 * c) + right * 0.03 * (c + 1)) for c in range(3)]
    with torch.no_grad():
        x_hat, likelihoods = network(torch.stack(waves)[None] * 0.5 + 0.5)
    found = x_hat[0, :, 5 :: size // 2, 7].flatten()
    assert torch.allclose(found, torch.tensor(pixels), atol=1e-4)
    for key, wanted in bits.items():
        assert float(-likelihoods[key].log2().sum()) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("kind", [SmallTcm, SmallMlicpp, SmallTranstic])
def test_the_rate_is_what_the_likelihoods_say(
    kind: type[SmallTcm | SmallMlicpp | SmallTranstic], tmp_path: Path
) -> None:
    codec = kind(weights=str(tmp_path))
    torch.manual_seed(3)
    network = codec.architecture.build().eval()
    rgb8 = sample_image(256, 256, np.random.default_rng(0))
    x = torch.tensor(rgb8).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        for name, parameter in network.named_parameters():  # scales that suit the latent
            if name.startswith("cc_scale") and name.endswith(".4.bias"):
                parameter.fill_(1)
            elif name == "h_s.3.bias" or (name.startswith("entropy_p") and ".6.bias" in name):
                parameter[: len(parameter) // 2] = 1
        network.entropy_bottleneck.update_quantiles()  # type: ignore[operator, union-attr]
        _, likelihoods = network(x)
    bits = sum(float(-one.double().log2().sum()) for one in likelihoods.values())
    write_level(tmp_path, codec.name, name="1", lmbda=1.0, weights=network.state_dict())
    payload = codec.encode(rgb8, codec.levels[0]).payload
    header = 24  # bytes, with the checksum and the end of the range coder's last word
    assert abs(len(payload) - bits / 8) < 0.01 * bits / 8 + header
