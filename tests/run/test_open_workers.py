"""One function opens the workers of codecs and those of a VLM with several copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import eyechart
from eyechart.core.workers import Executor, SerialExecutor
from eyechart.runner.plan import make_plan
from eyechart.runner.resolve import resolve

PLAN = {
    "vlms": ["eyechart-mini"],
    "tasks": ["POPE"],
    "data": "eyechart-mini",
    "codecs": ["jpeg:levels=[10]"],
    "max_images": 1,
}


class Cluster:
    """Opens executors of its own and remembers what they were asked for."""

    def __init__(self) -> None:
        self.opened: list[tuple[int, tuple[str, ...]]] = []

    def __call__(
        self, cpu_workers: int, devices: Sequence[str] = ("cpu",), *, nice: int = 0
    ) -> Executor:
        self.opened.append((cpu_workers, tuple(devices)))
        return SerialExecutor()


def test_codecs_of_a_plan_run_in_workers_of_the_caller(tmp_path: Path) -> None:
    cluster = Cluster()
    assert eyechart.encode(PLAN, out=tmp_path / "out", workers=3, open_workers=cluster) == []
    assert cluster.opened == [(3, ("cpu",))]


def test_copies_of_a_vlm_run_in_workers_of_the_caller() -> None:
    cluster = Cluster()
    work = resolve(make_plan(PLAN, "plan"), device="cpu,cpu", open_workers=cluster)
    work.models[0].open()
    assert set(cluster.opened) == {(0, ("cpu", "cpu"))}


def test_an_export_runs_in_workers_of_the_caller(tmp_path: Path) -> None:
    cluster = Cluster()
    made = eyechart.export_tsv(
        "POPE:max_images=1",
        "jpeg:levels=[10]",
        out=tmp_path,
        data="eyechart-mini",
        workers=3,
        open_workers=cluster,
    )
    assert len(made.copies) == 1
    assert cluster.opened == [(3, ("cpu",))]
