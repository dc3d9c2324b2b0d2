"""Paper figures 3a and 3b (BD-Metric by codec) and 10 and 20 (uncompressed scores), as radars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import Analysis
from eyechart.core.types import UNCOMPRESSED
from eyechart.report.figures.shared import (
    Row,
    against_uncompressed,
    distinct,
    grid,
    legend,
    numbers,
    plain,
    share,
    uncompressed,
)
from eyechart.report.style import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


_NOT_0 = "the centre is not 0"  # of scores that are close to each other


def radar_rows(analysis: Analysis) -> list[Row]:
    """Without tasks whose uncompressed score is 0, of which no share can be lost."""
    rows: list[Row] = []
    for bd, best in against_uncompressed(analysis):
        if bd.bd is not None and best and not bd.adapter:
            row: Row = {"vlm": bd.vlm, "task": bd.task, "codec": bd.codec}
            rows.append({**row, **numbers("bd", bd.bd), "bd_percent": share(bd.bd, best).value})
    return rows if len({row["codec"] for row in rows}) >= 3 else []


def draw_radar(panel: str, shape: str) -> Callable[[Canvas, Analysis, float], None]:
    """Codecs are the axes; one panel for each `panel`, one polygon for each `shape`."""

    def draw(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
        rows = radar_rows(analysis)
        panels = distinct(str(row[panel]) for row in rows)
        shapes = distinct(str(row[shape]) for row in rows)
        panel_axes = grid(canvas, len(panels), width_in, polar=True)
        shares = [float(row["bd_percent"] or 0) for row in rows]
        low, high = min(shares), max(0.0, *shares)
        for axes, name in zip(panel_axes, panels, strict=False):
            own = [row for row in rows if row[panel] == name]
            codecs = distinct(str(row["codec"]) for row in own)
            for place, one in enumerate(shapes):
                values = {
                    str(row["codec"]): float(row["bd_percent"] or 0)
                    for row in own
                    if row[shape] == one
                }
                if values:
                    _polygon(axes, [values.get(codec) for codec in codecs], one, place)
            _radar_axes(axes, [codec_label(codec) for codec in codecs], name, low, high)
        canvas.suptitle("BD-Metric, % of the uncompressed score", fontsize=7)
        legend(canvas, panel_axes[0])

    return draw


def uncompressed_rows(analysis: Analysis) -> list[Row]:
    cells = uncompressed(analysis)
    rows: list[Row] = [
        {"vlm": vlm, "task": task, **numbers("score", cell.score)}
        for (vlm, task), cell in cells.items()
    ]
    return rows if len({row["task"] for row in rows}) >= 3 else []


def draw_uncompressed(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    cells = uncompressed(analysis)
    tasks = distinct(task for _, task in cells)
    best = {task: max(c.score.value for (_, t), c in cells.items() if t == task) for task in tasks}
    (axes,) = grid(canvas, 1, width_in, polar=True)
    lowest = 100.0
    for place, vlm in enumerate(distinct(vlm for vlm, _ in cells)):
        values = [
            100 * cells[vlm, task].score.value / best[task]
            if (vlm, task) in cells and best[task]
            else None
            for task in tasks
        ]
        _polygon(axes, values, vlm, place)
        lowest = min(lowest, *(value for value in values if value is not None), 100.0)
    _radar_axes(axes, tasks, f"score, % of the best VLM; {_NOT_0}", _centre(lowest), 100.0)
    legend(canvas, axes)


def codec_score_rows(analysis: Analysis) -> list[Row]:
    """Scores averaged over each codec's own rates: the uncompressed score and the BD-Metric."""
    rows: list[Row] = [
        {
            "vlm": bd.vlm,
            "task": bd.task,
            "codec": bd.codec,
            "score": best + bd.bd.value,
            f"low_{analysis.axis.unit}": bd.low_rate,
            f"high_{analysis.axis.unit}": bd.high_rate,
            "uncompressed": best,
        }
        for bd, best in against_uncompressed(analysis)
        if bd.bd is not None and not bd.adapter
    ]
    return rows if len({row["task"] for row in rows}) >= 3 else []


