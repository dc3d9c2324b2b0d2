"""Paper figure 1: BD-Metric over tasks and codecs, without and with an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import Analysis, Interval
from eyechart.report.figures.shared import (
    Row,
    against_uncompressed,
    distinct,
    grid,
    legend,
    numbers,
    plain,
    share,
)
from eyechart.report.style import colour, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_LEAST_SPAN = 1.0  # percent, of the axis where almost nothing is lost
_PANEL_MM = 80.0  # the least width of a panel: seven tasks with their names
_PANEL_HEIGHT = 0.6  # over its width
_HATCHES = ("xxxx", "////", "....", "\\\\\\\\")


def bar_rows(analysis: Analysis) -> list[Row]:
    return [
        {
            "vlm": bd.vlm,
            "task": bd.task,
            "codec": bd.codec,
            "adapter": bd.adapter,
            **numbers("bd", bd.bd),
            "uncompressed": best,
        }
        for bd, best in against_uncompressed(analysis)
        if bd.bd is not None
    ]


def draw_bars(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    """A panel for each VLM, with a group of bars for each task."""
    found = [(bd, best) for bd, best in against_uncompressed(analysis) if bd.bd is not None]
    vlms = distinct(bd.vlm for bd, _ in found)
    codecs = distinct(bd.codec for bd, _ in found)
    adapters = distinct(bd.adapter for bd, _ in found)
    panels = grid(canvas, len(vlms), width_in, least_mm=_PANEL_MM, height=_PANEL_HEIGHT)
    for axes, vlm in zip(panels, vlms, strict=True):
        own = {
            (bd.task, bd.codec, bd.adapter): share(bd.bd, best)
            for bd, best in found
            if bd.vlm == vlm and bd.bd
        }
        _groups(axes, own, codecs, adapters)
        axes.set_ylabel("BD-Metric, % of uncompressed")
        if len(vlms) > 1:
            axes.set_title(vlm, parse_math=False)
    _one_range(panels)
    hidden = (-9, 0, 0)  # bars for the legend: a colour for each codec, a filling for each adapter
    style = styles(codecs)
    for codec in codecs:
        fill = _fill(colour(style[codec]), 0, plain=True)
        panels[0].bar(*hidden, label=codec_label(codec), **fill)
    for place, adapter in enumerate(adapters):
        if adapter:
            fill = _fill("#444444", place, plain=False)
            panels[0].bar(*hidden, label=f"with {adapter}", **fill)
    legend(canvas, panels[0])


def _groups(
    axes: Any,
    own: dict[tuple[str, str, str], Interval],
    codecs: Sequence[str],
    adapters: Sequence[str],
) -> None:
    """The bars of one VLM. own: by task, codec and adapter."""
    tasks = distinct(task for task, _, _ in own)
    bars = [(codec, adapter) for codec in codecs for adapter in adapters]
    style, step = styles(codecs), 0.84 / len(bars)
    for group, task in enumerate(tasks):
        there = [bar for bar in bars if (task, *bar) in own]
        for place, (codec, adapter) in enumerate(there):
            one = own[task, codec, adapter]
            axes.bar(
                group + (place - (len(there) - 1) / 2) * step,
                one.value,
                step * 0.92,
                **_fill(colour(style[codec]), adapters.index(adapter), plain=not adapter),
                yerr=np.array([[one.value - one.low], [one.high - one.value]]).clip(min=0),
                error_kw={"elinewidth": 0.5, "ecolor": "#444444"},
            )
    axes.set_xticks(range(len(tasks)), tasks, rotation=20, ha="right")
    plain(axes.get_xticklabels())
    axes.set_xlim(-0.6, len(tasks) - 0.4)
    axes.axhline(0, color="#444444", linewidth=0.6)


def _one_range(panels: Sequence[Any]) -> None:
    """The same range of percent in all panels, so that VLMs can be compared."""
    lows, highs = zip(*(axes.get_ylim() for axes in panels), strict=True)
    pad = max(0.0, (_LEAST_SPAN - (max(highs) - min(lows))) / 2)
    for axes in panels:
        axes.set_ylim(min(lows) - pad, max(highs) + pad)


def _fill(shade: str, place: int, *, plain: bool) -> dict[str, Any]:
    """How a bar is filled: without an adapter whole, with one hatched."""
    hatch = None if plain else _HATCHES[place % len(_HATCHES)]
    return {
        "color": shade if plain else "white",
        "edgecolor": shade,
        "hatch": hatch,
        "linewidth": 0.6,
    }
