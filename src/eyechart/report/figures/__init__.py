"""The paper's figures from a run's analysis, as vector files with their numbers as CSV.

    analysis -> rows (the numbers) -> CSV
             -> panels             -> SVG, PDF or PNG

A figure is one entry of `FIGURES` and a file of this package. Codecs have the same colour and
marker in all figures (`report.style`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyechart.analysis.result import Analysis
from eyechart.core.errors import InputError
from eyechart.core.files import check_out, csv_text
from eyechart.report.figures.acuity import acuity_rows, draw_acuity, lacks_acuity
from eyechart.report.figures.bars import bar_rows, draw_bars
from eyechart.report.figures.correlations import (
    correlation_rows,
    draw_correlations,
    lacks_correlations,
)
from eyechart.report.figures.examples import (
    adapter_example_rows,
    draw_example,
    example_rows,
    lacks_examples,
)
from eyechart.report.figures.radars import (
    codec_score_rows,
    draw_codec_scores,
    draw_radar,
    draw_uncompressed,
    radar_rows,
    uncompressed_rows,
)
from eyechart.report.figures.rate_curves import curve_rows, draw_curves
from eyechart.report.figures.scaling import (
    draw_drops,
    draw_sizes,
    drop_rows,
    lacks_sizes,
    size_rows,
)
from eyechart.report.figures.shared import (
    MM_PER_INCH,
    CurveName,
    Row,
    gaps_bd,
    gaps_cells,
    lacks_bd,
    lacks_tasks,
    listed,
    no_gaps,
)
from eyechart.report.plots import check_plot, save_plot
from eyechart.store.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

COLUMN_MM = 88.0  # one column of a two-column paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure. names: the paper's numbers and a word. rows: its numbers, none if the run lacks
    them. draw: draws an analysis that has rows. needs: what a run must have. lacks: what of it this
    run lacks. gaps: what is missing in a figure that can be drawn."""

    names: tuple[str, ...]
    title: str
    needs: str
    rows: Callable[[Analysis], list[Row]]
    draw: Callable[[Canvas, Analysis, float], None]
    lacks: Callable[[Analysis], str]
    gaps: Callable[[Analysis], list[CurveName]] = no_gaps


def figure_named(name: str) -> Figure:
    """The figure with this number or word. Raises InputError."""
    for figure in FIGURES:
        if name.lower() in figure.names:
            return figure
    known = ", ".join(
        f"{figure.names[0]} ({figure.names[-1]})" if len(figure.names) > 1 else figure.names[0]
        for figure in FIGURES
    )
    raise InputError(f"no figure {name!r}; known: {known}")


def check_figure(name: str, path: Path, width_mm: float = COLUMN_MM) -> Figure:
    """The figure of this name, after a check that it can be drawn into files at this place.

    Raises:
        InputError: no such figure; not a file name of a plot; a file that cannot be written; a
            width that no figure fits. PluginError: no matplotlib.
    """
    figure = figure_named(name)
    check_plot(path)
    for file in (path, path.with_suffix(".csv")):
        check_out(file)
    if not 40 <= width_mm <= 1000:
        raise InputError(f"width {width_mm:g} mm; allowed: 40 to 1000")
    return figure


def write_figure(
    analysis: Analysis,
    name: str,
    path: Path,
    *,
    width_mm: float = COLUMN_MM,
    vlm: str | None = None,
    task: str | None = None,
) -> tuple[Path, Path]:
    """Draw a figure; -> the file, and the CSV with its numbers beside it.

    width_mm: of the file. vlm, task: show only this one.

    Raises:
        InputError, PluginError: as `check_figure`; no such VLM or task; the run lacks what it
            shows. StoreError: a file cannot be written.
    """
    figure = check_figure(name, path, width_mm)
    chosen = _only(analysis, vlm, task)
    rows = figure.rows(chosen)
    if not rows:
        raise InputError(f"no figure {name}: it needs {figure.needs}; {figure.lacks(chosen)}")
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context(
        {"font.size": 7, "axes.titlesize": 7, "axes.linewidth": 0.6, "lines.linewidth": 1.0}
    ):
        canvas = Canvas(layout="constrained")
        figure.draw(canvas, chosen, width_mm / MM_PER_INCH)
        save_plot(canvas, path)
    numbers = path.with_suffix(".csv")
    write_atomic(numbers, _csv(rows).encode())
    return path, numbers


def figure_gaps(
    analysis: Analysis, name: str, *, vlm: str | None = None, task: str | None = None
) -> str:
    """Which cells a figure that can be drawn lacks, as in `vvc of mini on POPE`; "" if none.

    vlm, task: as for `write_figure`. Raises InputError.
    """
    gaps = figure_named(name).gaps(_only(analysis, None, None))
    return listed(
        [
            f"{codec} of {one} on {asked}"
            for codec, one, asked in gaps
            if vlm in (None, one) and task in (None, asked)
        ]
    )


