"""Paper figures 2 and 8: one image under each codec, with the answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import Analysis, Example, View
from eyechart.core.types import UNCOMPRESSED
from eyechart.report.figures.shared import Row, distinct, grid, listed, uncompressed

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def example_rows(analysis: Analysis) -> list[Row]:
    example = _example(analysis)
    if example is None:
        return []
    return [
        {
            "task": example.task,
            "vlm": example.vlm,
            "question": example.question,
            "reference": example.reference,
            "codec": view.codec,
            "level": view.level,
            "adapter": view.adapter,
            "bpp": view.bpp,
            "answer": view.answer,
            "right": "yes" if view.right else "no",
        }
        for view in example.views
    ]


def adapter_example_rows(analysis: Analysis) -> list[Row]:
    """As `example_rows`, if there are answers with an adapter."""
    rows = example_rows(analysis)
    return rows if any(row["adapter"] for row in rows) else []


def lacks_examples(analysis: Analysis) -> str:
    """What the run lacks for a figure with an image."""
    best = uncompressed(analysis)
    curves = distinct((cell.vlm, cell.task) for cell in analysis.cells)
    bare = [f"{vlm} on {task}" for vlm, task in curves if (vlm, task) not in best]
    if bare:
        return f"missing: cells of the uncompressed image (codec {UNCOMPRESSED}) of {listed(bare)}"
    if all(cell.codec == UNCOMPRESSED for cell in analysis.cells):
        return "missing: cells of a codec"
    if analysis.examples and not any(cell.adapter for cell in analysis.cells):
        return "missing: cells with an adapter"
    return f"there is none on {listed(distinct(task for _, task in best))}, or its image is missing"


def draw_example(*, adapters: bool) -> Callable[[Canvas, Analysis, float], None]:
    """adapters: also show the answers with an adapter."""

    def draw(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
        from PIL import Image

        example = _example(analysis)
        assert example is not None
        views = [view for view in example.views if view.png_base64 and not view.adapter]
        panel_axes = grid(canvas, len(views), width_in, least_mm=28.0, height=1.25)
        for axes, view in zip(panel_axes, views, strict=False):
            axes.imshow(np.asarray(Image.open(io.BytesIO(base64.b64decode(view.png_base64)))))
            axes.set_axis_off()
            name = "uncompressed" if view.codec == UNCOMPRESSED else codec_label(view.codec)
            lines = [name, f"{view.bpp:.3f} bpp", _said(view)]
            if adapters:
                same = (view.codec, view.level)
                lines += [
                    f"{_said(other)} ({other.adapter})"
                    for other in example.views
                    if other.adapter and (other.codec, other.level) == same
                ]
            axes.set_title("\n".join(lines), fontsize=5.5, parse_math=False)
        canvas.suptitle(f"{example.question.strip()[:90]}", fontsize=7, parse_math=False)

    return draw


def _said(view: View) -> str:
    answer = " ".join(view.answer.split())
    answer = answer if len(answer) <= 28 else answer[:27] + "…"
    return f"{'✓' if view.right else '✗'} {answer or '(nothing)'}"


def _example(analysis: Analysis) -> Example | None:
    """The example with the most different verdicts, as the report shows first."""
    shown = [one for one in analysis.examples if any(view.png_base64 for view in one.views)]
    return max(shown, key=lambda one: len({view.right for view in one.views}), default=None)
