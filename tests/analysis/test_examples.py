"""Examples are looked for among the images that are still there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from eyechart.analysis import examples
from eyechart.analysis.analyse import tasks_of
from eyechart.analysis.cells import read_cells
from eyechart.analysis.result import Example
from eyechart.core.types import Rgb8
from eyechart.store import Store
from tests.analysis import toy

RIGHTS = {("source", 0, ""): 0.9, ("grey", 0, ""): 0.4, ("grey", 1, ""): 0.7}


def choose(root: Path, load: Callable[..., Any]) -> list[Example]:
    store = Store(root)
    cells = read_cells(store)
    lowest = {read.key for read in cells if read.cell.level.rank == 0}
    tasks, _ = tasks_of(cells, None, load)
    return examples.choose_examples(cells, lowest, tasks, store, 4, load)


def test_few_images_are_looked_for_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "_MOST_WITHOUT", 3)
    tried: list[str] = []

    class Task(toy.ToyTask):
        def image(self, key: str) -> Rgb8:
            tried.append(key)
            return super().image(key)

    def load(group: str, name: str, options: Mapping[str, Any] | None = None) -> Any:
        return Task() if group == "eyechart.tasks" else toy.load(group, name, options)

    store = toy.a_run(tmp_path, RIGHTS)
    assert len(choose(tmp_path, load)) == 4
    for blob in store.images.bitstreams.root.rglob("*.bin"):
        blob.unlink()
    tried.clear()
    assert not choose(tmp_path, load)
    assert len(tried) == 3