def _only(analysis: Analysis, vlm: str | None, task: str | None) -> Analysis:
    """The part of one VLM or task. Answers from choice sets are another protocol and left out."""
    cells = [cell for cell in analysis.cells if not cell.choices and cell.answered]
    for kind, wanted in (("vlm", vlm), ("task", task)):
        there = dict.fromkeys(getattr(cell, kind) for cell in cells)
        if wanted is not None and wanted not in there:
            raise InputError(f"no {kind} {wanted!r} in this run; there: {', '.join(there)}")

    def keep(one: Any) -> bool:
        return (vlm is None or one.vlm == vlm) and (task is None or one.task == task)

    vlms = {cell.vlm for cell in cells}
    return replace(
        analysis,
        cells=tuple(filter(keep, cells)),
        bd=tuple(bd for bd in analysis.bd if bd.vlm in vlms and keep(bd)),
        scaling=tuple(
            one
            for one in analysis.scaling
            if one.vlms[0] in vlms and vlm in (None, *one.vlms) and task in (None, one.task)
        ),
        examples=tuple(one for one in analysis.examples if one.vlm in vlms and keep(one)),
        correlations=tuple(one for one in analysis.correlations if keep(one)),
    )


def _csv(rows: Sequence[Row]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(
            [csv_text(value) if isinstance(value, str) else value for value in row.values()]
        )
    return buffer.getvalue()


FIGURES = (
    Figure(
        names=("1", "bars"),
        title="BD-Metric over tasks and codecs, without and with an adapter",
        needs="the uncompressed image and a codec at two levels",
        rows=bar_rows,
        draw=draw_bars,
        lacks=lacks_bd,
        gaps=gaps_bd,
    ),
    Figure(
        names=("2", "example"),
        title="an image under each codec, with the answers",
        needs="a question that is answered right on the uncompressed image and wrong under a codec",
        rows=example_rows,
        draw=draw_example(adapters=False),
        lacks=lacks_examples,
    ),
    Figure(
        names=("3a", "radar-vlms"),
        title="BD-Metric: codecs as axes, VLMs as shapes, for each task",
        needs="the uncompressed image and three codecs at two levels each",
        rows=radar_rows,
        draw=draw_radar("task", "vlm"),
        lacks=lacks_bd,
        gaps=gaps_bd,
    ),
    Figure(
        names=("3b", "radar-tasks"),
        title="BD-Metric: codecs as axes, tasks as shapes, for each VLM",
        needs="the uncompressed image and three codecs at two levels each",
        rows=radar_rows,
        draw=draw_radar("vlm", "task"),
        lacks=lacks_bd,
        gaps=gaps_bd,
    ),
    Figure(
        names=("4", "7", "9", *map(str, range(11, 20)), "23", "curves"),
        title="rate-metric curves",
        needs="a codec",
        rows=curve_rows,
        draw=draw_curves,
        lacks=lacks_bd,
        gaps=gaps_cells,
    ),
    Figure(
        names=("5", "21", "22", "scaling"),
        title="drop against uncompressed over the rate, for the sizes of a VLM",
        needs="a VLM in two known sizes, with the uncompressed image and a codec",
        rows=drop_rows,
        draw=draw_drops,
        lacks=lacks_sizes,
    ),
    Figure(
        names=("5b", "scaling-size"),
        title="mean drop against uncompressed over the size of a VLM, for each codec",
        needs="a VLM in two known sizes, with the uncompressed image and a codec",
        rows=size_rows,
        draw=draw_sizes,
        lacks=lacks_sizes,
    ),
    Figure(
        names=("6", "correlation"),
        title="correlation of quality metrics with the scores of tasks",
        needs="quality values of two images or more at three levels of codecs",
        rows=correlation_rows,
        draw=draw_correlations,
        lacks=lacks_correlations,
    ),
    Figure(
        names=("8", "example-adapter"),
        title="an image under each codec, with the answers without and with an adapter",
        needs="an adapter, and a question that is answered right on the uncompressed image and "
        "wrong under a codec",
        rows=adapter_example_rows,
        draw=draw_example(adapters=True),
        lacks=lacks_examples,
    ),
    Figure(
        names=("10", "uncompressed"),
        title="uncompressed scores of the VLMs",
        needs="the uncompressed image on three tasks",
        rows=uncompressed_rows,
        draw=draw_uncompressed,
        lacks=lacks_tasks,
    ),
    Figure(
        names=("20", "radar-codecs"),
        title="scores of the VLMs under each codec: tasks as axes, VLMs as shapes",
        needs="a codec and the uncompressed image on three tasks",
        rows=codec_score_rows,
        draw=draw_codec_scores,
        lacks=lacks_tasks,
        gaps=gaps_bd,
    ),
    Figure(
        names=("acuity",),
        title="smallest letters and rings that are read over the rate",
        needs="the task Acuity, with a codec, and a VLM that reads its large signs",
        rows=acuity_rows,
        draw=draw_acuity,
        lacks=lacks_acuity,
    ),
)
