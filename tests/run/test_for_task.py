"""A VLM with settings for a task: the settings used are those in the cell's key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from run_fakes import FakeCodec, FakeTask, FakeVLM, levels_of

from eyechart.core.types import Answer, Component, Decoding, Request, component_of
from eyechart.core.workers import SerialExecutor
from eyechart.runner.engine import run
from eyechart.runner.progress import SilentProgress
from eyechart.runner.resolve import resolve
from eyechart.runner.work import ModelConfig, Work, task_work, vlm_component
from eyechart.store import Store


@dataclass
class Tiled(FakeVLM):
    """Answers with its number of tiles, which a task called Fine raises."""

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        text = f"{self.options['tiles']} tiles"
        return [[Answer(text=text, tokens=1) for _ in request.prompts] for request in requests]

    def for_task(self, task: str) -> Tiled:
        return replace(self, options={"tiles": 24}) if task == "Fine" else self


def test_the_key_holds_the_setting_that_answered(tmp_path: Path) -> None:
    vlm, store = Tiled(options={"tiles": 6, "dtype": "x"}), Store(tmp_path)
    tasks = [FakeTask(name="Coarse"), FakeTask(name="Fine")]
    model = ModelConfig(
        vlm=Component(name=vlm.name, version=vlm.version, options=vlm.options),
        adapter=None,
        open=lambda: vlm,
        by_task={task.name: vlm_component(vlm, task.name) for task in tasks},
    )
    codec = FakeCodec()
    work = Work(
        models=(model,),
        codecs=(levels_of(codec),),
        tasks=tuple(task_work(task) for task in tasks),
    )
    store.create()
    assert run(work, store, SerialExecutor(), SilentProgress()).answered == 24
    cells = store.cells()
    assert {(c.cell.task.name, r.answer) for c in cells for r in c.records()} == {
        ("Coarse", "6 tiles"),
        ("Fine", "24 tiles"),
    }
    options = {c.cell.task.name: c.cell.vlm.options for c in cells}
    assert options["Coarse"] == {"tiles": 6, "dtype": "x"}
    changed = {"tiles": 24, "dtype": None}
    assert options["Fine"] == {"tiles": 6, "dtype": "x", "for_task": changed}
    # Asked again, nothing is missing: the key made at the start is the one stored.
    assert run(work, store, SerialExecutor(), SilentProgress()).answered == 0


def test_resolving_a_plan_asks_the_vlm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eyechart.runner.plan import make_plan

    vlm = Tiled(options={"tiles": 6})
    monkeypatch.setattr("eyechart.vlms.open_vlm", lambda name, **options: vlm)
    tasks = [FakeTask(name="Coarse"), FakeTask(name="Fine")]
    monkeypatch.setattr("eyechart.tasks.open_tasks", lambda names, data: tasks)
    plan = make_plan({"vlms": "toy", "tasks": ["Coarse", "Fine"], "codecs": "source"}, "test")
    (model,) = resolve(plan).models
    assert model.vlm.options == model.by_task["Coarse"].options == {"tiles": 6}
    assert model.by_task["Fine"].options == {"tiles": 6, "for_task": {"tiles": 24}}


def test_a_codec_is_run_with_its_own_adapters_alone(tmp_path: Path) -> None:
    vlm, store = FakeVLM(), Store(tmp_path)
    alone = ModelConfig(vlm=component_of(vlm), adapter=None, open=lambda: vlm)
    adapter = Component(name="mine", version="1", options={})
    adapted = replace(alone, adapter=adapter, adapter_name="mine")
    every, some = levels_of(FakeCodec()), levels_of(FakeCodec(name="other"))
    work = Work(
        models=(alone, adapted),
        codecs=(every, replace(some, adapters=("none",))),
        tasks=(task_work(FakeTask()),),
    )
    store.create()
    run(work, store, SerialExecutor(), SilentProgress())
    found = [(c.cell.codec.name, c.cell.adapter) for c in store.cells()]
    assert len(found) == work.cells
    assert {codec for codec, used in found if used is None} == {every.codec.name, "other"}
    assert {codec for codec, used in found if used == adapter} == {every.codec.name}
