"""Paper figures 5, 21 and 22: the drop against uncompressed of a VLM in several sizes, over the
rate and over the size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import Analysis, CellResult, Interval, ScalingResult
from eyechart.report.figures.shared import (
    Row,
    distinct,
    grid,
    legend,
    listed,
    numbers,
    uncompressed,
)
from eyechart.report.style import COLOURS, MARKERS, colour, marker, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_LINES = ("-", "--", "-.", ":")


def lacks_sizes(analysis: Analysis) -> str:
    """Why a run has no VLM in two sizes."""
    unknown = [vlm.name for vlm in analysis.vlms if not vlm.parameters]
    sized = [f"{vlm.name} ({size_text(vlm.parameters)})" for vlm in analysis.vlms if vlm.parameters]
    parts = [f"there: {listed(sized)}"] if sized else []
    parts += [f"unknown size: {listed(unknown)}"] if unknown else []
    return "; ".join(parts) or "no VLM's size is known"


def drop_rows(analysis: Analysis) -> list[Row]:
    """A row for each level, task, codec and size."""
    return [
        {
            "series": one.series,
            "vlm": cell.vlm,
            "parameters": size,
            "task": cell.task,
            "codec": cell.codec,
            "level": cell.level,
            analysis.axis.unit: cell.rate,
            **numbers("drop", drop),
        }
        for one in analysis.scaling
        for vlm, size in zip(one.vlms, one.parameters, strict=True)
        for cell, drop in _drops(analysis, one, vlm)
    ]


def draw_drops(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    """A panel for each series, task and codec, a line for each size."""
    several = len({one.series for one in analysis.scaling}) > 1
    tasks = [task.name for task in analysis.tasks]
    panels = sorted(analysis.scaling, key=lambda one: (one.series, tasks.index(one.task)))
    panel_axes = grid(canvas, len(panels), width_in, least_mm=42.0)
    for axes, one in zip(panel_axes, panels, strict=True):
        for place, (vlm, size) in enumerate(zip(one.vlms, one.parameters, strict=True)):
            points = _drops(analysis, one, vlm)
            if not points:
                continue
            axes.errorbar(
                [cell.rate for cell, _ in points],
                [drop.value for _, drop in points],
                yerr=_error([drop for _, drop in points]),
                linestyle=_LINES[place % len(_LINES)],
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=3,
                elinewidth=0.5,
                label=f"{vlm} ({size_text(size)})" if several else size_text(size),
            )
        title = f"{one.task}, {codec_label(one.codec)}"
        axes.set_title(f"{one.series}\n{title}" if several else title, parse_math=False)
        axes.set_xlabel(analysis.axis.column)
        axes.set_ylabel("drop, points")
        _finish(axes)
    legend(canvas, *panel_axes)


def size_rows(analysis: Analysis) -> list[Row]:
    """A row for each size, with the slope of its task and codec."""
    return [
        {
            "series": one.series,
            "task": one.task,
            "codec": one.codec,
            "vlm": vlm,
            "parameters": size,
            "levels": one.levels,
            **numbers("mean_drop", drop),
            "slope_per_doubling": one.slope.value,
            "slope_low": one.slope.low,
            "slope_high": one.slope.high,
        }
        for one in analysis.scaling
        for vlm, size, drop in zip(one.vlms, one.parameters, one.drops, strict=True)
    ]


def draw_sizes(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    """A panel for each series and task, a line for each codec."""
    panels = distinct((one.series, one.task) for one in analysis.scaling)
    style = styles(distinct(one.codec for one in analysis.scaling))
    several = len({series for series, _ in panels}) > 1
    panel_axes = grid(canvas, len(panels), width_in, least_mm=42.0)
    for axes, (series, task) in zip(panel_axes, panels, strict=True):
        own = [one for one in analysis.scaling if (one.series, one.task) == (series, task)]
        sizes = sorted({size for one in own for size in one.parameters})
        for one in own:
            axes.errorbar(
                one.parameters,
                [drop.value for drop in one.drops],
                yerr=_error(one.drops),
                color=colour(style[one.codec]),
                marker=marker(style[one.codec]),
                markersize=3,
                elinewidth=0.5,
                label=codec_label(one.codec),
            )
        axes.set_xscale("log")
        axes.set_xticks(sizes, [size_text(size) for size in sizes])
        axes.minorticks_off()
        axes.set_title(f"{series}, {task}" if several else task, parse_math=False)
        axes.set_xlabel("parameters")
        axes.set_ylabel("mean drop, points")
        _finish(axes)
    legend(canvas, *panel_axes)


def size_text(parameters: float | None) -> str:
    """7.1 M, 3.0 B."""
    if not parameters:
        return "unknown"
    unit, scale = ("B", 1e9) if parameters >= 1e9 else ("M", 1e6)
    return f"{parameters / scale:.3g} {unit}"


def _drops(analysis: Analysis, one: ScalingResult, vlm: str) -> list[tuple[CellResult, Interval]]:
    """One VLM's cells with their drops, lowest rate first; none if another VLM was chosen. Equal
    bounds where there is no interval."""
    reference = uncompressed(analysis).get((vlm, one.task))
    if reference is None:
        return []
    best = reference.score.value
    place = (vlm, "", one.task, one.codec)
    found = [
        cell for cell in analysis.cells if (cell.vlm, cell.adapter, cell.task, cell.codec) == place
    ]
    return [
        (cell, cell.loss or _exact(best - cell.score.value))
        for cell in sorted(found, key=lambda cell: cell.rate)
    ]


def _exact(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def _error(drops: Sequence[Interval]) -> Any:
    bars = [[drop.value - drop.low, drop.high - drop.value] for drop in drops]
    return np.array(bars).T.clip(min=0)


def _finish(axes: Any) -> None:
    axes.axhline(0, color="#444444", linewidth=0.6, dashes=(4, 3))
    axes.grid(visible=True, alpha=0.25, linewidth=0.4)
