"""Scoring stored answers again with a new scorer, without running a VLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eyechart.core import plugins
from eyechart.core.errors import PluginError
from eyechart.core.identity import canonical_json
from eyechart.core.records import Record
from eyechart.core.types import Task
from eyechart.store import Store, StoredCell
from eyechart.tasks import open_answered


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreResult:
    """Number of cells and records that `rescore` read, and of those that changed. broken: one line
    for each task whose plug-in failed; its scores are as before."""

    cells: int
    records: int
    changed: int
    broken: tuple[str, ...] = ()


def rescore(store: Store, data: str | None = None) -> RescoreResult:
    """Replace value, parsed_answer and parsed of every record, inside `store.rewriting()`.

    Each cell is replaced in one step. After an interruption the remaining cells have their old
    scores, and a second call rescores them. data: folder with the tasks' files, if it has moved.

    Raises:
        InputError: a task or its data is missing, or its questions are not those that were
            answered.
    """
    cells = store.cells()
    tasks = open_tasks_of(store, cells, data)
    seen = changed = 0
    broken: dict[str, str] = {}
    for stored, task in zip(cells, tasks, strict=True):
        name, old = stored.cell.task.name, stored.records()
        if name in broken:
            continue
        try:
            with plugins.guarded(name):
                new = _rescored(task, old)
        except PluginError as error:
            broken[name] = str(error)
            continue
        seen += len(old)
        different = sum(before != after for before, after in zip(old, new, strict=True))
        changed += different
        if different:
            stored.recover()
            stored.replace_records(new)
    return RescoreResult(
        cells=len(cells), records=seen, changed=changed, broken=tuple(broken.values())
    )


def open_tasks_of(store: Store, cells: Sequence[StoredCell], data: str | None) -> list[Task]:
    """The task of each cell, each opened once; `data` as for `rescore`.

    Raises:
        InputError: a task or its data is not here, or the questions are not those answered.
    """
    data = data or store.info().data or None
    opened: dict[str, Task] = {}
    for stored in cells:
        key = canonical_json(stored.cell.task)
        if key not in opened:
            opened[key] = open_answered(stored.cell.task, data)
    return [opened[canonical_json(stored.cell.task)] for stored in cells]


def _rescored(task: Task, records: list[Record]) -> list[Record]:
    questions = {question.id: question for question in task.questions()}
    new = []
    for record in records:
        score = task.score(questions[record.question_id], record.answer)
        new.append(
            replace(
                record, value=score.value, parsed_answer=score.parsed_answer, parsed=score.parsed
            )
        )
    return new
