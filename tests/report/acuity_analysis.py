"""SYNTHETIC: the acuity chart of a VLM that was not run, for the report's tests."""

from __future__ import annotations

import base64
from dataclasses import replace

from eyechart.analysis.result import Analysis, CellResult, Interval, SampleView, TaskInfo
from eyechart.core.images import encode_png
from eyechart.tasks.acuity import Acuity
from tests.report.synthetic_analysis import minimal_analysis

READ_PX = {"source": 7.0, "Q1": 0.0, "Q3": 30.0, "Q5": 14.0, "Q6": 9.0}  # 0: none of the sizes


def acuity_analysis() -> Analysis:
    """The smallest letters and rings over four levels of one codec, the lowest beyond the chart.
    The pictures of all levels are the uncompressed one."""
    run, task = minimal_analysis(), Acuity()
    drawn = encode_png(task.draw_sample([task.image(key) for key in task.sample_images]))
    png_base64 = base64.b64encode(drawn).decode()
    info = TaskInfo(
        name=task.name,
        headline_metric=task.headline_metric,
        questions=216,
        images=216,
        thresholds=task.thresholds,
        sample_text=task.sample_text,
    )
    cells = tuple(_with_sizes(one) for one in run.cells)
    samples = tuple(
        SampleView(
            task=one.task, codec=one.codec, level=one.level, bpp=one.bpp, png_base64=png_base64
        )
        for one in cells
    )
    return replace(run, tasks=(info,), bd=(), cells=cells, samples=samples)


def _with_sizes(cell: CellResult) -> CellResult:
    value = READ_PX[cell.level or cell.codec]
    sizes = {}
    for at, one in enumerate(Acuity().thresholds):
        sizes |= {
            one.metric: value and value + at,
            one.low: value and 0.8 * value,
            one.high: 0.0 if value == 30.0 else 1.2 * value + at,  # 30: an open end
        }
    share = Interval(value=60.0, low=55.0, high=65.0)
    return replace(
        cell, key=f"acuity-{cell.level}", task=Acuity.name, score=share, loss=None, metrics=sizes
    )
