"""MME: two yes/no questions on each image; accuracy plus the share of images with both right.

Fu et al., "MME: A Comprehensive Evaluation Benchmark for Multimodal Large Language Models", 2023.
A category is worth up to 200 points, perception (10 categories) 2000, reasoning (4) 800.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from eyechart.core.types import Floats, Question
from eyechart.tasks import yes_no
from eyechart.tasks.scored import (
    Scored,
    ScoredQuestions,
    Statistics,
    accuracy,
    all_right,
    percent,
    ratio,
)
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import TsvRow
from eyechart.tasks.tsv_task import TsvBenchmark, TsvTask

_PERCEPTION = (
    "OCR",
    "artwork",
    "celebrity",
    "color",
    "count",
    "existence",
    "landmark",
    "position",
    "posters",
    "scene",
)
_REASONING = (
    "code_reasoning",
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
)
_PARTS = 4  # numbers of each category: right answers, answers, right pairs, pairs


def _question(row: TsvRow) -> Question:
    if row["category"] not in _PERCEPTION + _REASONING:
        allowed = ", ".join(_PERCEPTION + _REASONING)
        raise ValueError(f"category {row['category']!r} is not one of {allowed}")
    return yes_no.question(row, group=f"{row['category']}/{row['image_path'] or row.image}")


def _summarize(results: ScoredQuestions) -> dict[str, float]:
    pairs = results.whole_groups()
    points = {
        category: _points(
            [scored for scored in results.scored if scored[0].category == category],
            [pair for pair in pairs if pair[0][0].category == category],
        )
        for category in _PERCEPTION + _REASONING
    }
    there = set(results.categories())
    return {
        "perception": sum(points[category] for category in _PERCEPTION),
        "reasoning": sum(points[category] for category in _REASONING),
        **{category: value for category, value in points.items() if category in there},
    }


def _statistics(results: ScoredQuestions) -> Statistics:
    answers = [(question, [score.value, 1.0, 0.0, 0.0]) for question, score in results.scored]
    pairs = [(pair[0][0], [0.0, 0.0, all_right(pair), 1.0]) for pair in results.whole_groups()]
    return [
        (question.image, _in_place(question.category, numbers))
        for question, numbers in answers + pairs
        if question.category in _PERCEPTION
    ]


def _strata(asked: Mapping[str, Sequence[Question]]) -> dict[str, str]:
    """Strata by category: the headline is a sum over categories, and one not drawn would count 0.

    An image of several categories belongs to the one with the fewest images.
    """
    of = {
        image: {question.category for question in its} & {*_PERCEPTION}
        for image, its in asked.items()
    }
    size = Counter(category for categories in of.values() for category in categories)
    return {
        image: min(categories, key=lambda category: (size[category], category), default="")
        for image, categories in of.items()
    }


def _headline(sums: Floats) -> Floats:
    parts = sums.reshape(*sums.shape[:-1], len(_PERCEPTION), _PARTS)
    each = ratio(parts[..., 0], parts[..., 1]) + ratio(parts[..., 2], parts[..., 3])
    points: Floats = np.sum(each, axis=-1) * 100
    return points


def _points(scored: Sequence[Scored], pairs: Sequence[Sequence[Scored]]) -> float:
    return accuracy(scored) + percent(sum(all_right(pair) for pair in pairs), len(pairs))


def _in_place(category: str, numbers: list[float]) -> list[float]:
    before = _PERCEPTION.index(category) * _PARTS
    after = len(_PERCEPTION) * _PARTS - before - _PARTS
    return [0.0] * before + numbers + [0.0] * after


def _label(name: str) -> str:
    return {"perception": "perception score", "reasoning": "cognition score"}.get(name, name)


# Yes/no in pairs, summed over categories.
Mme = partial(
    TsvTask,
    TsvBenchmark(
        name="MME",
        version="1",
        headline_metric="perception",
        columns=("question", "answer", "category"),
        official=(
            OfficialFile(
                name="MME.tsv",
                page="VLMEval",
                md5="b36b43c3f09801f5d368627fb92187c3",
                rows=2374,
                image_count=1187,
                images="MME",
            ),
        ),
        question=_question,
        prompt=yes_no.prompt,
        max_new_tokens=yes_no.MAX_NEW_TOKENS,
        score=yes_no.score,
        choices=yes_no.choices,
        summarize=_summarize,
        label=_label,
        statistics=_statistics,
        headline=_headline,
        strata=_strata,
        statistics_size=_PARTS * len(_PERCEPTION),
    ),
)
