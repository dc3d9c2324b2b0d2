"""DiffEIC, RDEIC and StableCodec on a tiny base model: from images to bitstreams and back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from torch import Tensor, nn  # noqa: E402

from eyechart.codecs.generative.diffusion.base import load_base  # noqa: E402
from eyechart.codecs.generative.diffusion.codec import DiffusionCodec  # noqa: E402
from eyechart.codecs.generative.diffusion.control import ControlledUnet, ControlModule  # noqa: E402
from eyechart.codecs.generative.diffusion.lora import merge_lora  # noqa: E402
from eyechart.codecs.generative.diffusion.networks import (  # noqa: E402
    DiffEicNetwork,
    RdeicNetwork,
    StableCodecNetwork,
)
from eyechart.codecs.generative.diffusion.pipelines import VAE_LORA  # noqa: E402
from eyechart.core.errors import CodecError, InputError, PluginError  # noqa: E402
from eyechart.testing import check_codec  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402
from tests.codecs.generative.small_diffusion import (  # noqa: E402
    SmallDiffEic,
    SmallRdeic,
    SmallStableCodec,
    control,
    lora_of,
    scaled,
    small_diffeic,
    small_rdeic,
    small_stablecodec,
    widened,
    write_control,
    write_levels,
)
from tests.codecs.generative.tiny_diffusion import TEXT, write_base  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def diffeic(base: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallDiffEic:
    folder = tmp_path_factory.mktemp("diffeic")
    codec = SmallDiffEic(base=str(base), weights=str(folder))
    torch.manual_seed(1)
    networks = {
        level: widened(scaled(small_diffeic(), ("codec.encoder.g_a6",), gain), gain / 3)
        for level, gain in (("2", 12.0), ("8", 3.0))
    }
    for network in networks.values():
        write_control(network, size=0.1)
    write_levels(codec, folder, networks)
    return codec


@pytest.fixture(scope="module")
def rdeic(base: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallRdeic:
    folder = tmp_path_factory.mktemp("rdeic")
    codec = SmallRdeic(base=str(base), weights=str(folder))
    torch.manual_seed(1)
    networks = {
        level: widened(scaled(small_rdeic(), ("codec.encoder.4",), gain), gain / 3)
        for level, gain in (("0.5", 2.0), ("2", 8.0))
    }
    for network in networks.values():
        write_control(network, size=0.1)
    write_levels(codec, folder, networks)
    return codec


@pytest.fixture(scope="module")
def stablecodec(base: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallStableCodec:
    folder = tmp_path_factory.mktemp("stablecodec")
    codec = SmallStableCodec(base=str(base), weights=str(folder))
    lora = lora_of(base)
    torch.manual_seed(1)
    networks = {
        level: scaled(small_stablecodec(lora), ("codec.g_a.pre1", "codec.g_a.pre2"), gain)
        for level, gain in (("2", 6.0), ("8", 2.0))
    }
    for network in networks.values():
        network.load_state_dict(lora, strict=False)
    write_levels(codec, folder, networks)
    return codec


@pytest.fixture(params=["diffeic", "rdeic", "stablecodec"])
def codec(request: pytest.FixtureRequest) -> DiffusionCodec:
    found: DiffusionCodec = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    ("build", "part", "parameters"),
    [
        (DiffEicNetwork, "codec", 51_493_188),
        (DiffEicNetwork, "control", 24_410_240),
        (RdeicNetwork, "codec", 52_112_552),
        (RdeicNetwork, "control", 24_555_392),
        (lambda: StableCodecNetwork({}), "", 81_418_880),
    ],
)
def test_full_size_networks_have_the_published_parameter_counts(
    build: type[nn.Module], part: str, parameters: int
) -> None:
    with torch.device("meta"):
        network = build()
    found = network.get_submodule(part).parameters()
    assert sum(parameter.numel() for parameter in found) == parameters


@pytest.mark.slow
def test_one_meets_the_requirements_of_a_codec(diffeic: SmallDiffEic, base: Path) -> None:
    """One only: they share their loader, and every fresh process imports diffusers."""
    diffeic.check()
    options = {"weights": str(diffeic.folder), "base": str(base)}
    check_codec(diffeic, options=options, sizes=((1, 1), (17, 33)))


@pytest.mark.parametrize("size", [(1, 1), (40, 70), (64, 64)])
def test_any_size_goes_through_the_whole_path(codec: DiffusionCodec, size: tuple[int, int]) -> None:
    loaded = codec.load(codec.levels[-1], "cpu")
    image = sample_image(*size, np.random.default_rng(0))
    (bitstream,) = loaded.encode([image])
    assert loaded.encode([image]) == [bitstream]
    first, second = (loaded.decode([bitstream])[0] for _ in range(2))
    assert first.shape == image.shape
    assert np.array_equal(first, second)
    # The rate is that of the original pixels, whatever is padded.
    assert bitstream.bpp == 8 * len(bitstream.payload) / (size[0] * size[1])


def test_large_images_are_denoised_in_tiles(codec: DiffusionCodec) -> None:
    loaded = codec.load(codec.levels[-1], "cpu")
    image = sample_image(130, 250, np.random.default_rng(0))
    (bitstream,) = loaded.encode([image])
    assert loaded.decode([bitstream])[0].shape == image.shape


def test_levels_are_in_order_of_rate(codec: DiffusionCodec) -> None:
    image = sample_image(128, 128, np.random.default_rng(1))
    sizes = [len(codec.encode(image, level).payload) for level in codec.levels]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 2


def test_the_rate_is_that_of_the_likelihoods(codec: DiffusionCodec) -> None:
    loaded = codec.load(codec.levels[-1], "cpu")
    image = sample_image(256, 256, np.random.default_rng(1))
    (estimate,), (bitstream,) = loaded.estimate_bits([image]), loaded.encode([image])  # type: ignore[attr-defined]
    overhead = 8 * 24  # header, checksum and the range coder's last words
    assert abs(8 * len(bitstream.payload) - estimate) < 0.01 * estimate + overhead


def test_the_official_step_counts(base: Path, diffeic: SmallDiffEic, rdeic: SmallRdeic) -> None:
    image = sample_image(64, 64, np.random.default_rng(2))
    for small, steps in ((diffeic, 50), (rdeic, 5)):
        codec = type(small)(base=str(base), weights=str(small.folder), steps=steps)
        loaded = codec.load(codec.levels[0], "cpu")
        few = small.load(small.levels[0], "cpu")
        (bitstream,) = loaded.encode([image])
        assert few.encode([image]) == [bitstream]  # the steps change the decoder only
        assert not np.array_equal(loaded.decode([bitstream])[0], few.decode([bitstream])[0])
        assert codec.options["steps"] == steps


def test_half_precision_gives_about_the_same_image(codec: DiffusionCodec, base: Path) -> None:
    half = type(codec)(base=str(base), weights=str(codec.folder), precision="bfloat16")
    image = sample_image(64, 64, np.random.default_rng(2))
    bitstream = codec.encode(image, codec.levels[0])
    first, second = codec.decode(bitstream), half.decode(bitstream)
    assert np.abs(first.astype(int) - second).mean() < 12
    assert half.options["precision"] == "bfloat16"
    assert half.options != codec.options


def test_damaged_bitstreams_are_one_line_each(codec: DiffusionCodec) -> None:
    """Bits flipped, and the end cut off. Checksums of 16 bits miss none of these."""
    rng = np.random.default_rng(2)
    loaded = codec.load(codec.levels[0], "cpu")
    whole = loaded.encode([sample_image(30, 20, rng)])[0].payload
    damaged = [whole[: int(rng.integers(len(whole)))] for _ in range(5)]
    for _ in range(5):
        data = bytearray(whole)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(data))
    for payload in damaged:
        with pytest.raises(CodecError) as error:
            loaded.decode([codec.bitstream_from_payload(payload)])
        assert "\n" not in str(error.value)


def test_weights_that_are_not_finite_are_one_line(
    base: Path, rdeic: SmallRdeic, tmp_path: Path
) -> None:
    network = small_rdeic()
    with torch.no_grad():
        network.codec.out.weight[0, 0, 0, 0] = float("nan")
    codec = SmallRdeic(base=str(base), weights=str(tmp_path))
    write_levels(codec, tmp_path, {"2": network})
    with pytest.raises(CodecError, match=r"codec\.out\.weight holds values that are not finite"):
        codec.load(codec.levels[0], "cpu")


def test_no_memory_for_an_image_is_one_line(
    rdeic: SmallRdeic, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = rdeic.load(rdeic.levels[0], "cpu")

    def fails(x: Tensor) -> tuple[Tensor, Tensor]:
        raise MemoryError

    monkeypatch.setattr(loaded._pipeline, "latents", fails)  # type: ignore[attr-defined]
    message = r"no memory for encoding an image of 20x30 pixels on cpu; allowed are smaller tiles"
    with pytest.raises(CodecError, match=message):
        loaded.encode([sample_image(20, 30, np.random.default_rng(0))])


def test_a_level_is_of_one_base_model(diffeic: SmallDiffEic, base: Path, tmp_path: Path) -> None:
    """The same level with other weights of the base model has another identity and payload."""
    other = write_base(tmp_path / "other", seed=6)
    codec = SmallDiffEic(base=str(other), weights=str(diffeic.folder))
    names = [level.name for level in diffeic.levels]
    assert [level.name for level in codec.levels] == names
    assert {level.weights for level in codec.levels}.isdisjoint(
        level.weights for level in diffeic.levels
    )
    image = sample_image(16, 16, np.random.default_rng(2))
    bitstream = diffeic.encode(image, diffeic.levels[0])
    with pytest.raises(CodecError, match="made with other weights"):
        codec.decode(bitstream)


def test_a_control_module_of_zeros_leaves_the_base_model_as_it_is(base: Path) -> None:
    model = load_base(base, "", codec="any")
    unet = ControlledUnet(model.unet, ControlModule(control(4)), model.prompt)
    x, hint = torch.randn(2, 1, 4, 8, 16)
    with torch.inference_mode():
        expected = model.unet(x, 40, model.prompt).sample
        assert torch.equal(unet(x, hint, 40), expected)


def test_lora_weights_of_zeros_leave_the_base_model_as_it_is(base: Path) -> None:
    prefix = "lora.vae."
    lora = {
        key.removeprefix(prefix): value
        for key, value in lora_of(base).items()
        if key.startswith(prefix)
    }
    none = {key: torch.zeros_like(value) for key, value in lora.items()}
    x = torch.rand(1, 3, 64, 64)

    def encoded(tensors: dict[str, Tensor]) -> Tensor:
        model = load_base(base, "", codec="any")
        if tensors:
            merge_lora(model.vae, tensors, VAE_LORA, part="VAE", codec="any")
        with torch.inference_mode():
            return model.encode(x)

    assert torch.equal(encoded(none), encoded({}))
    assert not torch.allclose(encoded(lora), encoded({}), atol=1e-3)


# --- bad input --------------------------------------------------------------------------------


def test_no_base_model_is_one_line(diffeic: SmallDiffEic) -> None:
    codec = SmallDiffEic(weights=str(diffeic.folder))
    for call in (codec.check, lambda: codec.levels):
        with pytest.raises(PluginError, match=r"no base model; .*nobody/tiny.* base=DIR or in EYE"):
            call()


def test_without_a_checkpoint_the_base_model_is_named_too(tmp_path: Path) -> None:
    codec = SmallDiffEic(weights=str(tmp_path))
    with pytest.raises(PluginError, match=r"no checkpoint .*; its base model is .* nobody/tiny"):
        codec.check()


def test_the_base_model_may_be_in_the_environment(
    diffeic: SmallDiffEic, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EYECHART_TINY_BASE", str(base))
    assert SmallDiffEic(weights=str(diffeic.folder)).levels == diffeic.levels


def test_a_hub_id_that_is_not_in_the_cache_is_one_line(diffeic: SmallDiffEic) -> None:
    codec = SmallDiffEic(weights=str(diffeic.folder), base="nobody/nothing")
    with pytest.raises(PluginError, match=r"'nobody/nothing' is neither a folder .*hf download"):
        codec.check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": 2 * TEXT}, "cross_attention_dim in unet/config.json is 32, wanted is 16"),
        (
            {"prediction": "v_prediction"},
            "prediction_type in .* is v_prediction, wanted is epsilon",
        ),
    ],
)
def test_a_base_model_of_another_family_is_one_line(
    diffeic: SmallDiffEic, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    other = write_base(tmp_path / "other", **changes)  # type: ignore[arg-type]
    codec = SmallDiffEic(weights=str(diffeic.folder), base=str(other))
    with pytest.raises(InputError, match=f"a model of another family: {message}"):
        codec.check()


@pytest.mark.parametrize("part", ["text_encoder", "vae", "unet", "tokenizer"])
def test_a_missing_part_of_the_base_model_is_one_line(
    diffeic: SmallDiffEic, base: Path, tmp_path: Path, part: str
) -> None:
    for folder in base.iterdir():
        if folder.name != part:
            (tmp_path / folder.name).symlink_to(folder)
    codec = SmallDiffEic(weights=str(diffeic.folder), base=str(tmp_path))
    with pytest.raises(InputError, match=f"has no {part}"):
        codec.check()


def test_lora_weights_for_other_shapes_are_one_line(base: Path, tmp_path: Path) -> None:
    lora = lora_of(base)
    key = next(name for name in lora if name.startswith("lora.unet") and "lora_A" in name)
    lora[key] = torch.zeros(4, 3, *lora[key].shape[2:])
    codec = SmallStableCodec(base=str(base), weights=str(tmp_path))
    write_levels(codec, tmp_path, {"2": small_stablecodec(lora)})
    with pytest.raises(CodecError, match=r"LoRA weights of another UNet: .* expected"):
        codec.load(codec.levels[0], "cpu")


def test_a_missing_package_is_one_line(
    diffeic: SmallDiffEic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(PluginError, match=r"needs the package diffusers; pip install 'eyechart\["):
        diffeic.check()


@pytest.mark.parametrize("steps", [1, 301])
def test_a_step_count_that_the_schedule_has_not_is_one_line(steps: int) -> None:
    with pytest.raises(InputError, match="allowed are 2 to 300"):
        SmallRdeic(steps=steps)
