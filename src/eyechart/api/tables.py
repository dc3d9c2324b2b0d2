"""Tables as values, for the terminal; `render` turns them into text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eyechart.analysis.selection import Selection, select
from eyechart.analysis.tables import TableKind, tables_of
from eyechart.store.remote import reading

if TYPE_CHECKING:
    from eyechart.analysis.result import Analysis
    from eyechart.analysis.table import Table
    from eyechart.analysis.two_runs import TwoRuns
    from eyechart.paper.diff import Diff
    from eyechart.paper.recompute import Recomputed

__all__ = [
    "RunTables",
    "Selection",
    "compare_runs",
    "paper_bd",
    "paper_bd_tables",
    "paper_diff",
    "paper_table",
    "paper_titles",
    "render",
    "run_tables",
    "tables_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTables:
    """Tables of one kind, possibly none, and the analysis that they are from."""

    tables: Sequence[Table]
    analysis: Analysis


def run_tables(
    run_directory: str | Path,
    kind: TableKind,
    *,
    samples: int = 1000,
    seed: int = 0,
    data: str | None = None,
    chosen: Selection | None = None,
    compact: bool = False,
    axis: str = "bpp",
    usd_per_million: tuple[float, float] | None = None,
) -> RunTables:
    """The tables of one kind from what a run has stored so far.

    samples, seed: of the bootstrap; 0 samples: no intervals. data: folder with the tasks' files.
    chosen: only these tasks, codecs, levels and metrics. compact: as for `tables_of`.
    axis, usd_per_million: as for `eyechart.analyse`.

    Raises:
        InputError, StoreError: as `analyse`.
    """
    from eyechart.analysis.analyse import analyse
    from eyechart.analysis.axis import axis_named
    from eyechart.analysis.deployment import TokenPrices

    with reading(run_directory) as folder:
        analysis = analyse(
            folder,
            samples=samples,
            seed=seed,
            examples=0,
            created="",
            data=data,
            axis=axis_named(axis),
            prices=TokenPrices.of(usd_per_million),
        )
    shown = select(analysis, chosen) if chosen else analysis
    return RunTables(tables=tables_of(shown, kind, compact=compact), analysis=analysis)


def compare_runs(
    first: str | Path,
    second: str | Path,
    *,
    samples: int = 1000,
    seed: int = 0,
    data: str | None = None,
) -> TwoRuns:
    """Scores of the cells that two runs share, their differences, and the cells of one run only.

    samples, seed, data: as for `run_tables`. Raises InputError, StoreError.
    """
    from eyechart.analysis.two_runs import compare_runs as compare

    with reading(first) as one, reading(second) as other:
        return compare(one, other, samples=samples, seed=seed, data=data)


def render(tables: Sequence[Table], form: str) -> str:
    """All tables as one text. form: md, csv, csv-wide, latex, json. Raises InputError."""
    from eyechart.analysis.render import render as render_tables

    return render_tables(tables, form)


def paper_titles() -> dict[int, str]:
    """Numbers and titles of the paper's tables."""
    from eyechart.paper.tables import titles

    return titles()


def paper_table(number: int) -> Table:
    """A table of the paper. Raises InputError: no such number."""
    from eyechart.paper.tables import paper_table as table

    return table(number)


def paper_bd(*, vlm: str | None = None, task: str | None = None) -> list[Recomputed]:
    """BD-Metrics of Tables 2 and 16, recomputed from published scores.

    vlm, task: only this one, as the paper names it.

    Raises:
        InputError: no such VLM or task with scores and rates.
    """
    from eyechart.paper.recompute import chosen, recompute

    return chosen(recompute(), vlm=vlm, task=task)


def paper_bd_tables(found: Sequence[Recomputed]) -> list[Table]:
    """Recomputed BD-Metrics beside the printed ones, and a summary of the differences."""
    from eyechart.paper.recompute import recomputed_tables

    return recomputed_tables(found)


def paper_diff(run_directory: str | Path, *, data: str | None = None) -> Diff:
    """A run beside the published numbers where VLM, task and codec are the same.

    Raises:
        InputError, StoreError: as `analyse`.
    """
    from eyechart.analysis.analyse import analyse
    from eyechart.paper.diff import diff

    with reading(run_directory) as folder:
        return diff(analyse(folder, examples=0, created="", data=data))
