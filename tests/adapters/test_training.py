"""Distillation: it reduces the error, continues exactly, and keeps its last good state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eyechart.adapters import training
from eyechart.adapters.checkpoint import LOG, STATE
from eyechart.adapters.condition import SOURCE, Condition
from eyechart.adapters.distill import Teacher
from eyechart.adapters.package import open_adapter
from eyechart.adapters.pairs import CodecPairs
from eyechart.adapters.recipe import ERRORS, images_shown, plan_step
from eyechart.adapters.training import TrainingSettings, train
from eyechart.adapters.watcher import SilentWatcher, StepLog
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.errors import InputError, TrainingError
from eyechart.core.types import component_of
from eyechart.vlms.adapter_identity import CONDITIONINGS
from tests.adapters.tiny_towers import open_tiny, recipe


class Stop(Exception):  # noqa: N818
    """Stops the training."""


class StopAfter(SilentWatcher):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def stepped(self, log: StepLog, steps: int) -> None:
        if log.step == self.steps:
            raise Stop


@pytest.fixture
def pairs(image_folder: Path, tmp_path: Path) -> CodecPairs:
    return CodecPairs(image_folder, [JpegCodec(levels=[1, 6])], tmp_path / "cache")


@pytest.fixture
def qwen(tiny_dirs: dict[str, Path]) -> Any:
    return open_tiny(tiny_dirs["qwen2_5_vl"])


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / LOG).read_text().splitlines()]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl", "janus"])
def test_training_reduces_the_feature_error(
    tiny_dirs: dict[str, Path], pairs: CodecPairs, tmp_path: Path, family: str
) -> None:
    vlm = open_tiny(tiny_dirs[family])
    # Two images to overfit: random weights do not generalise to others.
    wanted = recipe(steps=16, validation_images=8, condition_dropout=0.0)
    config = train(vlm, pairs, wanted, TrainingSettings(out=tmp_path / "out"))
    log = [json.loads(line) for line in (tmp_path / "out" / LOG).read_text().splitlines()]
    assert [entry["step"] for entry in log] == list(range(1, 17))
    assert set(log[0]["by_condition"]) == {"source/lossless", "jpeg/1", "jpeg/6"}
    assert log[0]["by_condition"]["source/lossless"] == pytest.approx(0, abs=1e-6)
    assert log[-1]["by_condition"]["jpeg/1"] < 0.9 * log[0]["by_condition"]["jpeg/1"]
    results: Any = config.results
    before, after = results["feature_error_before"], results["feature_error"]
    assert before["source/lossless"] == pytest.approx(0, abs=1e-6)
    loaded = open_adapter(tmp_path / "out")
    assert loaded.config.trained_codecs == ("source", "jpeg")
    loaded.attach(vlm.build()[1])
    card = (tmp_path / "out" / "README.md").read_text()
    by_conditioning = " | ".join(f"{after[name]['jpeg/1']:.4f}" for name in CONDITIONINGS)
    assert f"| jpeg/1 | {before['jpeg/1']:.4f} | {by_conditioning} |" in card


def test_with_the_logarithm_uncompressed_images_change_less(
    qwen: Any, pairs: CodecPairs, tmp_path: Path
) -> None:
    after = {}
    for error in ERRORS:
        wanted = recipe(steps=16, validation_images=8, condition_dropout=0.0, error=error)
        config = train(qwen, pairs, wanted, TrainingSettings(out=tmp_path / error))
        log = [json.loads(line) for line in (tmp_path / error / LOG).read_text().splitlines()]
        after[error] = log[-1]["by_condition"]
        assert config.training["error"] == error
        assert after[error]["jpeg/1"] < 0.9 * log[0]["by_condition"]["jpeg/1"]
    assert after["log"]["source/lossless"] < 0.8 * after["squared"]["source/lossless"]


@pytest.mark.parametrize("trainable", ["encoder", "lora"])
def test_a_stopped_training_continues_exactly(
    qwen: Any, pairs: CodecPairs, tmp_path: Path, trainable: str
) -> None:
    wanted = recipe(trainable=trainable)
    train(qwen, pairs, wanted, TrainingSettings(out=tmp_path / "whole", save_every=2))
    with pytest.raises(Stop):  # in step 5, with a checkpoint of step 4
        train(
            qwen,
            pairs,
            wanted,
            TrainingSettings(out=tmp_path / "broken", save_every=2),
            StopAfter(5),
        )
    assert len(losses(tmp_path / "broken")) == 5
    train(qwen, pairs, wanted, TrainingSettings(out=tmp_path / "broken", save_every=2))
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    files = [(tmp_path / run / "adapter_model.safetensors") for run in ("whole", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_another_training_in_the_folder_is_refused(
    qwen: Any, pairs: CodecPairs, tmp_path: Path
) -> None:
    train(qwen, pairs, recipe(steps=1), TrainingSettings(out=tmp_path / "out"))
    with pytest.raises(InputError, match="holds another training"):
        train(qwen, pairs, recipe(steps=1, seed=1), TrainingSettings(out=tmp_path / "out"))
    state = tmp_path / "out" / STATE
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged or cut short"):
        train(qwen, pairs, recipe(steps=1), TrainingSettings(out=tmp_path / "out"))


def test_other_images_under_the_same_names_are_another_training(
    qwen: Any, image_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in image_folder.iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(other / path.name)

    def resumed(folder: Path, codec: JpegCodec) -> Any:
        pairs = CodecPairs(folder, [codec], tmp_path / "cache")
        return train(qwen, pairs, recipe(steps=1), TrainingSettings(out=tmp_path / "out"))

    codec = JpegCodec(levels=[1, 6])
    config = resumed(image_folder, codec)
    assert config.codecs == (component_of(codec),)
    assert open_adapter(tmp_path / "out").config.codecs == (component_of(codec),)
    for folder, changed in (
        (image_folder, JpegCodec(levels=[1, 6], subsampling="444")),
        (other, codec),
    ):
        with pytest.raises(InputError, match="holds another training"):
            resumed(folder, changed)
    resumed(image_folder, codec)


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_state(
    qwen: Any, pairs: CodecPairs, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    class SetNan(SilentWatcher):
        def stepped(self, log: StepLog, steps: int) -> None:
            if log.step == 3:
                with torch.no_grad():
                    for parameter in diverging.student.encoder.parameters():
                        parameter.fill_(torch.nan)

    setting = TrainingSettings(out=out, save_every=2)
    diverging = training.AdapterTraining(qwen, pairs, recipe(), setting, SetNan(), {})
    with pytest.raises(
        TrainingError, match=r"loss is nan \(source/lossless of .*\) at step 4; the "
    ):
        diverging.run()
    assert not (out / "adapter_config.json").exists()
    train(qwen, pairs, recipe(), TrainingSettings(out=out, save_every=2))  # continues from step 2
    assert len(losses(out)) == 6
    assert np.isfinite(losses(out)).all()


def test_the_teacher_computes_an_image_once_for_all_its_levels(
    qwen: Any, pairs: CodecPairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    plain = Teacher.features_by_unit

    def counting(self: Teacher, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        seen.append(len(inputs["grid"]))
        return plain(self, inputs)

    run = training.AdapterTraining(
        qwen, pairs, recipe(steps=2), TrainingSettings(out=tmp_path / "out"), SilentWatcher(), {}
    )
    monkeypatch.setattr(Teacher, "features_by_unit", counting)
    for step, batch in enumerate(run.batches(0)):
        run.step(step, batch)
    assert seen == [2, 2]  # two images a step, under three conditions each


def test_parts_of_a_step_add_up_to_the_whole(qwen: Any, pairs: CodecPairs, tmp_path: Path) -> None:
    train(qwen, pairs, recipe(steps=3), TrainingSettings(out=tmp_path / "whole"))
    train(qwen, pairs, recipe(steps=3, micro_pairs=2), TrainingSettings(out=tmp_path / "parts"))
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl"])
def test_no_more_pairs_than_allowed_go_through_an_encoder_together(
    tiny_dirs: dict[str, Path], pairs: CodecPairs, tmp_path: Path, family: str
) -> None:
    vlm = open_tiny(tiny_dirs[family])
    together: list[int] = []

    def count(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        grid = kwargs.get("grid_thw")
        pixels = args[0] if args else kwargs["pixel_values"]
        together.append(len(pixels if grid is None else grid))

    found = []
    for name, bound in (("whole", None), ("parts", 2)):
        wanted = recipe(steps=1, micro_pairs=bound)
        run = training.AdapterTraining(
            vlm, pairs, wanted, TrainingSettings(out=tmp_path / name), SilentWatcher(), {}
        )
        for tower in (run.tower, run.teacher.tower):
            tower.module.register_forward_pre_hook(count, with_kwargs=True)
        together.clear()
        results: Any = run.run().results
        found.append([results["feature_error_before"], *results["feature_error"].values()])
        assert max(together) == (bound or 6)
    for whole, parts in zip(*found, strict=True):
        assert parts == pytest.approx(whole, rel=1e-3, abs=1e-6)


def test_recomputed_activations_change_nothing(
    qwen: Any, pairs: CodecPairs, tmp_path: Path
) -> None:
    train(qwen, pairs, recipe(steps=3), TrainingSettings(out=tmp_path / "kept"))
    train(
        qwen,
        pairs,
        recipe(steps=3, gradient_checkpointing=True),
        TrainingSettings(out=tmp_path / "again"),
    )
    assert losses(tmp_path / "again") == pytest.approx(losses(tmp_path / "kept"), rel=1e-4)


def test_too_few_images_are_refused(qwen: Any, pairs: CodecPairs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="10 images are too few: 10 are held out"):
        train(qwen, pairs, recipe(validation_images=10), TrainingSettings(out=tmp_path / "out"))


@settings(max_examples=30, deadline=None)
@given(
    step=st.integers(0, 50),
    levels=st.one_of(st.none(), st.integers(1, 3)),
    images=st.integers(1, 9),
    processes=st.integers(1, 3),
    dropout=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_every_image_of_a_step_is_shown_uncompressed_too(
    step: int, levels: int | None, images: int, processes: int, dropout: float
) -> None:
    entries: tuple[Condition, ...] = (SOURCE, ("jpeg", "1"), ("jpeg", "6"), ("vvc", "53"))
    wanted = recipe(levels_an_image=levels, condition_dropout=dropout)
    plans = [
        plan_step(wanted, step, range(images), entries, process, processes)
        for process in range(processes)
    ]
    assert plans[0] == plan_step(wanted, step, range(images), entries, 0, processes)
    shown = [one for plan in plans for one in plan]
    assert len(shown) == wanted.images_a_step * processes
    for one in shown:
        assert one.entries[0] == SOURCE
        assert len(set(one.entries)) == len(one.entries) == 1 + (levels or 3)
        for entry, row in zip(one.entries, one.given_rows, strict=True):
            assert row in (entries.index(entry), len(entries))
            assert dropout < 1 or row == len(entries)
            assert dropout > 0 or row != len(entries)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.integers(1, 9),
    first=st.integers(0, 9),
    images=st.integers(1, 30),
    processes=st.integers(1, 3),
)
def test_images_shown_are_those_of_the_steps_that_are_left(
    steps: int, first: int, images: int, processes: int
) -> None:
    wanted, chosen = recipe(steps=steps), range(100, 100 + images)
    planned = {
        one.image
        for step in range(first, steps)
        for process in range(processes)
        for one in plan_step(wanted, step, chosen, (SOURCE,), process, processes)
    }
    assert images_shown(wanted, chosen, first, processes) == sorted(planned)


def test_an_epoch_shows_every_image_once() -> None:
    shown = [
        one.image
        for step in range(4)
        for one in plan_step(recipe(images_a_step=2), step, range(8), (SOURCE, ("jpeg", "1")))
    ]
    assert sorted(shown) == list(range(8))


def test_settings_out_of_range_are_refused() -> None:
    bad: list[tuple[Mapping[str, Any], str]] = [
        ({"injection": "film"}, "injection 'film'"),
        ({"steps": 0}, "steps 0 must be at least 1"),
        ({"micro_pairs": 0}, "micro_pairs 0 must be at least 1"),
        ({"trainable": "all"}, "trainable 'all' is not one of encoder, lora"),
        ({"learning_rate": 0.0}, "learning_rate 0.0 must be above 0"),
        ({"error": "cubed"}, "error 'cubed' is not one of squared, log"),
        ({"condition_dropout": 1.5}, "condition_dropout 1.5 is not from 0 to 1"),
        ({"conditioning": "softly"}, "conditioning='softly'"),
    ]
    for changed, message in bad:
        with pytest.raises(InputError, match=message):
            recipe(**changed)
