"""The acuity chart: the smallest signs that a VLM reads over the rate, for each codec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import Analysis, CellResult
from eyechart.analysis.thresholds import smallest_read
from eyechart.core.hooks import SizeThreshold
from eyechart.core.types import UNCOMPRESSED
from eyechart.report.figures.shared import Row, distinct, grid, legend, numbers, uncompressed
from eyechart.report.style import colour, marker, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_MOST_TICKS = 5


def acuity_rows(analysis: Analysis) -> list[Row]:
    """A row for each cell and threshold, empty where it is outside the sizes of the task; none if
    that holds for all codecs."""
    rows: list[Row] = [
        {
            "vlm": cell.vlm,
            "adapter": cell.adapter,
            "task": cell.task,
            "signs": size.signs,
            "condition": size.condition,
            "codec": cell.codec,
            "level": cell.level,
            analysis.axis.unit: cell.rate,
            **numbers(f"smallest_{size.unit}", smallest_read(cell.metrics, size)),
        }
        for cell, size in _measured(analysis)
    ]
    known = (
        smallest_read(cell.metrics, size)
        for cell, size in _measured(analysis)
        if cell.codec != UNCOMPRESSED
    )
    return rows if any(known) else []


def lacks_acuity(analysis: Analysis) -> str:
    """Why a run has no smallest size."""
    sizes = [size for task in analysis.tasks for size in task.thresholds]
    if not sizes:
        there = ", ".join(task.name for task in analysis.tasks) or "none"
        return f"tasks there: {there}"
    limits = f"{sizes[0].smallest:g} to {sizes[0].largest:g} {sizes[0].unit}"
    return f"all thresholds of codecs are outside {limits}"


def draw_acuity(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    """A panel for each VLM, task and threshold, a line for each codec."""
    found = [
        (cell, size)
        for cell, size in _measured(analysis)
        if smallest_read(cell.metrics, size) is not None
    ]
    panels = distinct((cell.vlm, cell.task, size) for cell, size in found)
    style = styles(distinct(cell.codec for cell, _ in found if cell.codec != UNCOMPRESSED))
    best = uncompressed(analysis)
    vlms = distinct(vlm for vlm, _, _ in panels)
    tasks = distinct(task for _, task, _ in panels)
    panel_axes = grid(canvas, len(panels), width_in)
    for axes, (vlm, task, size) in zip(panel_axes, panels, strict=True):
        own = [
            cell
            for cell, one in found
            if (cell.vlm, cell.task, one) == (vlm, task, size) and cell.codec != UNCOMPRESSED
        ]
        for codec, adapter in distinct((cell.codec, cell.adapter) for cell in own):
            cells = [cell for cell in own if (cell.codec, cell.adapter) == (codec, adapter)]
            _draw_codec(axes, cells, size, style[codec])
        plain = best.get((vlm, task))
        if plain is not None and (height := smallest_read(plain.metrics, size)) is not None:
            axes.axhline(height.value, color="#444444", linewidth=0.6, dashes=(4, 3))
        named = [f"{size.signs}, {size.condition}", *([task] if len(tasks) > 1 else [])]
        axes.set_title(", ".join([*named, *([vlm] if len(vlms) > 1 else [])]), parse_math=False)
        axes.set_xlabel(analysis.axis.column)
        axes.set_ylabel(f"smallest read, {size.unit}")
        _size_axis(axes, size)
        axes.grid(visible=True, alpha=0.25, linewidth=0.4)
    legend(canvas, *panel_axes)


def _measured(analysis: Analysis) -> list[tuple[CellResult, SizeThreshold]]:
    """Every cell with each of its task's thresholds."""
    sizes = {task.name: task.thresholds for task in analysis.tasks}
    return [(cell, size) for cell in analysis.cells for size in sizes.get(cell.task, ())]


def _draw_codec(axes: Any, cells: Sequence[CellResult], size: SizeThreshold, style: int) -> None:
    points = sorted(cells, key=lambda cell: cell.rate)
    heights = [
        height for cell in points if (height := smallest_read(cell.metrics, size)) is not None
    ]
    adapter = points[0].adapter
    axes.errorbar(
        [cell.rate for cell in points],
        [height.value for height in heights],
        yerr=[
            [max(0.0, height.value - height.low) for height in heights],
            [max(0.0, height.high - height.value) for height in heights],
        ],
        color=colour(style),
        linestyle="--" if adapter else "-",
        marker=marker(style),
        markersize=3,
        elinewidth=0.5,
        label=codec_label(points[0].codec) + (f" + {adapter}" if adapter else ""),
    )


def _size_axis(axes: Any, size: SizeThreshold) -> None:
    """A logarithmic axis over the sizes of the task: acuity is a ratio."""
    axes.set_yscale("log")
    axes.set_ylim(size.smallest / 1.1, size.largest * 1.1)
    ratio = (size.largest / size.smallest) ** (1 / (_MOST_TICKS - 1))
    sizes = (size.smallest * ratio**place for place in range(_MOST_TICKS))
    ticks = distinct(float(f"{one:.2g}") for one in sizes)  # of any magnitude, none is 0
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
