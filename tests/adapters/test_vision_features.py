"""Prompts of a codec are trained on the features of a frozen VLM; the base stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("constriction")

from safetensors.torch import load_file, save_file  # noqa: E402

from eyechart.adapters.vision_features import VisionFeatures  # noqa: E402
from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs.learned import transtic  # noqa: E402
from eyechart.codecs.learned.transtic import Transtic  # noqa: E402
from eyechart.core.errors import InputError  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402

SIDE = 192  # pixels of a crop


@pytest.fixture(scope="module")
def features() -> VisionFeatures:
    return VisionFeatures("eyechart-mini", SIDE, "cpu")


def test_the_distance_is_zero_for_equal_images_and_rises(features: VisionFeatures) -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, SIDE, SIDE)
    noise = torch.randn(images.shape)
    assert features.distance(images, images) == 0
    near = features.distance(images + 0.01 * noise, images)
    far = features.distance(images + 0.1 * noise, images)
    assert 0 < near < far


def test_gradients_reach_every_pixel(features: VisionFeatures) -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, SIDE, SIDE)
    decoded = (images + 0.05 * torch.randn(images.shape)).requires_grad_()
    features.distance(decoded, images).backward()
    assert decoded.grad is not None
    side = features.side_px
    assert (decoded.grad[:, :, :side, :side] != 0).float().mean() > 0.99


def test_images_are_cut_to_a_size_that_is_not_resampled(features: VisionFeatures) -> None:
    assert features.side_px == 168  # six patches of 28 pixels
    with pytest.raises(InputError, match="resamples images of up to 20x20 pixels"):
        VisionFeatures("eyechart-mini", 20, "cpu")


def _train(folder: Path, out: str, *more: str) -> int:
    options = {
        "--lambda": "10", "--vlm": "eyechart-mini", "--batch": "1", "--crop": str(SIDE),
        "--held-out": "1", "--threads": "1", "--out": str(folder / out),
    }  # fmt: skip
    given = [word for option in options.items() for word in option]
    return run_args(["codec", "train", "transtic-mini", str(folder / "photos"), *given, *more])


def test_prompts_are_trained_and_the_base_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for index in range(3):
        rgb8 = sample_image(SIDE, SIDE + 8, np.random.default_rng(index))
        Image.fromarray(rgb8).save(tmp_path / "photos" / f"{index}.png")
    torch.manual_seed(0)
    base = Transtic(transtic.MINI)
    base.entropy_bottleneck.update_quantiles()
    save_file(base.state_dict(), tmp_path / "base.safetensors")
    init = ("--init", str(tmp_path / "base.safetensors"))
    assert _train(tmp_path, "out", "--steps", "2") == 2
    assert "needs the weights of its base codec" in capsys.readouterr().err
    assert _train(tmp_path, "out", "--steps", "2", *init) == 0
    assert _train(tmp_path, "out", "--steps", "3", *init) == 0  # goes on
    trained = load_file(tmp_path / "out" / "weights.safetensors")
    for key, value in base.state_dict().items():
        if not key.endswith("quantiles"):
            assert torch.equal(trained[key], value), key
    prompts = [key for key in trained if ".prompt" in key]
    assert prompts
    assert transtic.shape_of(trained, transtic.MINI).decoder_prompts == "latent"
    assert "features of eyechart-mini" in (tmp_path / "out" / "README.md").read_text()
