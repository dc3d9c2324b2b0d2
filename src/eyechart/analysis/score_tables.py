"""The scores of a run as tables: every metric of every cell (paper Tables 9 to 15), the headline
metric of all tasks in one table, and the points of the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from eyechart.analysis.result import Analysis, CellResult, TaskInfo
from eyechart.analysis.table import Entry, Table, TableRow, entry_of, same_decimals
from eyechart.analysis.table_notes import (
    PER_DEVICE,
    distinct,
    intervals_legend,
    some,
    vlm_name,
)
from eyechart.analysis.thresholds import beyond
from eyechart.core.types import UNCOMPRESSED
from eyechart.core.units import counted


def compact_score_tables(analysis: Analysis) -> list[Table]:
    """Headline scores of all tasks in one table, narrow enough for a page of a paper: a row for
    each codec and level, a column for each task, without intervals."""
    axis = analysis.axis
    cells = sorted(analysis.cells, key=lambda cell: (vlm_name(cell), cell.codec != UNCOMPRESSED))
    found = {(vlm_name(cell), cell.codec, cell.level, cell.task): cell for cell in cells}
    places = distinct((vlm_name(cell), cell.codec, cell.level) for cell in cells)
    own = [[found.get((*place, task.name)) for task in analysis.tasks] for place in places]
    columns = [
        _column_decimals([Entry(value=cell and cell.score.value) for cell in column])
        for column in zip(*own, strict=True)
    ]
    rates = [fmean(cell.rate for cell in line if cell is not None) for line in own]
    rows = [
        TableRow(keys=place, entries=(Entry(value=rate, decimals=axis.decimals), *line))
        for place, rate, *line in zip(places, rates, *columns, strict=True)
    ]
    metrics = [f"{task.name} ({task.label(task.headline_metric)})" for task in analysis.tasks]
    return some(
        Table(
            title=f"Scores under each codec: {', '.join(metrics)}",
            keys=("VLM", "codec", "level"),
            column_kind="task",
            columns=(axis.column, *(task.name for task in analysis.tasks)),
            rows=tuple(rows),
            legend=" · ".join(filter(None, (f"{axis.column}: mean of the tasks", _widest(cells)))),
            compact=True,
        )
    )


def _widest(cells: Sequence[CellResult]) -> str:
    """Half the width of the widest interval of each task."""
    half: dict[str, float] = {}
    for cell in cells:
        half[cell.task] = max(half.get(cell.task, 0.0), (cell.score.high - cell.score.low) / 2)
    parts = [
        f"{task} ±{width:.{0 if width >= 10 else 1}f}" for task, width in half.items() if width
    ]
    return f"95 % intervals are at most {', '.join(parts)}" if parts else ""


def curve_tables(analysis: Analysis) -> list[Table]:
    """The points of all curves, one row each: what `eyechart bd` reads as CSV (`csv-wide`)."""
    cells = sorted(
        analysis.cells,
        key=lambda cell: (cell.vlm, cell.adapter, cell.task, cell.codec != UNCOMPRESSED),
    )
    return some(
        Table(
            title="Points of the rate-metric curves",
            keys=("VLM", "adapter", "task", "codec", "level"),
            column_kind="quantity",
            columns=(analysis.axis.unit, "score"),
            rows=tuple(
                TableRow(
                    keys=(cell.vlm, cell.adapter, cell.task, cell.codec, cell.level),
                    entries=(
                        Entry(value=cell.rate, decimals=analysis.axis.decimals),
                        same_decimals([entry_of(cell.score)])[0],
                    ),
                )
                for cell in cells
            ),
            legend=intervals_legend(analysis),
            compact=True,
        )
    )


def score_tables(analysis: Analysis) -> list[Table]:
    """Every sub-metric of every cell, one table for each task; the uncompressed cell first."""
    tables = []
    axis, resampled = analysis.axis, intervals_legend(analysis)
    for task in analysis.tasks:
        cells = sorted(
            (cell for cell in analysis.cells if cell.task == task.name),
            key=lambda cell: (vlm_name(cell), cell.codec != UNCOMPRESSED),
        )
        names = distinct(name for cell in cells for name in cell.metrics)
        names = tuple(sorted(names, key=lambda name: name != task.headline_metric))
        columns = [[_score_entry(cell, name, task) for cell in cells] for name in names]
        lines = zip(*map(_column_decimals, columns), strict=True)
        rows = tuple(
            TableRow(
                keys=(vlm_name(cell), cell.codec, cell.level),
                entries=(
                    Entry(value=cell.rate, decimals=axis.decimals),
                    *line,
                    Entry(value=100 * cell.unparsed_share, decimals=1),
                ),
            )
            for cell, line in zip(cells, lines, strict=True)
        )
        tables.append(
            Table(
                title=f"{task.name}: scores of every cell",
                keys=("VLM", "codec", "level"),
                column_kind="metric",
                columns=(axis.column, *map(task.label, names), "unparsed %"),
                aliases=(axis.unit, *names, "unparsed %"),
                rows=rows,
                compact=True,
                legend=" · ".join(
                    filter(
                        None,
                        (
                            f"{counted(task.questions, 'question')}, {_images(task)}",
                            task.stored_as,
                            resampled,
                        ),
                    )
                ),
            )
        )
    return [table for table in tables if table.rows]


def _images(task: TaskInfo) -> str:
    """`24 images`, or of how many they are a sample (eyechart.tasks.sampling)."""
    if not task.whole_images:
        return counted(task.images, "image")
    return (
        f"{task.images:,} of {counted(task.whole_images, 'image')}, a sample in which categories "
        "keep their shares"
    )


def _score_entry(cell: CellResult, name: str, task: TaskInfo) -> Entry:
    if name != task.headline_metric:
        return Entry(
            value=cell.metrics.get(name), words=beyond(cell.metrics, name, task.thresholds)
        )
    notes = []
    if cell.failed:
        notes.append(f"{cell.failed} of {counted(cell.questions, 'question')} failed")
    if cell.answered + cell.failed < cell.questions:
        notes.append(f"{cell.answered} of {counted(cell.questions, 'question')} answered so far")
    if task.caution:
        notes.append(task.caution)
    if cell.at_chance:
        notes.append(cell.at_chance)
    if cell.questions < task.questions:
        notes.append(f"asks {cell.questions} of {counted(task.questions, 'question')}")
    if cell.reproducible == "per device":
        notes.append(PER_DEVICE)
    return entry_of(cell.score, notes=tuple(notes))


def _column_decimals(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Counts without decimals, percentages with two, sums of percentages with one."""
    values = [entry.value for entry in entries if entry.value is not None]
    if all(value.is_integer() for value in values):
        decimals = 0
    else:
        decimals = 1 if max(map(abs, values)) > 100 else 2
    return tuple(replace(entry, decimals=decimals) for entry in entries)
