"""`eyechart table` and `eyechart bd`: a run's tables, and the BD-Metric of curves in CSV files."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import terminal_text
from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from eyechart.analysis.result import Analysis


class TableChoice(StrEnum):
    """Which table."""

    bd = "bd"
    scores = "scores"
    gap = "gap"
    adapter = "adapter"


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
    samples: Annotated[int, typer.Option(min=0, help="Bootstrap samples; 0: no intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Print a table of a run, from what is stored so far."""
    from rich.console import Console

    from eyechart.analysis.analyse import analyse
    from eyechart.analysis.render import render
    from eyechart.analysis.tables import tables_of
    from eyechart.analysis.terminal import show

    analysis = analyse(directory, samples=samples, seed=seed, examples=0, created="", data=data)
    tables = tables_of(analysis, kind.value)
    if not tables:
        print(f"no {kind.value} table for {directory}: {_NONE[kind]}", file=sys.stderr)
    say_unanswered(analysis)
    if form is TableFormat.terminal:
        show(tables, Console())
    else:
        print(render(tables, form.value), end="")


def say_unanswered(analysis: Analysis) -> None:
    """One line on stderr about cells that no table shows, because they hold no answer."""
    if cells := analysis.unanswered:
        print(
            f"not shown: {len(cells)} cells without an answer, first {terminal_text(cells[0])}; "
            "the same eyechart run asks them",
            file=sys.stderr,
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

    if (anchor is None) == (against is None):
        raise InputError("give either --anchor SCORE or --against CSV")
    points = _read_curve(curve)
    other = None if against is None else _read_curve(against)
    try:
        found = bd_metric(*points, uncompressed=anchor, against=other)
    except InputError as error:
        files = f"{curve}, {against}" if against else f"{curve}"
        raise InputError(f"{files}: {error}") from error
    rate_percent, no_rate = None, ""
    if other is not None:
        try:
            rate_percent = bd_rate(*points, against=other)
        except InputError as error:  # scores that do not rise with the rate have a BD-Metric only
            no_rate = str(error)
    if as_json:
        rate = {} if other is None else {"bd_rate_percent": rate_percent}
        print(json.dumps({"bd_metric": found.value, **rate, "flags": list(found.flags)}))
        return
    print(f"BD-Metric {found.value:+.4f}")
    if other is not None:
        print(
            f"BD-rate   none: {no_rate}"
            if rate_percent is None
            else f"BD-rate   {rate_percent:+.2f} %"
        )
    for flag in found.flags:
        print(f"  caution: {flag}")


def _read_curve(path: Path) -> tuple[list[float], list[float]]:
    """The columns bpp and score of a CSV file. Raises InputError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [(name or "").strip() for name in reader.fieldnames or ()]
            for needed in ("bpp", "score"):
                if needed not in columns:
                    there = ", ".join(columns) or "none"
                    raise InputError(f"{path}: no column {needed!r}; its columns: {there}")
            reader.fieldnames = columns
            rows = []
            for row in reader:
                where = f"{path}: line {reader.line_num}"
                rows.append((_number(row, "bpp", where), _number(row, "score", where)))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from error
    return [bpp for bpp, _ in rows], [score for _, score in rows]


def _number(row: dict[str, str | None], column: str, where: str) -> float:
    text = row[column]
    try:
        return float(text or "")
    except ValueError as error:
        raise InputError(f"{where}: {column} is {text!r}, not a number") from error
