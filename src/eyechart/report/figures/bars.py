"""Paper figure 1: BD-Metric over tasks and codecs, without and with an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import Analysis
from eyechart.report.figures.shared import (
    Row,
    against_uncompressed,
    distinct,
    legend,
    numbers,
    share,
)
from eyechart.report.style import colour, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_LEAST_SPAN = 1.0  # percent, of the axis where almost nothing is lost
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
    found = [(bd, best) for bd, best in against_uncompressed(analysis) if bd.bd is not None]
    groups = distinct((bd.vlm, bd.task) for bd, _ in found)
    codecs = distinct(bd.codec for bd, _ in found)
    adapters = distinct(bd.adapter for bd, _ in found)
    bars = [(codec, adapter) for codec in codecs for adapter in adapters]
    canvas.set_size_inches(width_in, max(2.6, 0.45 * width_in))
    axes = canvas.subplots()
    style, step = styles(codecs), 0.84 / len(bars)
    for group, key in enumerate(groups):
        own = {
            (bd.codec, bd.adapter): share(bd.bd, best)
            for bd, best in found
            if (bd.vlm, bd.task) == key and bd.bd
        }
        there = [bar for bar in bars if bar in own]
        for place, (codec, adapter) in enumerate(there):
            one = own[codec, adapter]
            axes.bar(
                group + (place - (len(there) - 1) / 2) * step,
                one.value,
                step * 0.92,
                **_fill(colour(style[codec]), adapters.index(adapter), plain=not adapter),
                yerr=np.array([[one.value - one.low], [one.high - one.value]]).clip(min=0),
                error_kw={"elinewidth": 0.5, "ecolor": "#444444"},
            )
    hidden = (-9, 0, 0)  # bars for the legend: a colour for each codec, a filling for each adapter
    for codec in codecs:
        axes.bar(*hidden, label=codec_label(codec), **_fill(colour(style[codec]), 0, plain=True))
    for place, adapter in enumerate(adapters):
        if adapter:
            axes.bar(*hidden, label=f"with {adapter}", **_fill("#444444", place, plain=False))
    several = len({vlm for vlm, _ in groups}) > 1
    names = [f"{task}\n{vlm}" if several else task for vlm, task in groups]
    axes.set_xticks(range(len(groups)), names, rotation=20, ha="right")
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylabel("BD-Metric, % of uncompressed")
    axes.axhline(0, color="#444444", linewidth=0.6)
    low, high = axes.get_ylim()
    pad = max(0.0, (_LEAST_SPAN - (high - low)) / 2)
    axes.set_ylim(low - pad, high + pad)
    legend(canvas, axes)


def _fill(shade: str, place: int, *, plain: bool) -> dict[str, Any]:
    """How a bar is filled: without an adapter whole, with one hatched."""
    hatch = None if plain else _HATCHES[place % len(_HATCHES)]
    return {
        "color": shade if plain else "white",
        "edgecolor": shade,
        "hatch": hatch,
        "linewidth": 0.6,
    }
