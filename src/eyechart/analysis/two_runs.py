"""The scores of two run directories side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eyechart.analysis.analyse import tasks_of
from eyechart.analysis.bootstrap import Resampling, interval, resample
from eyechart.analysis.cells import CellData, cell_label, read_cells
from eyechart.analysis.measure import Measured, measure
from eyechart.analysis.sums import cell_sums
from eyechart.analysis.table import Entry, Table, TableRow, entry_of
from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError
from eyechart.core.types import UNCOMPRESSED, Task
from eyechart.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoRuns:
    """Cells with answers in both runs as a table, and the names of those in one run only. left_out:
    one line for each task whose plug-in fails."""

    table: Table
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def compare_runs(
    first: Path,
    second: Path,
    *,
    samples: int = 1000,
    seed: int = 0,
    data: str | None = None,
    load: Callable[..., Any] = plugins.load,
) -> TwoRuns:
    """Scores of the cells that both runs have, from the questions that both have answered.

    Cells are matched by their names in tables: VLM, adapter, task, codec and level. The interval of
    a difference is from the paired resampling of the shared images.

    samples, seed: of the bootstrap. data: folder with the tasks' files; None: that of the first
    run. load: opens tasks.

    Raises:
        InputError: not run directories, no cell in common, a task of two versions.
        PluginError: no task has a plug-in that works.
        StoreError: a damaged record.
    """
    here, there = _cells(first), _cells(second)
    shared = sorted((label for label in here if label in there), key=lambda at: _order(here[at]))
    if not shared:
        raise InputError(f"{first} and {second}: no cell with answers is in both")
    for label in shared:
        _refuse_two_versions((first, second), (here[label], there[label]))
    place = data or Store(first).info().data or None
    tasks, broken = tasks_of([here[label] for label in shared], place, load)
    draws = {
        name: resample(_images(name, here), samples=samples, seed=seed, strata={}) for name in tasks
    }
    rows: list[TableRow | None] = []
    for label in shared:
        pair = here[label], there[label]
        name = pair[0].task
        if name in broken:
            continue
        try:
            with plugins.guarded(pair[0].cell.task.name):
                rows.append(_row(pair, tasks[name], draws[name]))
        except PluginError as error:
            broken[name] = str(error)
    if len(broken) == len({here[label].task for label in shared}):
        raise PluginError("; ".join(broken.values()))
    legend = f"95 % intervals: {samples} paired resamplings of the images" if samples else ""
    return TwoRuns(
        table=Table(
            title=f"A = {first}, B = {second}: scores of the questions that both answered",
            keys=("VLM", "task", "codec", "level"),
            column_kind="quantity",
            columns=("questions", "bpp A", "bpp B", "score A", "score B", "B - A"),
            rows=tuple(row for row in rows if row is not None),
            legend=legend,
            compact=True,
        ),
        only_first=tuple(label for label in here if label not in there),
        only_second=tuple(label for label in there if label not in here),
        left_out=tuple(broken.values()),
    )


def _refuse_two_versions(runs: tuple[Path, Path], pair: tuple[CellData, CellData]) -> None:
    here, there = (read.cell.task.version for read in pair)
    if here != there:
        raise InputError(
            f"{runs[0]} and {runs[1]}: {pair[0].task} is of version {here} in one and {there} in "
            "the other; allowed: one version"
        )


def _order(read: CellData) -> tuple[str, str, str, bool, str, int]:
    uncompressed_first = read.codec != UNCOMPRESSED
    level = read.cell.level.rank
    return read.vlm, read.adapter, read.task, uncompressed_first, read.codec, level


def _cells(directory: Path) -> dict[str, CellData]:
    store = Store(directory)
    store.require()
    return {cell_label(read): read for read in read_cells(store) if read.records}


def _images(task: str, cells: Mapping[str, CellData]) -> list[str]:
    own = (read for read in cells.values() if read.task == task)
    return sorted({record.image for read in own for record in read.records})


def _row(pair: tuple[CellData, CellData], task: Task, draws: Resampling) -> TableRow | None:
    asked = [{record.question_id for record in read.records} for read in pair]
    both = asked[0] & asked[1]
    if not both:
        return None
    one, other = (_measured(task, read, both, draws) for read in pair)
    difference = interval(other.score - one.score, other.score_draws - one.score_draws)
    read = pair[0]
    return TableRow(
        keys=(
            f"{read.vlm} + {read.adapter}" if read.adapter else read.vlm,
            read.task,
            read.codec,
            read.cell.level.name,
        ),
        entries=(
            Entry(value=float(len(both)), decimals=0),
            *(Entry(value=measured.bpp, decimals=3) for measured in (one, other)),
            *(Entry(value=measured.score) for measured in (one, other)),
            entry_of(difference),
        ),
    )


def _measured(task: Task, read: CellData, questions: set[str], draws: Resampling) -> Measured:
    records = [record for record in read.records if record.question_id in questions]
    return measure(task, replace(read, records=records), cell_sums(task, records), draws)
