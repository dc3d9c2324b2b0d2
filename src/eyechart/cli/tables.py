"""`eyechart table` and `eyechart bd`: a run's tables, and the BD-Metric of curves in CSV files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import error_line
from eyechart.cli.options import MOST_SAMPLES, MOST_SEED
from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from eyechart.api.results import Analysis, Table


class TableChoice(StrEnum):
    """Which table."""

    bd = "bd"
    scores = "scores"
    gap = "gap"
    adapter = "adapter"
    icm = "icm"
    pairs = "pairs"
    scaling = "scaling"


class TableFormat(StrEnum):
    """How to print it."""

    terminal = "terminal"
    md = "md"
    csv = "csv"
    latex = "latex"
    json = "json"


_NONE = {
    TableChoice.bd: "no codec was run",
    TableChoice.scores: "no cell has answers",
    TableChoice.gap: "needs cells of an adapter that saw the codec in training",
    TableChoice.adapter: "no adapter was run",
    TableChoice.icm: "needs a codec adapted to machines, and its base codec",
    TableChoice.pairs: "needs two codecs",
    TableChoice.scaling: "needs a VLM in two sizes (names that differ only there, as NAME-3B and "
    "NAME-7B)",
}


def table(
    kind: Annotated[TableChoice, typer.Argument(help="Which table.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
    form: Annotated[
        TableFormat, typer.Option("--format", help="How to print it.")
    ] = TableFormat.terminal,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, max=MOST_SAMPLES, help="Bootstrap samples; 0: no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Print a table of a run, from what is stored so far."""
    from eyechart.api.tables import run_tables

    found = run_tables(directory, kind.value, samples=samples, seed=seed, data=data)
    if not found.tables:
        error_line(f"no {kind.value} table for {directory}: {_NONE[kind]}")
    say_not_shown(found.analysis)
    print_tables(found.tables, form)
    if found.analysis.left_out:
        raise typer.Exit(1)


def print_tables(tables: Sequence[Table], form: TableFormat) -> None:
    """Print tables in a format."""
    from eyechart.api.tables import render
    from eyechart.cli.console import table_console
    from eyechart.cli.table_view import show

    if form is TableFormat.terminal:
        show(tables, table_console())
    else:
        print(render(tables, form.value), end="")


def say_not_shown(analysis: Analysis) -> None:
    """Lines on stderr about what no table shows: tasks whose plug-in fails, and cells without an
    answer."""
    for reason in analysis.left_out:
        error_line(f"eyechart: task left out: {reason}")
    if cells := analysis.unanswered:
        error_line(
            f"not shown: {len(cells)} cells without an answer, first {cells[0]}; "
            "the same eyechart run asks them"
        )


def bd(
    curve: Annotated[
        Path, typer.Option(metavar="CSV", help="Columns bpp and score, a row for each level.")
    ],
    anchor: Annotated[float | None, typer.Option(help="Score on uncompressed images.")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="CSV", help="A second curve to compare with.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute the BD-Metric of a curve, and against a second curve also the BD-rate.

    BD-Metric: the mean of the curve over its bpp range (PCHIP over linear
    bpp), minus the score of uncompressed images; against a second curve, the
    mean difference over the bpp range that both share. BD-rate: the change of
    the rate in percent at equal score; negative means fewer bits.
    """
    from eyechart.api import bd_metric, bd_rate
    from eyechart.api.curves import read_curve

    if (anchor is None) == (against is None):
        raise InputError("give either --anchor SCORE or --against CSV")
    points = read_curve(curve)
    other = None if against is None else read_curve(against)
    try:
        found = bd_metric(*points, uncompressed=anchor, against=other)
    except InputError as error:
        files = f"{curve}, {against}" if against else f"{curve}"
        raise InputError(f"{files}: {error}") from error
    rate, no_rate = None, ""
    if other is not None:
        try:
            rate = bd_rate(*points, against=other)
        except InputError as error:  # scores that never rise with the rate have a BD-Metric only
            no_rate = str(error)
    flags = dict.fromkeys((*found.flags, *(rate.flags if rate else ())))
    if as_json:
        percent = {} if other is None else {"bd_rate_percent": rate and rate.value}
        print(json.dumps({"bd_metric": found.value, **percent, "flags": list(flags)}))
        return
    print(f"BD-Metric {found.value:+.4f}")
    if other is not None:
        print(f"BD-rate   {rate.value:+.2f} %" if rate else f"BD-rate   none: {no_rate}")
    for flag in flags:
        print(f"  caution: {flag}")
