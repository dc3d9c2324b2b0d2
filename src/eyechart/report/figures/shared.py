"""What the figures share: the numbers of a run that they show, panels and the legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from eyechart.analysis.result import Analysis, BdResult, CellResult, Interval
from eyechart.core.types import UNCOMPRESSED

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MM_PER_INCH = 25.4
_PANEL_MM = 58.0  # the least width of a panel
_TALLEST_MM = 80.0
_PAGE_MM = 225.0  # the most that panels take of a page, beside a legend and a caption
_NARROWER, _LOWEST_MM = 0.7, 32.0  # of panels, if they take more

Row: TypeAlias = dict[str, str | float | None]
CurveName: TypeAlias = tuple[str, str, str]  # codec, VLM, task
T = TypeVar("T")


def against_uncompressed(analysis: Analysis) -> list[tuple[BdResult, float]]:
    """BD-Metrics with the uncompressed score that they are against."""
    best = uncompressed(analysis)
    return [
        (bd, best[bd.vlm, bd.task].score.value)
        for bd in analysis.bd
        if bd.baseline == "uncompressed" and (bd.vlm, bd.task) in best
    ]


def uncompressed(analysis: Analysis) -> dict[tuple[str, str], CellResult]:
    return {
        (cell.vlm, cell.task): cell
        for cell in analysis.cells
        if cell.codec == UNCOMPRESSED and not cell.adapter
    }


def share(bd: Interval, best: float) -> Interval:
    """In percent of the uncompressed score, which is comparable between tasks."""
    scale = 100 / best if best else math.nan
    return Interval(value=scale * bd.value, low=scale * bd.low, high=scale * bd.high)


def numbers(name: str, interval: Interval | None) -> Row:
    if interval is None:
        return {name: None, "low": None, "high": None}
    return {name: interval.value, "low": interval.low, "high": interval.high}


def grid(
    canvas: Canvas,
    panels: int,
    width_in: float,
    *,
    polar: bool = False,
    least_mm: float = _PANEL_MM,
    height: float = 0.0,
) -> list[Any]:
    """Equal panels, as many in a row as fit. height: of a panel over its width.

    Where they would be higher than a page, they are lower, or narrower and more in a row: what
    fits, or is nearest to it, and of such ways the one that leaves the larger panels.
    """
    width_mm = width_in * MM_PER_INCH

    def fit(narrowest: float) -> tuple[int, int, float]:
        """Panels in a row, rows, and the height of one in mm."""
        columns = max(1, min(panels, int(width_mm / narrowest)))
        lines = -(-panels // columns)
        wanted = min((height or 0.8) * width_mm / columns, _TALLEST_MM)
        return columns, lines, min(wanted, max(_LOWEST_MM, _PAGE_MM / lines))

    columns, lines, panel_mm = max(
        (fit(narrowest) for narrowest in (least_mm, _NARROWER * least_mm)),
        key=lambda one: (-max(_PAGE_MM, one[1] * one[2]), min(width_mm / one[0], one[2])),
    )
    panel_in = panel_mm / MM_PER_INCH
    canvas.set_size_inches(width_in, lines * panel_in + 0.5)
    grid = canvas.subplots(
        lines, columns, squeeze=False, subplot_kw={"projection": "polar"} if polar else None
    )
    flat = list(grid.flat)
    for spare in flat[panels:]:
        spare.set_axis_off()
    return flat[:panels]


def legend(canvas: Canvas, *panels: Any) -> None:
    """One legend below the panels, without repetitions."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        entry_mm = 11 + 1.2 * max(map(len, entries))  # the sign and the longest text
        columns = max(1, int(canvas.get_figwidth() * MM_PER_INCH / entry_mm))
        made = canvas.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=min(len(entries), columns),
            frameon=False,
            fontsize=6,
        )
        plain(made.get_texts())


def plain(texts: Iterable[Any]) -> None:
    """Draw names with dollar signs as they are, and not as formulas."""
    for text in texts:
        text.set_parse_math(False)


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def lacks_bd(analysis: Analysis) -> str:
    """Which cells a BD-Metric against the uncompressed image lacks."""
    best = uncompressed(analysis)
    curves = distinct((cell.vlm, cell.task) for cell in analysis.cells)
    bare = [f"{vlm} on {task}" for vlm, task in curves if (vlm, task) not in best]
    if bare:
        return f"missing: cells of the uncompressed image (codec {UNCOMPRESSED}) of {listed(bare)}"
    empty = [
        f"{bd.codec} of {bd.vlm} on {bd.task} ({bd.flags[-1] if bd.flags else 'no score'})"
        for bd in analysis.bd
        if bd.baseline == "uncompressed" and bd.bd is None
    ]
    codecs = distinct(cell.codec for cell in analysis.cells if cell.codec != UNCOMPRESSED)
    there = f"codecs there: {listed(codecs) or 'none'}"
    return f"no BD-Metric: {listed(empty)}; {there}" if empty else there


def gaps_bd(analysis: Analysis) -> list[CurveName]:
    """The codecs of the run without a BD-Metric against the uncompressed image, by VLM and task."""
    there = {
        (bd.codec, bd.vlm, bd.task)
        for bd, _ in against_uncompressed(analysis)
        if bd.bd is not None and not bd.adapter
    }
    return _missing(analysis, there)


def gaps_cells(analysis: Analysis) -> list[CurveName]:
    """The codecs of the run without a cell, by VLM and task."""
    return _missing(analysis, {(cell.codec, cell.vlm, cell.task) for cell in analysis.cells})


def no_gaps(_analysis: Analysis) -> list[CurveName]:
    """Of a figure that shows what is there."""
    return []


def _missing(analysis: Analysis, there: set[CurveName]) -> list[CurveName]:
    """Each combination of the run's codecs, VLMs and tasks that is not there."""
    codecs = distinct(cell.codec for cell in analysis.cells if cell.codec != UNCOMPRESSED)
    asked = distinct((cell.vlm, cell.task) for cell in analysis.cells)
    return [
        one for codec in codecs for vlm_task in asked if (one := (codec, *vlm_task)) not in there
    ]


def lacks_tasks(analysis: Analysis) -> str:
    """On which tasks the uncompressed image was asked."""
    tasks = distinct(task for _, task in uncompressed(analysis))
    return f"uncompressed cells there: {listed(tasks) or 'none'}"


def distinct(items: Iterable[T]) -> list[T]:
    """Without repetitions, in order."""
    return list(dict.fromkeys(items))
