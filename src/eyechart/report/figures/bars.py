"""Paper figure 1: BD-Metric over tasks and codecs, without and with an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eyechart.analysis.result import Analysis
from eyechart.report.figures.shared import (
    Row,
    against_uncompressed,
    distinct,
    legend,
    numbers,
    share,
)
from eyechart.report.finding import codec_label
from eyechart.report.style import colour, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


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
    style = styles(codecs)
    canvas.set_size_inches(width_in, max(1.8, 0.45 * width_in))
    axes = canvas.subplots()
    bars = [(codec, adapter) for codec in codecs for adapter in adapters]
    step = 0.84 / len(bars)
    for place, (codec, adapter) in enumerate(bars):
        own = {
            (bd.vlm, bd.task): (bd.bd, best)
            for bd, best in found
            if (bd.codec, bd.adapter) == (codec, adapter) and bd.bd
        }
        at = [groups.index(key) + (place - (len(bars) - 1) / 2) * step for key in own]
        shares = [share(bd, best) for bd, best in own.values()]
        axes.bar(
            at,
            [share.value for share in shares],
            step * 0.92,
            color="white" if adapter else colour(style[codec]),
            edgecolor=colour(style[codec]),
            hatch="////" if adapter else None,
            linewidth=0.6,
            yerr=np.array(
                [[share.value - share.low, share.high - share.value] for share in shares]
            ).T,
            error_kw={"elinewidth": 0.5, "ecolor": "#444444"},
            label=codec_label(codec) + (f" + {adapter}" if adapter else ""),
        )
    several = len({vlm for vlm, _ in groups}) > 1
    names = [f"{task}\n{vlm}" if several else task for vlm, task in groups]
    axes.set_xticks(range(len(groups)), names, rotation=20, ha="right")
    axes.set_ylabel("BD-Metric, % of uncompressed")
    axes.axhline(0, color="#444444", linewidth=0.6)
    legend(canvas, axes)
