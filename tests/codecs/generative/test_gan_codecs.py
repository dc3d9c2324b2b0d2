"""HiFiC and MS-ILLM: sizes, checkpoints' keys, small networks as codecs, levels and messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from torch import Tensor  # noqa: E402

from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs.generative.autoencoder import (  # noqa: E402
    MS_ILLM,
    ChannelNorm,
    Code,
    GanAutoencoder,
    GanShape,
    shape_of,
)
from eyechart.codecs.generative.official import (  # noqa: E402
    load_official,
    tensors_of_hific,
    tensors_of_ms_illm,
)
from eyechart.codecs.generative.plugins import ARCHITECTURES, HificCodec, MsIllmCodec  # noqa: E402
from eyechart.codecs.learned.architecture import Architecture  # noqa: E402
from eyechart.codecs.learned.neural import LoadedNetwork, NetworkCodec, batch_size  # noqa: E402
from eyechart.codecs.learned.weights import fill, read_weights, write_level  # noqa: E402
from eyechart.core.errors import CodecError, InputError, PluginError  # noqa: E402
from eyechart.core.types import Bitstream  # noqa: E402
from eyechart.testing import check_codec  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402


def small(code: Code, *, normalized: bool, logistic: bool = False) -> GanShape:
    return GanShape(
        code=code,
        widths=(4, 6, 8, 12, 16),
        latent=8,
        hyper=6,
        blocks=2,
        normalized=normalized,
        logistic=logistic,
    )


SMALL_HIFIC = small("HiFiC", normalized=True)
SMALL_LOGISTIC = small("HiFiC", normalized=False, logistic=True)
SMALL_ILLM = small("NeuralCompression", normalized=False)


class SmallHific(NetworkCodec):
    """Both variants of HiFiC, as `hific` has them."""

    architecture = Architecture(
        name="small-hific",
        build=lambda: GanAutoencoder(SMALL_HIFIC),
        multiple=16,
        padding="reflect",
        latent_multiple=4,
        knob="target_bpp",
        variant=lambda tensors: GanAutoencoder(shape_of(tensors, SMALL_HIFIC)),
    )


class SmallIllm(NetworkCodec):
    architecture = Architecture(
        name="small-illm",
        build=lambda: GanAutoencoder(SMALL_ILLM),
        multiple=64,
        padding="reflect",
        knob="target_bpp",
    )


def lively(shape: GanShape, size: float) -> GanAutoencoder:
    """An untrained network whose latent is not rounded away."""
    torch.manual_seed(3)
    network = GanAutoencoder(shape).eval()
    with torch.no_grad():
        network.g_a.blocks[-1].weight.mul_(size)  # type: ignore[operator, union-attr]
        network.h_a[-1].weight.mul_(20)  # type: ignore[operator]
        network.h_scale[-1].bias.fill_(size / 4)  # type: ignore[operator]
    network.entropy_bottleneck.update_quantiles()
    return network


def write_levels(codec: NetworkCodec, folder: Path, *shapes: GanShape) -> None:
    for target, size, shape in zip((0.1, 0.4), (4.0, 16.0), shapes, strict=True):
        write_level(
            folder,
            codec.name,
            name=f"{target:g}",
            lmbda=target,
            weights=lively(shape, size).state_dict(),
            knob="target_bpp",
        )


@pytest.fixture(scope="module")
def hific(tmp_path_factory: pytest.TempPathFactory) -> SmallHific:
    folder = tmp_path_factory.mktemp("hific")
    codec = SmallHific(weights=str(folder))
    write_levels(codec, folder, SMALL_HIFIC, SMALL_LOGISTIC)
    return codec


@pytest.fixture(scope="module")
def illm(tmp_path_factory: pytest.TempPathFactory) -> SmallIllm:
    folder = tmp_path_factory.mktemp("illm")
    codec = SmallIllm(weights=str(folder))
    write_levels(codec, folder, SMALL_ILLM, SMALL_ILLM)
    return codec


@pytest.fixture(params=["hific", "illm"])
def codec(request: pytest.FixtureRequest) -> NetworkCodec:
    found: NetworkCodec = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    ("shape", "parameters"), [(GanShape(), 181_476_623), (MS_ILLM, 181_481_103)]
)
def test_full_size_networks_have_the_published_parameter_counts(
    shape: GanShape, parameters: int
) -> None:
    with torch.device("meta"):
        network = GanAutoencoder(shape)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_the_channels_of_each_position_are_normalized() -> None:
    found = ChannelNorm(64)(torch.randn(2, 64, 3, 5) * 7 + 3)
    assert torch.allclose(found.mean(1), torch.zeros(2, 3, 5), atol=1e-5)
    assert torch.allclose(found.std(1), torch.ones(2, 3, 5), atol=1e-3)


def test_they_meet_the_requirements_of_a_codec(codec: NetworkCodec) -> None:
    codec.check()
    check_codec(codec, options={"weights": str(codec.folder)}, sizes=((1, 1), (17, 33)))


def test_batches_give_what_single_images_give(codec: NetworkCodec) -> None:
    rng = np.random.default_rng(0)
    sizes = ((20, 60), (70, 30), (20, 60), (18, 62), (20, 60))
    images = [sample_image(*size, rng) for size in sizes]
    for level in codec.levels:
        path = codec.folder / f"{level.name}.safetensors"
        tensors = read_weights(path, codec=codec.name)
        network = codec.architecture.network_of(tensors)
        fill(network, tensors, path, codec=codec.name)
        loaded = LoadedNetwork(network, codec.architecture, level, "cpu", images_at_once=batch_size)
        together = loaded.encode(images)
        assert together == [loaded.encode([image])[0] for image in images]
        for image, bitstream, rgb8 in zip(images, together, loaded.decode(together), strict=True):
            assert rgb8.shape == image.shape
            assert np.array_equal(rgb8, loaded.decode([bitstream])[0])


@pytest.mark.parametrize("place", [0, 1])
def test_the_rate_is_that_of_the_likelihoods(codec: NetworkCodec, place: int) -> None:
    level = codec.levels[place]
    loaded = codec.load(level, "cpu")
    image = sample_image(256, 256, np.random.default_rng(1))
    (estimate,), (bitstream,) = loaded.estimate_bits([image]), loaded.encode([image])
    overhead = 8 * 24  # header, checksum and the range coder's last words
    assert abs(8 * len(bitstream.payload) - estimate) < 0.01 * estimate + overhead


def test_damaged_bitstreams_end_in_an_error_or_an_image_of_the_right_size(
    codec: NetworkCodec,
) -> None:
    rng = np.random.default_rng(2)
    for level in codec.levels:
        loaded = codec.load(level, "cpu")
        whole = loaded.encode([sample_image(30, 20, rng)])[0]
        refused = 0
        for _ in range(25):
            data = bytearray(whole.payload)
            at = int(rng.integers(len(data)))
            data[at] ^= 1 << int(rng.integers(8))
            damaged = Bitstream(payload=bytes(data), height_px=30, width_px=20)
            try:
                rgb8 = loaded.decode([damaged])[0]
            except CodecError:
                refused += 1
            else:
                assert rgb8.shape == (30, 20, 3)
        assert refused >= 20


def published_hific(network: GanAutoencoder) -> dict[str, Tensor]:
    """The weights of a network under the keys of the published code."""
    found: dict[str, Tensor] = {}
    hyper = {"h_a": "analysis_net", "h_mean": "synthesis_mu", "h_scale": "synthesis_std"}
    density = {"matrices": "H", "factors": "a", "biases": "b"}
    for key, value in network.state_dict().items():
        part, *rest = key.split(".")
        match part, *rest:
            case "g_a", "blocks", "5", name:
                found[f"Encoder.conv_block_out.1.{name}"] = value
            case "g_a", "blocks", block, layer, name:
                place = f"Encoder.conv_block{int(block) + 1}.{int(layer) + 1}"
                found[f"{place}.{name}"] = value
            case "g_s", "head", layer, name:
                at = {"0": 0, "1": 2, "2": 3}[layer]
                found[f"Generator.conv_block_init.{at}.{name}"] = value
            case "g_s", "residual", block, "layers", *layer, name:
                kind = {"0.0": "conv1", "0": "conv1", "1": "norm1", "3": "conv2", "4": "norm2"}
                found[f"Generator.resblock_{block}.{kind['.'.join(layer)]}.{name}"] = value
            case "g_s", "blocks", "4", name:
                found[f"Generator.conv_block_out.1.{name}"] = value
            case "g_s", "blocks", block, layer, name:
                found[f"Generator.upconv_block{int(block) + 1}.{layer}.{name}"] = value
            case "h_a" | "h_mean" | "h_scale", layer, name:
                place = f"Hyperprior.{hyper[part]}.conv{int(layer) // 2 + 1}"
                found[f"{place}.{name}"] = value
            case "entropy_bottleneck", "quantiles":
                pass
            case "entropy_bottleneck", kind_, index:
                found[f"Hyperprior.hyperlatent_likelihood.{density[kind_]}_{index}"] = value
    return found


def test_keys_of_hific_are_renamed_and_others_left_out() -> None:
    network = lively(SMALL_HIFIC, 4.0)
    published = published_hific(network)
    extra = {
        "Discriminator.conv1.weight": torch.zeros(2),
        "perceptual_loss.model.net.slice1.0.weight": torch.zeros(2),
        "Hyperprior.hyperprior_entropy_model.distribution.H_0": torch.zeros(2),
        "Hyperprior.prior_entropy_model.CDF": torch.zeros(2),
    }
    args = {"normalize_input_image": False, "likelihood_type": "logistic", "regime": "med"}
    tensors = tensors_of_hific(
        {"model_state_dict": {**published, **extra}, "args": args, "epoch": 2}
    )
    wanted = {key for key in network.state_dict() if not key.endswith("quantiles")}
    assert tensors.keys() == wanted
    assert shape_of(tensors, SMALL_HIFIC) == SMALL_LOGISTIC
    for key in wanted - {"normalized", "logistic"}:
        assert torch.equal(tensors[key], network.state_dict()[key])


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("encoder.blocks.0.0.weight", "g_a.blocks.0.0.weight"),
        ("encoder.blocks.5.bias", "g_a.blocks.5.bias"),
        ("decoder.block_0.2.gamma", "g_s.head.2.gamma"),
        ("decoder.resid_blocks.8.sequence.3.bias", "g_s.residual.8.layers.3.bias"),
        ("decoder.blocks.3.1.beta", "g_s.blocks.3.1.beta"),
        ("hyper_analysis.4.weight", "h_a.4.weight"),
        ("hyper_synthesis_mean.0.weight", "h_mean.0.weight"),
        ("hyper_synthesis_scale.4.bias", "h_scale.4.bias"),
        ("hyper_bottleneck._matrix0", "entropy_bottleneck.matrices.0"),
        ("hyper_bottleneck.matrices.0", "entropy_bottleneck.matrices.0"),
        ("hyper_bottleneck.quantiles", "entropy_bottleneck.quantiles"),
    ],
)
def test_keys_of_ms_illm_are_renamed(key: str, wanted: str) -> None:
    left_out = (
        "hyper_bottleneck._quantized_cdf",
        "hyper_bottleneck.likelihood_lower_bound.bound",
        "latent_bottleneck.scale_table",
        "latent_bottleneck.lower_bound_scale.bound",
    )
    state = {name: torch.zeros(1) for name in (key, *left_out)}
    assert list(tensors_of_ms_illm(state)) == [wanted]
    trained = {"model.encoder.blocks.5.bias": torch.zeros(1), "discriminator.a": torch.zeros(1)}
    assert list(tensors_of_ms_illm({"state_dict": trained})) == ["g_a.blocks.5.bias"]


def test_checkpoints_of_other_networks_are_refused() -> None:
    other = {"features.0.weight": torch.zeros(2)}
    with pytest.raises(InputError, match=r"ms-illm: not the weights .* lacks \S+"):
        load_official("ms-illm", other)
    with pytest.raises(InputError, match="allowed are hific, ms-illm"):
        load_official("elic", other)
    with pytest.raises(InputError, match="holds no model_state_dict"):
        load_official("hific", {"model_state_dict": 3})
    with pytest.raises(InputError, match="trained with use_latent_mixture_model"):
        load_official("hific", {"model_state_dict": other, "args": {"use_latent_mixture_model": 1}})


def test_codec_add_refuses_them_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model_state_dict": {"Encoder.a": torch.zeros(2)}}, tmp_path / "other.pt")
    arguments = ["codec", "add", "hific", str(tmp_path / "other.pt"), "--into", str(tmp_path / "w")]
    assert run_args([*arguments, "--level", "low"]) == 2
    assert "allowed are numbers above 0" in capsys.readouterr().err
    assert run_args([*arguments, "--level", "0.14"]) == 2
    assert "not the weights of this network" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("kind", [HificCodec, MsIllmCodec])
def test_without_weights_they_say_where_they_are_published(
    kind: type[HificCodec | MsIllmCodec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    codec = kind()
    assert ARCHITECTURES[codec.name] is codec.architecture
    assert codec.levels == ()
    with pytest.raises(PluginError, match=rf"0\.14.*github\.com.*codec add {codec.name}"):
        codec.check()
