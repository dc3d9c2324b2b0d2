"""Paper figures 2 and 8: one image under each codec, with the answers."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

from eyechart.analysis.result import Analysis, Example
from eyechart.core.types import UNCOMPRESSED
from eyechart.report.figures.shared import Row, grid
from eyechart.report.finding import codec_label

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


def draw_example(canvas: Canvas, analysis: Analysis, width_in: float) -> None:
    from PIL import Image

    example = _example(analysis)
    assert example is not None
    views = [view for view in example.views if view.png_base64 and not view.adapter]
    panel_axes = grid(canvas, len(views), width_in, least_mm=28.0, height=1.25)
    for axes, view in zip(panel_axes, views, strict=False):
        axes.imshow(np.asarray(Image.open(io.BytesIO(base64.b64decode(view.png_base64)))))
        axes.set_axis_off()
        name = "uncompressed" if view.codec == UNCOMPRESSED else codec_label(view.codec)
        answer = view.answer.strip()
        answer = answer if len(answer) <= 28 else answer[:27] + "…"
        said = f"{'✓' if view.right else '✗'} {answer or '(nothing)'}"
        axes.set_title(f"{name}\n{view.bpp:.3f} bpp\n{said}", fontsize=5.5, parse_math=False)
    canvas.suptitle(f"{example.question.strip()[:90]}", fontsize=7, parse_math=False)


def _example(analysis: Analysis) -> Example | None:
    """The example with the most different verdicts, as the report shows first."""
    shown = [one for one in analysis.examples if any(view.png_base64 for view in one.views)]
    return max(shown, key=lambda one: len({view.right for view in one.views}), default=None)