def draw_codec_scores(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    """A panel for each codec, and one for the uncompressed images. Each axis ends at the best
    uncompressed score of its task, and begins below the lowest score of all panels."""
    scores = {
        (str(row["codec"]), str(row["vlm"]), str(row["task"])): float(row["score"] or 0)
        for row in codec_score_rows(analysis)
    }
    cells = uncompressed(analysis)
    scores |= {(UNCOMPRESSED, vlm, task): cell.score.value for (vlm, task), cell in cells.items()}
    tasks = distinct(task for _, task in cells)
    best = {task: max(cells[key].score.value for key in cells if key[1] == task) for task in tasks}
    codecs = [
        codec
        for codec in (UNCOMPRESSED, *distinct(codec for codec, _, _ in scores))
        if len({task for name, _, task in scores if name == codec}) >= 3
    ]
    codecs = distinct(codecs)
    panel_axes = grid(canvas, len(codecs), width_in, polar=True)
    shares = {
        key: 100 * max(0.0, score) / best[key[2]] for key, score in scores.items() if best[key[2]]
    }
    low = _centre(min((share for key, share in shares.items() if key[0] in codecs), default=100.0))
    for axes, codec in zip(panel_axes, codecs, strict=True):
        for place, vlm in enumerate(distinct(vlm for vlm, _ in cells)):
            _polygon(axes, [shares.get((codec, vlm, task)) for task in tasks], vlm, place)
        name = "uncompressed" if codec == UNCOMPRESSED else codec_label(codec)
        _radar_axes(axes, tasks, name, low, 100.0)
    told = f"mean score over the rates, % of the best uncompressed score\n{_NOT_0}"
    canvas.suptitle(told, fontsize=7)
    legend(canvas, panel_axes[0])


def _centre(lowest: float) -> float:
    """Percent in the middle of a radar: below the lowest value, which is then not in the middle."""
    return min(99.0, max(0.0, lowest - 0.2 * (100.0 - lowest)))


def _polygon(axes: Any, values: Sequence[float | None], label: str, place: int) -> None:
    """A closed line with a gap at an axis without a value."""
    turn = 2 * math.pi / len(values)
    angles = [at * turn for at in range(len(values) + 1)]
    radii = [math.nan if value is None else value for value in (*values, values[0])]
    lines = ("-", "--", "-.", ":")
    axes.plot(
        angles,
        radii,
        lines[place % len(lines)],
        color=COLOURS[place % len(COLOURS)],
        marker=MARKERS[place % len(MARKERS)],
        markersize=2.5,
        label=label,
    )


def _radar_axes(axes: Any, names: Sequence[str], title: str, low: float, high: float) -> None:
    axes.set_theta_offset(math.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_xticks([at * 2 * math.pi / len(names) for at in range(len(names))], names)
    axes.tick_params(axis="y", labelsize=5)
    axes.tick_params(axis="x", pad=1)
    for label, at in zip(axes.get_xticklabels(), range(len(names)), strict=False):
        side = math.sin(2 * math.pi * at / len(names))  # beside the circle, not over it
        label.set_horizontalalignment(
            "center" if abs(side) < 0.1 else "left" if side > 0 else "right"
        )
    plain(axes.get_xticklabels())
    pad = 0.05 * (high - low) or 1.0
    axes.set_ylim(low - pad, high + (pad if high > 0 and low < 0 else 0.0))
    if low < 0:  # the uncompressed score
        turn = [2 * math.pi * at / 90 for at in range(91)]
        axes.plot(turn, [0.0] * len(turn), color="#444444", linewidth=0.8, dashes=(3, 2))
    axes.grid(linewidth=0.4, alpha=0.6)
    axes.set_title(title, parse_math=False)
