"""A part of an analysis: some tasks, codecs, levels and metrics, for the tables of a paper."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from eyechart.analysis.result import Analysis, TaskInfo
from eyechart.analysis.table_notes import distinct
from eyechart.core.errors import InputError
from eyechart.core.plugins import near
from eyechart.core.types import UNCOMPRESSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Names as tables show them; () for all. metrics: also by VLMEvalKit's names, and without their
    unit. The uncompressed image stays beside chosen codecs and levels."""

    tasks: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def select(analysis: Analysis, chosen: Selection) -> Analysis:
    """The chosen part of an analysis, with the tasks in the order of the selection.

    Levels and metrics choose cells and their metrics: BD-Metrics and other comparisons stay over
    all levels of a codec, with the task's headline metric.

    Raises:
        InputError: a name that the analysis does not have.
    """
    tasks = _known("task", chosen.tasks, [task.name for task in analysis.tasks])
    codecs = _known("codec", chosen.codecs, distinct(cell.codec for cell in analysis.cells))
    levels = _known("level", chosen.levels, distinct(cell.level for cell in analysis.cells))
    infos = {task.name: task for task in analysis.tasks}
    wanted = _wanted_metrics([infos[task] for task in tasks], analysis, chosen.metrics)

    def keep(task: str, *of: str) -> bool:
        return task in tasks and all(codec in codecs for codec in of if codec != UNCOMPRESSED)

    cells = (
        replace(
            cell,
            metrics={
                name: cell.metrics[name] for name in wanted[cell.task] if name in cell.metrics
            },
        )
        if chosen.metrics and cell.task in wanted
        else cell
        for cell in analysis.cells
        if keep(cell.task, cell.codec) and (cell.level in levels or cell.codec == UNCOMPRESSED)
    )
    return replace(
        analysis,
        cells=tuple(cell for cell in cells if cell.metrics or not chosen.metrics),
        tasks=tuple(infos[task] for task in tasks),
        bd=tuple(bd for bd in analysis.bd if keep(bd.task, bd.codec)),
        gaps=tuple(gap for gap in analysis.gaps if keep(gap.task, gap.codec)),
        icm=tuple(icm for icm in analysis.icm if keep(icm.task, icm.codec)),
        pairs=tuple(pair for pair in analysis.pairs if keep(pair.task, pair.codec, pair.against)),
        scaling=tuple(one for one in analysis.scaling if keep(one.task, one.codec)),
        quality=tuple(
            one for one in analysis.quality if keep(one.task, one.codec) and one.level in levels
        ),
        # Of all codecs: those of some would be others.
        correlations=tuple(
            one for one in analysis.correlations if keep(one.task) and not chosen.codecs
        ),
    )


def _known(kind: str, chosen: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """The chosen names, or all. Raises InputError."""
    for name in chosen:
        if name not in there:
            raise InputError(f"no {kind} {name!r} in this run; {near(name, list(there))}")
    return tuple(distinct(chosen)) or tuple(there)


def _wanted_metrics(
    tasks: Sequence[TaskInfo], analysis: Analysis, chosen: Sequence[str]
) -> dict[str, Collection[str]]:
    """Task -> the chosen of its metrics, by the names that cells have. Raises InputError."""
    names = {
        task.name: distinct(
            name for cell in analysis.cells if cell.task == task.name for name in cell.metrics
        )
        for task in tasks
    }
    found: dict[str, dict[str, None]] = {task.name: {} for task in tasks}
    for metric in chosen:
        matches = [
            (task.name, name)
            for task in tasks
            for name in names[task.name]
            if _plain(metric) in (_plain(name), _plain(task.label(name)))
        ]
        if not matches:
            labels = (task.label(name) for task in tasks for name in names[task.name])
            there = distinct(map(_without_unit, labels))
            raise InputError(f"no metric {metric!r} in this run; {near(metric, list(there))}")
        for task_name, name in matches:
            found[task_name][name] = None
    return {task: tuple(own) for task, own in found.items()}


def _plain(metric: str) -> str:
    return _without_unit(metric).casefold()


def _without_unit(metric: str) -> str:
    """`F1, %` -> `F1`, as it can be typed in a list."""
    return metric.strip().removesuffix("%").rstrip(", ")
