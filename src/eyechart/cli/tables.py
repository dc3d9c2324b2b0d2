"""`eyechart table` and `eyechart bd`: a run's tables, and the BD-Metric of curves in CSV files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import error_line, terminal_text
from eyechart.cli.options import (
    MOST_SAMPLES,
    MOST_SEED,
    AxisOption,
    Directory,
    UsdPerMillion,
    parse_prices,
)
from eyechart.core.errors import InputError
from eyechart.core.plugins import split_specs
from eyechart.core.types import UNCOMPRESSED
from eyechart.core.units import counted

if TYPE_CHECKING:
    from eyechart.api.curves import NamedCurve
    from eyechart.api.results import Analysis, Bd, Table


class TableChoice(StrEnum):
    """Which table."""

    bd = "bd"
    scores = "scores"
    gap = "gap"
    adapter = "adapter"
    icm = "icm"
    pairs = "pairs"
    scaling = "scaling"
    curves = "curves"
    quality = "quality"
    correlation = "correlation"


class TableFormat(StrEnum):
    """How to print it."""

    terminal = "terminal"
    md = "md"
    csv = "csv"
    csv_wide = "csv-wide"
    latex = "latex"
    json = "json"


_NONE = {
    TableChoice.bd: "no codec was run",
    TableChoice.scores: "no cell has answers",
    TableChoice.gap: "needs cells of an adapter that saw the codec in training",
    TableChoice.adapter: "no adapter was run",
    TableChoice.icm: "needs a codec adapted to machines, and its base codec",
    TableChoice.pairs: "needs two codecs",
    TableChoice.curves: "no cell has answers",
    TableChoice.quality: "needs quality values: eyechart quality DIR measures them",
    TableChoice.correlation: "needs quality values (eyechart quality DIR) of two images or more at "
    "three levels of codecs",
    TableChoice.scaling: "needs a VLM in two sizes (names that differ only there, as NAME-3B and "
    "NAME-7B)",
}


Names = Annotated[str | None, typer.Option(metavar="A,B", help="Only these tasks.")]


def table(
    kind: Annotated[TableChoice, typer.Argument(metavar="KIND", help="Which table.")],
    directory: Directory,
    form: Annotated[
        TableFormat, typer.Option("--format", help="How to print it.")
    ] = TableFormat.terminal,
    tasks: Names = None,
    codecs: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these, and the uncompressed image.")
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Only these levels, in the tables scores and curves."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Only these metrics, in the table scores: F1,accuracy."),
    ] = None,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="scores: one table, the headline metric of each task."),
    ] = False,
    axis: AxisOption = "bpp",
    usd_per_million: UsdPerMillion = None,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, max=MOST_SAMPLES, help="Bootstrap samples; 0: no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Print a table of a run, from what is stored so far.

    bd and the other comparisons are over all levels of a codec. The table
    curves as csv-wide is what `eyechart bd` reads.
    """
    from eyechart.api.tables import Selection, run_tables

    _check_fits(kind, levels=levels, metrics=metrics, compact=compact)
    chosen = Selection(
        tasks=_names("--tasks", tasks),
        codecs=_names("--codecs", codecs) and tuple(split_specs(codecs or "")),
        levels=_names("--levels", levels),
        metrics=tuple(name for name in _names("--metrics", metrics) if name != "%"),
    )
    found = run_tables(
        directory,
        kind.value,
        samples=samples,
        seed=seed,
        data=data,
        chosen=chosen,
        compact=compact,
        axis=axis,
        usd_per_million=parse_prices(usd_per_million),
    )
    if not found.tables:
        why = "nothing is left of the selection" if chosen != Selection() else _NONE[kind]
        error_line(f"no {kind.value} table for {directory}: {why}")
    say_not_shown(found.analysis)
    print_tables(found.tables, form)
    if found.analysis.left_out:
        raise typer.Exit(1)


def _check_fits(
    kind: TableChoice, *, levels: str | None, metrics: str | None, compact: bool
) -> None:
    """Refuse options that a kind of table does not have. Raises InputError."""
    if levels is not None and kind not in (TableChoice.scores, TableChoice.curves):
        raise InputError(f"--levels is for the tables scores and curves, not for {kind.value}")
    if metrics is not None and kind is not TableChoice.scores:
        raise InputError(f"--metrics is for the table scores, not for {kind.value}")
    if compact and (kind is not TableChoice.scores or metrics is not None):
        what = "together with --metrics" if metrics is not None else f"for {kind.value}"
        raise InputError(f"--compact is for the headline metrics of the table scores, not {what}")


