"""New scorers on stored answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from run_fakes import FakeTask, fake_work

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.workers import SerialExecutor
from eyechart.runner.engine import run
from eyechart.runner.progress import SilentProgress
from eyechart.runner.rescore import RescoreResult, rescore
from eyechart.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "run")
    made.create()
    run(fake_work(tasks=[FakeTask(images=3)]), made, SerialExecutor(), SilentProgress())
    return made


def registered(monkeypatch: pytest.MonkeyPatch, task: FakeTask) -> None:
    def load(group: str, name: str, options: Mapping[str, Any]) -> FakeTask:
        assert (group, name, options) == ("eyechart.tasks", "Fake", {})
        return task

    monkeypatch.setattr(plugins, "load", load)


def test_a_new_scorer_changes_scores_and_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [cell.records() for cell in store.cells()]
    wrong = sum(record.value < 1 for records in before for record in records)
    assert wrong > 0
    registered(monkeypatch, FakeTask(strict=True))
    assert rescore(store) == RescoreResult(cells=2, records=12, changed=wrong)
    after = [cell.records() for cell in store.cells()]
    assert all(record.value == 1 for records in after for record in records)
    assert [[r.answer for r in records] for records in after] == [
        [r.answer for r in records] for records in before
    ]
    assert rescore(store).changed == 0


def test_other_questions_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, FakeTask(version="2"))
    with pytest.raises(InputError, match="version 2, those answered of 1"):
        rescore(store)
