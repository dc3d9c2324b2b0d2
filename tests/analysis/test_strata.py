"""Intervals of the seven benchmarks' headlines: metrics that add up parts are not drawn low."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyechart.analysis.bootstrap import interval, resample
from eyechart.analysis.measure import Measured, measure
from eyechart.analysis.sums import cell_sums
from eyechart.core.records import Record
from eyechart.core.types import Task, component_of
from eyechart.tasks import open_tasks
from eyechart.testing.tasks import best_answer
from tests.analysis import toy

SUMS = ("MME", "OCRBench")  # of categories, and of right answers
RATIOS = ("POPE", "GQA", "MMBench", "SEEDBench")


def answered(name: str, *, every: int, wrong_every: int = 0) -> tuple[Task, list[Record]]:
    """The chart's task, one image in `every` answered rightly, but for one answer in so many."""
    (task,) = open_tasks([name], data="eyechart-mini")
    images = list(dict.fromkeys(question.image for question in task.questions()))[::every]
    asked = [question for question in task.questions() if question.image in images]
    records = []
    for n, question in enumerate(asked):
        wrong = wrong_every and n % wrong_every == 0
        score = task.score(question, "" if wrong else best_answer(question))
        records.append(
            Record(
                question_id=question.id,
                image=question.image,
                answer="",
                value=score.value,
                parsed_answer=score.parsed_answer,
                parsed=score.parsed,
                payload_bytes=9,
                height_px=8,
                width_px=8,
            )
        )
    return task, records


def measured(task: Task, records: list[Record], samples: int = 400) -> Measured:
    images = sorted({record.image for record in records})
    sums = cell_sums(task, records)
    strata = (
        dict(zip(sums.statistics.images, sums.statistics.strata, strict=True))
        if sums.statistics.strata
        else None
    )
    drawn = resample(images, samples=samples, seed=0, strata=strata)
    cell = replace(toy.cell(), task=component_of(task))
    return measure(task, toy.data_of(cell, records), sums, drawn)


@pytest.mark.parametrize("name", SUMS + RATIOS)
def test_where_every_answer_is_right_no_resampling_scores_less(name: str) -> None:
    found = measured(*answered(name, every=4))
    spread = interval(found.score, found.score_draws)
    assert spread.low == pytest.approx(found.score)
    assert spread.high == pytest.approx(found.score)


@pytest.mark.parametrize("name", SUMS + RATIOS)
def test_resamplings_scatter_around_the_score(name: str) -> None:
    found = measured(*answered(name, every=1, wrong_every=4))
    spread = interval(found.score, found.score_draws)
    assert spread.low < found.score < spread.high
    error = found.score_draws.std() / np.sqrt(len(found.score_draws))
    assert found.score_draws.mean() == pytest.approx(found.score, abs=5 * error)
