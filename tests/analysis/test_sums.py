"""The sums of a cell are kept beside its records, and made again when something changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eyechart.analysis.analyse import analyse
from eyechart.analysis.cells import read_cells
from eyechart.analysis.result import Analysis
from eyechart.analysis.sums import code_of, stored_sums
from eyechart.core.records import Record
from eyechart.core.types import Score
from eyechart.store import Store
from eyechart.tasks import open_task
from tests.analysis import toy

RIGHTS = {("source", 0, ""): 0.9, ("grey", 0, ""): 0.4, ("grey", 1, ""): 0.7}


class CountingTask(toy.ToyTask):
    """Counts the cells whose scores it is given."""

    summed = 0

    def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
        CountingTask.summed += 1
        return super().summarize(scores)


def load(group: str, name: str, options: Mapping[str, Any] | None = None) -> Any:
    return CountingTask() if group == "eyechart.tasks" else toy.load(group, name, options)


def analysed(root: Path) -> tuple[Analysis, int]:
    """The analysis, and how many cells were summed for it."""
    CountingTask.summed = 0
    return analyse(root, created="", load=load, examples=0, samples=50), CountingTask.summed


def test_only_changed_cells_are_summed_and_the_analysis_is_the_same(tmp_path: Path) -> None:
    store = toy.a_run(tmp_path, RIGHTS)
    first, summed = analysed(tmp_path)
    assert summed == len(RIGHTS)
    assert analysed(tmp_path) == (first, 0)
    changed = store.cells()[0]
    changed.append_records([replace(changed.records()[0], question_id="59")])
    changed.replace_records(changed.records()[:-1])
    assert analysed(tmp_path)[1] == 1
    assert analysed(tmp_path)[1] == 0


def test_answers_that_are_added_while_a_cell_is_read_are_summed_next_time(tmp_path: Path) -> None:
    stored = toy.a_run(tmp_path, RIGHTS).cells()[0]
    whole = stored.records()
    stored.replace_records(whole[:-1])

    class Growing(list[Record]):
        def __iter__(self) -> Iterator[Record]:
            yield from super().__iter__()
            stored.append_records(whole[-1:])

    first = stored_sums(stored, Growing(whole[:-1]), toy.ToyTask(), "code")
    second = stored_sums(stored, stored.records(), toy.ToyTask(), "code")
    assert [sums.metrics["asked"] for sums in (first, second)] == [len(whole) - 1, len(whole)]


def test_scores_that_are_true_or_false_are_numbers(tmp_path: Path) -> None:
    stored = toy.a_run(tmp_path, RIGHTS).cells()[0]
    before = stored_sums(stored, stored.records(), toy.ToyTask(), "code")
    said = [replace(record, value=record.value == 1) for record in stored.records()]
    assert {record.value for record in said} == {True, False}
    stored.replace_records(said)
    after = stored_sums(stored, read_cells(Store(tmp_path))[0].records, toy.ToyTask(), "code")
    assert after.metrics == before.metrics
    assert after.statistics.sums.tolist() == before.statistics.sums.tolist()


def test_metrics_may_have_any_names(tmp_path: Path) -> None:
    metrics = {"kind": 1.0, "names": 2.0, "data": 3.0, "plain": 4.0}

    class NamingTask(CountingTask):
        def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
            super().summarize(scores)
            return metrics

    CountingTask.summed = 0
    stored = toy.a_run(tmp_path, RIGHTS).cells()[0]
    found = [stored_sums(stored, stored.records(), NamingTask(), "code") for _ in range(2)]
    assert [sums.metrics for sums in found] == [metrics] * 2
    assert CountingTask.summed == 1


def test_without_derived_files_the_analysis_is_the_same(tmp_path: Path) -> None:
    toy.a_run(tmp_path, RIGHTS)
    first, _ = analysed(tmp_path)
    for name in ("index", "sums"):
        for file in tmp_path.rglob(f"{name}.json"):
            file.unlink()
    assert analysed(tmp_path) == (first, len(RIGHTS))
    for file in tmp_path.rglob("sums.json"):
        file.write_text("{}\n")
    assert analysed(tmp_path) == (first, len(RIGHTS))


def test_a_changed_file_of_the_task_makes_the_sums_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_of(open_task("POPE"))
    assert code_of(open_task("POPE")) == before
    module = tmp_path / "a_task_of_mine.py"
    module.write_text("class Task:\n    name = 'mine'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from a_task_of_mine import Task  # type: ignore[import-not-found]

    first = code_of(Task())
    module.write_text(module.read_text() + "# changed\n")
    assert code_of(Task()) != first != before


def test_a_report_reads_the_cells_of_a_run_that_has_no_derived_files(tmp_path: Path) -> None:
    toy.a_run(tmp_path, RIGHTS)
    store = Store(tmp_path)
    fingerprint = store.fingerprint()
    analysis, _ = analysed(tmp_path)
    assert analysis.made_from == fingerprint == store.fingerprint()
