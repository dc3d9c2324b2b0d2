"""Training reduces the loss, and a stopped training continues exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs.learned.distortion import ms_ssim  # noqa: E402
from eyechart.codecs.learned.elic import MINI, Elic, ElicShape  # noqa: E402
from eyechart.codecs.learned.optimizer import orthogonalize  # noqa: E402
from eyechart.codecs.learned.photos import Crops, read_pictures  # noqa: E402
from eyechart.codecs.learned.tic import Tic, TicShape  # noqa: E402
from eyechart.codecs.learned.train import (  # noqa: E402
    CodecTraining,
    TrainConfig,
    TrainingProgress,
    run,
    to_tensor,
)
from eyechart.codecs.learned.transtic import MINI as TRANSTIC_MINI  # noqa: E402
from eyechart.codecs.learned.transtic import Transtic, TransticShape  # noqa: E402
from eyechart.core.errors import InputError  # noqa: E402
from eyechart.quality import open_metric  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402

TINY = ElicShape(
    widths=(4, 6, 8),
    blocks=(1, 0, 0),
    slices=(4, 8),
    latent_kernel=3,
    hyper=(4, 4),
    context=(4, 4),
    context_kernel=3,
    aggregation=(8, 8),
    attention=False,
)
TINY_TIC = TicShape(
    width=16, latent=16, depths=(1, 1, 1, 0, 0), heads=(2, 2, 2, 2, 2), window=4, mlp_ratio=2.0
)
SMALL_TIC = TicShape(
    width=64, latent=128, depths=(1, 1, 2, 0, 0), heads=(4, 4, 4, 4, 4), window=4, mlp_ratio=2.0
)
TINY_TRANSTIC = TransticShape(
    width=16, latent=16, depths=(1, 1, 0, 2, 0, 0), heads=(2, 2, 2, 2, 2, 2), window=2
)


def _training(config: TrainConfig) -> CodecTraining:
    rng = np.random.default_rng(0)
    pictures = [sample_image(200, 200, rng) for _ in range(4)]
    crops = Crops([pictures], [1.0], config.crop_px)
    torch.manual_seed(config.seed)
    network = Elic(TINY)
    network.start(to_tensor(crops.draw(rng, 16)), config.lmbda)
    return CodecTraining(network, crops, config)


def _config(steps: int) -> TrainConfig:
    return TrainConfig(lmbda=0.01, steps=steps, batch=2, crop_px=64, lr=3e-3, warmup=5)


@pytest.mark.parametrize(
    "build", [lambda: Elic(MINI), lambda: Tic(SMALL_TIC), lambda: Transtic(TRANSTIC_MINI)]
)
def test_the_first_weights_are_a_linear_transform_codec(
    build: Callable[[], Elic | Tic | Transtic],
) -> None:
    rng = np.random.default_rng(0)
    pictures = to_tensor(np.stack([sample_image(128, 128, rng) for _ in range(8)]))
    torch.manual_seed(0)
    network = build()
    with torch.no_grad():
        before = (network(pictures)[0] - pictures).square().mean()
        network.start(pictures, 0.013)
        after = (network(pictures)[0] - pictures).square().mean()
    assert before > 0.01
    assert after < 0.002  # 27 dB


@pytest.mark.parametrize(
    "build", [lambda: Elic(TINY), lambda: Tic(TINY_TIC), lambda: Transtic(TINY_TRANSTIC)]
)
def test_scaling_the_latent_changes_only_its_rounding(
    build: Callable[[], Elic | Tic | Transtic],
) -> None:
    rng = np.random.default_rng(0)
    pictures = to_tensor(np.stack([sample_image(64, 64, rng) for _ in range(4)]))
    torch.manual_seed(0)
    network = build()
    network.start(pictures, 0.01)
    with torch.no_grad():
        y, whole = network.g_a(pictures), network.g_s(network.g_a(pictures))
        z = network.h_a(y)
        network.scale_latent(0.5)
        assert torch.allclose(network.g_a(pictures), 0.5 * y, atol=1e-5)
        assert torch.allclose(network.h_a(0.5 * y), z, atol=1e-5)
        assert torch.allclose(network.g_s(network.g_a(pictures)), whole, atol=1e-5)


def test_half_precision_changes_the_loss_little_and_weights_stay_in_float32() -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        config = replace(_config(3), precision=precision)
        training = _training(config)
        losses[precision] = [training.run_step()[0] for _ in range(3)]
        assert {p.dtype for p in training.network.parameters()} == {torch.float32}
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


def test_an_unknown_precision_is_bad_input() -> None:
    with pytest.raises(InputError, match="precision 'half'; allowed are float32, bfloat16"):
        replace(_config(3), precision="half")


def test_scaling_the_latent_of_tic_scales_its_context() -> None:
    torch.manual_seed(0)
    network = Tic(TINY_TIC)
    y_hat = torch.randn(1, TINY_TIC.latent, 8, 8) * 5
    with torch.no_grad():
        before = network.context_prediction(y_hat)
        network.scale_latent(0.5)
        after = network.context_prediction(0.5 * y_hat)
    assert torch.allclose(before, after, atol=1e-4)


def test_the_loss_falls_and_what_is_saved_is_measured(tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    training = _training(_config(200))
    validation = {"photos": [sample_image(64, 96, np.random.default_rng(1))]}
    run(training, tmp_path, validation, seen.append)
    assert [progress.step for progress in seen] == [100, 200]
    assert seen[1].loss < 0.95 * seen[0].loss
    assert seen[1].left_s == 0
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[1]["photos_psnr_db"] > 10
    assert 0 < rows[1]["photos_bpp"] < 5


def test_ms_ssim_is_that_of_the_quality_metric() -> None:
    rng = np.random.default_rng(4)
    x, noise = sample_image(192, 208, rng), rng.normal(0, 12, (192, 208, 3))
    y = np.clip(x + noise, 0, 255).astype(np.uint8)
    wanted = open_metric("ms-ssim").measure(x, y)
    found = ms_ssim(to_tensor(x[None]).double(), to_tensor(y[None]).double()).item()
    assert found == pytest.approx(wanted, abs=1e-6)


def test_training_for_ms_ssim_raises_it() -> None:
    config = TrainConfig(
        lmbda=20, steps=40, batch=2, crop_px=192, lr=3e-3, warmup=5, distortion="ms-ssim"
    )
    training = _training(config)
    losses = [training.run_step()[0] for _ in range(40)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_a_stopped_run_continues_exactly(tmp_path: Path) -> None:
    whole = _training(_config(12))
    for _ in range(12):
        whole.run_step()
    first = _training(_config(12))
    for _ in range(7):
        first.run_step()
    first.save(tmp_path)
    second = _training(_config(12))
    second.resume(tmp_path)
    for _ in range(5):
        second.run_step()
    for key, value in whole.averaged().items():
        assert torch.equal(second.averaged()[key], value), key


def test_other_settings_are_refused_and_more_steps_are_not(tmp_path: Path) -> None:
    training = _training(_config(3))
    training.run_step()
    training.save(tmp_path)
    _training(_config(9)).resume(tmp_path)
    other = TrainConfig(lmbda=0.02, steps=3, batch=2, crop_px=64, lr=3e-3, warmup=5)
    with pytest.raises(InputError, match=r"lambda 0\.01; allowed are the same settings"):
        _training(other).resume(tmp_path)


def test_saved_weights_hold_every_tensor_and_no_pickle(tmp_path: Path) -> None:
    training = _training(_config(3))
    training.run_step()
    training.save(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".safetensors", ".safetensors"]
    weights = load_file(tmp_path / "weights.safetensors")
    assert set(weights) == set(training.network.state_dict())


def test_orthogonalize_brings_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((8, 40), (40, 8), (16, 16)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(*shape)))
        assert values.max() < 1.3
        assert values.median() > 0.6


def test_images_too_small_for_a_crop_are_left_out(tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.jpg"]
    for file, size in zip(files, ((200, 120), (70, 64)), strict=True):
        Image.new("RGB", size).save(file)
    assert [p.shape for p in read_pictures(files, 64)[0]] == [
        (120, 200, 3),
        (80, 133, 3),
        (64, 70, 3),
    ]
    assert len(read_pictures(files, 96, smaller=False)[0]) == 1


def test_unreadable_images_are_left_out_and_named(tmp_path: Path) -> None:
    files = [tmp_path / "cut.png", tmp_path / "good.png"]
    Image.new("RGB", (70, 70)).save(files[1])
    files[0].write_bytes(files[1].read_bytes()[:40])
    pictures, unreadable = read_pictures(files, 64, smaller=False)
    assert len(pictures) == 1
    (message,) = unreadable
    assert "cut.png" in message


def test_a_stopped_training_prints_what_is_kept_and_how_to_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eyechart.codecs.learned.recipe.train_codec", stop)
    command = ["codec", "train", "elic-mini", str(tmp_path), "--lambda", "1", "--out"]
    monkeypatch.setattr("sys.argv", ["eyechart", *command])
    assert run_args([*command, str(tmp_path / "new")]) == 130
    assert "stopped; no step is saved yet. Continue with: eyechart" in capsys.readouterr().err
    training = _training(_config(1))
    training.run_step()
    training.save(tmp_path)
    assert run_args([*command, str(tmp_path)]) == 130
    assert "stopped; the state after step 1 is kept in" in capsys.readouterr().err