def _names(option: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    if not names:
        raise InputError(f"{option} {text!r}: no name; allowed: names, separated by commas")
    return names


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
    """Lines on stderr about what no table shows: tasks whose plug-in fails, cells without a place
    on the axis, and cells without an answer."""
    for reason in analysis.left_out:
        error_line(f"eyechart: task left out: {reason}")
    if analysis.off_axis:
        error_line(f"not shown: {analysis.off_axis}")
    if cells := analysis.unanswered:
        error_line(
            f"not shown: {counted(len(cells), 'cell')} without an answer, first {cells[0]}; "
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
    rate: Annotated[
        bool, typer.Option("--rate", help="Only the BD-rate; needs --against.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute the BD-Metric of a curve, and against a second curve also the BD-rate.

    BD-Metric: the mean of the curve over its bpp range (PCHIP over linear
    bpp), minus the score of uncompressed images; against a second curve, the
    mean difference over the bpp range that both share. BD-rate: the change of
    the rate in percent at equal score; negative means fewer bits. Each is
    printed with the range of rates or scores that it is over.

    A file of `eyechart table curves DIR --format csv-wide` may hold several
    curves, and the uncompressed scores (codec source).
    """
    from eyechart.api.curves import read_curves

    if anchor is not None and against is not None:
        raise InputError("give either --anchor SCORE or --against CSV")
    if rate and against is None:
        raise InputError("--rate compares two curves; give --against CSV")
    curves = read_curves(curve)
    if against is None:
        found = [_one_bd(one, anchor, curve) for one in curves]
    else:
        others = read_curves(against)
        if {one.unit for one in curves} != {one.unit for one in others}:
            raise InputError(
                f"{curve} has rates in {curves[0].unit}, {against} in {others[0].unit}; allowed: "
                "the same unit"
            )
        found = [_one_pair(one, others, f"{curve}, {against}", rate_only=rate) for one in curves]
    if as_json:
        lines = [{**({"curve": one.name} if one.name else {}), **one.figures} for one in found]
        print(json.dumps(lines[0] if len(lines) == 1 else lines))
        return
    for one in found:
        print("\n".join(one.lines(several=len(found) > 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _CurveBd:
    """The BD-Metric of one curve, and against a second curve the BD-rate. Each is a result, the
    reason why there is none, or None if it was not asked for. unit: of the rates."""

    name: str
    unit: str
    metric: Bd | str | None
    rate: Bd | str | None = None

    @property
    def figures(self) -> dict[str, object]:
        return {
            **_figures("bd_metric", "rate_range", self.metric),
            **_figures("bd_rate_percent", "score_range", self.rate),
            "flags": self._flags,
        }

    @property
    def _flags(self) -> list[str]:
        both = [one.flags for one in (self.metric, self.rate) if one and not isinstance(one, str)]
        return list(dict.fromkeys(flag for flags in both for flag in flags))

    def lines(self, *, several: bool) -> list[str]:
        found = []
        if isinstance(self.metric, str):
            found.append(f"BD-Metric none: {self.metric}")
        elif self.metric:
            over = _range(self.metric, self.unit)
            found.append(f"BD-Metric {self.metric.value:+.4f}   over {over}")
        if isinstance(self.rate, str):
            found.append(f"BD-rate   none: {self.rate}")
        elif self.rate:
            over = _range(self.rate, "points")
            found.append(f"BD-rate   {self.rate.value:+.2f} %   over {over}")
        name = f"{terminal_text(self.name)}: " if several else ""
        return [f"{name}{found[0]}", *found[1:], *(f"  caution: {flag}" for flag in self._flags)]


def _figures(key: str, range_key: str, found: Bd | str | None) -> dict[str, object]:
    if found is None:
        return {}
    if isinstance(found, str):
        return {key: None, range_key: None}
    return {key: found.value, range_key: list(found.over)}


def _range(found: Bd, unit: str) -> str:
    low, high = found.over
    return f"{low:.4g} to {high:.4g} {unit}"


def _one_bd(curve: NamedCurve, anchor: float | None, path: Path) -> _CurveBd:
    """BD-Metric against the given or the file's own uncompressed score. Raises InputError."""
    from eyechart.api import bd_metric

    name = str(curve)
    best = curve.uncompressed if anchor is None else anchor
    if best is None:
        of = f" of {name}" if name else ""
        raise InputError(
            f"{path}: no uncompressed score{of}; give --anchor SCORE or --against CSV, or rows of "
            f"the codec {UNCOMPRESSED}"
        )
    try:
        found = bd_metric(curve.rates_bpp, curve.scores, uncompressed=best)
    except InputError as error:
        raise InputError(f"{path}: {f'{name}: ' if name else ''}{error}") from error
    return _CurveBd(name=name, unit=curve.unit, metric=found)


def _one_pair(
    curve: NamedCurve, others: Sequence[NamedCurve], files: str, *, rate_only: bool
) -> _CurveBd:
    """BD-Metric and BD-rate against a curve of the second file, or the BD-rate alone.

    Curves may share rates and no scores, or scores and no rates. Raises InputError: neither.
    """
    from eyechart.api import bd_metric, bd_rate
    from eyechart.api.curves import partner

    name = str(curve)
    other = partner(curve, others)
    if other is None:
        raise InputError(
            f"{files}: no single curve in the second file to compare {name} with; allowed: one "
            "curve, or one for each VLM, adapter and task"
        )
    points, base = (curve.rates_bpp, curve.scores), (other.rates_bpp, other.scores)
    metric: Bd | str | None = None
    rate: Bd | str
    if not rate_only:
        try:
            metric = bd_metric(*points, against=base)
        except InputError as error:
            metric = str(error)
    try:
        rate = bd_rate(*points, against=base)
    except InputError as error:
        rate = str(error)
    if isinstance(rate, str) and (metric is None or isinstance(metric, str)):
        raise InputError(f"{files}: {metric or rate}")
    return _CurveBd(name=name, unit=curve.unit, metric=metric, rate=rate)
