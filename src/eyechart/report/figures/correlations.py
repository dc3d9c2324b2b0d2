"""Paper figure 6: correlation of quality metrics with the scores of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from eyechart.analysis.correlation import LEAST_CELLS, LEAST_IMAGES
from eyechart.analysis.result import Analysis, CorrelationResult, CorrelationScope, Interval
from eyechart.core.types import UNCOMPRESSED
from eyechart.report.figures.shared import MM_PER_INCH, Row, distinct, numbers, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_COEFFICIENTS = {"pearson": "Pearson", "spearman": "Spearman"}
_LINE_MM = 4.2  # height of a metric
_DARK = 0.62  # from here on, text on the colour is white


def correlation_rows(analysis: Analysis) -> list[Row]:
    return [
        {
            "vlm": one.vlm,
            "task": one.task,
            "metric": one.label,
            "scope": one.scope,
            "points": one.points,
            **_named("pearson", one.pearson),
            **_named("spearman", one.spearman),
        }
        for one in analysis.correlations
    ]


def lacks_correlations(analysis: Analysis) -> str:
    if not any(cell.codec != UNCOMPRESSED for cell in analysis.cells):
        return "this run has no compressed image"
    if not analysis.quality:
        return "this run has no quality values: eyechart quality DIR measures them"
    if max(one.images for one in analysis.quality) < LEAST_IMAGES:
        return "the quality of only one image was measured"
    return f"no task has quality values at {LEAST_CELLS} levels"


def draw_correlations(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    """One line of panels for each VLM and scope: Pearson beside Spearman."""
    found = analysis.correlations
    lines = distinct((one.vlm, one.scope) for one in sorted(found, key=_order))
    metrics = distinct(one.label for one in found)
    tasks = distinct(one.task for one in found)
    several = len({vlm for vlm, _ in lines}) > 1
    panel_in = _LINE_MM * len(metrics) / MM_PER_INCH + 0.2
    canvas.set_size_inches(width_in, len(lines) * panel_in + 0.9)
    grid = canvas.subplots(len(lines), 2, squeeze=False, sharex=True, sharey=True)
    mesh = None
    for (vlm, scope), panels in zip(lines, grid, strict=True):
        own = [one for one in found if (one.vlm, one.scope) == (vlm, scope)]
        for axes, coefficient in zip(panels, _COEFFICIENTS, strict=True):
            values = {(one.label, one.task): getattr(one, coefficient) for one in own}
            mesh = _heat_map(axes, values, metrics, tasks)
        heading = f"{vlm}, {scope}" if several else scope
        panels[0].set_title(f"{heading} ({_points(own)})", loc="left", fontsize=6, parse_math=False)
    for axes, coefficient in zip(grid[0], _COEFFICIENTS.values(), strict=True):
        above = axes.get_title(loc="left")
        axes.set_title(f"{coefficient}\n{above}", loc="left", fontsize=6, parse_math=False)
    for axes in grid[-1]:
        axes.set_xticks(np.arange(len(tasks)) + 0.5, tasks, rotation=60, ha="right", fontsize=5.5)
        plain(axes.get_xticklabels())
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
    for axes in grid[:, 0]:
        axes.set_yticks(np.arange(len(metrics)) + 0.5, metrics, fontsize=5.5)
        plain(axes.get_yticklabels())
    assert mesh is not None
    bar = canvas.colorbar(
        mesh, ax=list(grid[-1]), location="bottom", aspect=40, shrink=0.7, pad=0.02
    )
    bar.ax.tick_params(labelsize=5)
    bar.set_label(
        "correlation; pale numbers: the 95 % interval contains 0, or there is none", fontsize=5.5
    )


def _heat_map(
    axes: Any,
    values: dict[tuple[str, str], Interval | None],
    metrics: list[str],
    tasks: list[str],
) -> Any:
    found = [[values.get((metric, task)) for task in tasks] for metric in metrics]
    numbers_of = np.array(
        [[np.nan if one is None else one.value for one in line] for line in found], float
    )
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(numbers_of),
        cmap="PuOr_r",
        vmin=-1,
        vmax=1,
        edgecolors="white",
        linewidth=0.5,
    )
    for row, line in enumerate(found):
        for column, one in enumerate(line):
            if one is None:
                axes.text(column + 0.5, row + 0.5, "–", ha="center", va="center", fontsize=5)
                continue
            dark = abs(one.value) > _DARK
            axes.text(
                column + 0.5,
                row + 0.5,
                _two_digits(one.value),
                ha="center",
                va="center",
                fontsize=4.8,
                color="white" if dark else "black",
                alpha=1.0 if one.sign else 0.55,
            )
    axes.set_ylim(len(metrics), 0)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return mesh


def _points(found: list[CorrelationResult]) -> str:
    """How many points the correlations of a panel have: `12` or `12 to 28 points`."""
    counts = sorted({one.points for one in found})
    return f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} points"


def _order(one: CorrelationResult) -> tuple[str, int]:
    return one.vlm, get_args(CorrelationScope).index(one.scope)


def _two_digits(value: float) -> str:
    """`.87`, `−.12` and `−1`, so that a column of a paper has room for them."""
    text = f"{abs(value):.2f}"
    shown = "1" if text == "1.00" else text[1:]
    return f"−{shown}" if value < 0 and shown != ".00" else shown


def _named(name: str, interval: Interval | None) -> Row:
    found = numbers(name, interval)
    return {name: found[name], f"{name}_low": found["low"], f"{name}_high": found["high"]}
