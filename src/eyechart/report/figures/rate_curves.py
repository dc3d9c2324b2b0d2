"""Paper figures 4, 7, 9, 11 to 19 and 23: scores over the rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eyechart.analysis import pchip
from eyechart.analysis.bd import equal_rates
from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import Analysis, CellResult
from eyechart.core.types import UNCOMPRESSED
from eyechart.report.figures.shared import Row, distinct, grid, legend, numbers, uncompressed
from eyechart.report.style import colour, marker, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_SMOOTH_POINTS = 60


def curve_rows(analysis: Analysis) -> list[Row]:
    rows: list[Row] = [
        {
            "vlm": cell.vlm,
            "adapter": cell.adapter,
            "task": cell.task,
            "codec": cell.codec,
            "level": cell.level,
            analysis.axis.unit: cell.rate,
            **numbers("score", cell.score),
        }
        for cell in analysis.cells
    ]
    return rows if any(row["codec"] != UNCOMPRESSED for row in rows) else []


def draw_curves(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    lossy = [cell for cell in analysis.cells if cell.codec != UNCOMPRESSED]
    panels = distinct((cell.vlm, cell.task) for cell in lossy)
    style = styles(distinct(cell.codec for cell in lossy))
    metric = {task.name: task.label(task.headline_metric) for task in analysis.tasks}
    best = uncompressed(analysis)
    several = len({vlm for vlm, _ in panels}) > 1
    panel_axes = grid(canvas, len(panels), width_in)
    for axes, (vlm, task) in zip(panel_axes, panels, strict=False):
        own = [cell for cell in lossy if (cell.vlm, cell.task) == (vlm, task)]
        for codec, adapter in distinct((cell.codec, cell.adapter) for cell in own):
            cells = [cell for cell in own if (cell.codec, cell.adapter) == (codec, adapter)]
            _draw_curve(axes, cells, style[codec])
        if (vlm, task) in best:
            axes.axhline(best[vlm, task].score.value, color="#444444", linewidth=0.6, dashes=(4, 3))
        axes.set_title(f"{task}\n{vlm}" if several else task, parse_math=False)
        axes.set_xlabel(analysis.axis.column)
        axes.set_ylabel(metric.get(task, "score"), parse_math=False)
        axes.grid(visible=True, alpha=0.25, linewidth=0.4)
    legend(canvas, *panel_axes)


def _draw_curve(axes: Any, cells: Sequence[CellResult], style: int) -> None:
    points = sorted(cells, key=lambda cell: cell.rate)
    rates = np.array([cell.rate for cell in points])
    adapter = points[0].adapter
    look: dict[str, Any] = {"color": colour(style), "linestyle": "--" if adapter else "-"}
    label = codec_label(points[0].codec) + (f" + {adapter}" if adapter else "")
    groups = equal_rates(rates)
    if len(groups) > 1:
        x = np.array([rates[group].mean() for group in groups])
        at = np.linspace(x[0], x[-1], _SMOOTH_POINTS)

        def smooth(bound: str) -> list[float]:
            y = np.array(
                [np.mean([getattr(points[n].score, bound) for n in group]) for group in groups]
            )
            return [pchip.value(x, y, rate) for rate in at]

        axes.plot(at, smooth("value"), **look)
        if not adapter:
            axes.fill_between(
                at, smooth("low"), smooth("high"), color=colour(style), alpha=0.12, lw=0
            )
    axes.plot(
        rates,
        [cell.score.value for cell in points],
        marker(style),
        color=colour(style),
        markersize=3,
        markerfacecolor="white" if adapter else colour(style),
        markeredgewidth=0.7,
    )
    axes.plot([], [], marker=marker(style), markersize=3, label=label, **look)
