"""`eyechart table` and `eyechart bd`: a run's tables, and the BD-Metric of curves in CSV files."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from eyechart.core.errors import InputError


class Kind(StrEnum):
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
    Kind.bd: "no codec beside source was run",
    Kind.scores: "no cell has answers",
    Kind.gap: "needs cells of an adapter that saw the codec in training",
    Kind.adapter: "no adapter was run",
}


def table(
    kind: Annotated[Kind, typer.Argument(help="Which table.")],
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
    if form is TableFormat.terminal:
        show(tables, Console())
    else:
        print(render(tables, form.value), end="")


def bd(
    curve: Annotated[Path, typer.Option(metavar="CSV", help="Columns bpp, score; a row a level.")],
    anchor: Annotated[float | None, typer.Option(help="Score of the uncompressed image.")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="CSV", help="A second curve instead of an anchor.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """BD-Metric: mean of a curve over its bpp range (PCHIP, linear bpp), less the anchor.

    Against a second curve: the mean difference over the bpp range that both share.
    """
    from eyechart.analysis.bd import bd_between, bd_metric

    if (anchor is None) == (against is None):
        raise InputError("give either --anchor SCORE or --against CSV")
    points = _read_curve(curve)
    try:
        if against is not None:
            found = bd_between(*points, *_read_curve(against))
        else:
            found = bd_metric(*points, float("nan") if anchor is None else anchor)
    except InputError as error:
        files = f"{curve}, {against}" if against else f"{curve}"
        raise InputError(f"{files}: {error}") from error
    if as_json:
        print(json.dumps({"bd_metric": found.value, "flags": list(found.flags)}))
        return
    print(f"BD-Metric {found.value:+.4f}")
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
