"""Paper figures 2 and 8: one image under each codec, with the answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from eyechart.analysis.codec_names import setting_label
from eyechart.analysis.result import Analysis, Example, View
from eyechart.core.types import UNCOMPRESSED
from eyechart.report.figures.shared import (
    MM_PER_INCH,
    Row,
    distinct,
    grid,
    listed,
    uncompressed,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_LETTER_MM = 1.1  # of a picture's text: the mean width


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
        for view in _ordered(example.views)
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
        views = [view for view in _ordered(example.views) if view.png_base64 and not view.adapter]
        panel_axes = grid(canvas, len(views), width_in, least_mm=28.0, height=1.25)
        columns = panel_axes[0].get_subplotspec().get_gridspec().ncols
        most = int(width_in * MM_PER_INCH / columns / _LETTER_MM)
        for axes, view in zip(panel_axes, views, strict=False):
            axes.imshow(np.asarray(Image.open(io.BytesIO(base64.b64decode(view.png_base64)))))
            axes.set_axis_off()
            plain = view.codec == UNCOMPRESSED
            name = "uncompressed" if plain else setting_label(view.codec, view.level)
            lines = [name, f"{view.bpp:.3f} bpp", _said(view)]
            if adapters:
                same = (view.codec, view.level)
                lines += [
                    f"{_said(other)} ({other.adapter})"
                    for other in example.views
                    if other.adapter and (other.codec, other.level) == same
                ]
            lines = [_short(line, most) for line in lines]
            axes.set_title("\n".join(lines), fontsize=5.5, parse_math=False)
        asked = _short(example.question, 90)
        answers = f"reference: {_short(example.reference, 40)}; {example.vlm} answers:"
        canvas.suptitle(f"{asked}\n{answers}", fontsize=6.5, parse_math=False)

    return draw


def _ordered(views: Sequence[View]) -> list[View]:
    """The uncompressed image, then the codecs, each from its highest rate."""
    codecs = distinct((UNCOMPRESSED, *(view.codec for view in views)))
    return sorted(views, key=lambda view: (codecs.index(view.codec), -view.bpp, view.adapter))


def _said(view: View) -> str:
    return f"{'✓' if view.right else '✗'} {view.answer.strip() or '(nothing)'}"


def _short(text: str, most: int) -> str:
    """In one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _example(analysis: Analysis) -> Example | None:
    """The example with the most different verdicts, as the report shows first."""
    shown = [one for one in analysis.examples if any(view.png_base64 for view in one.views)]
    return max(shown, key=lambda one: len({view.right for view in one.views}), default=None)
