"""Scores with their questions, and sums that all benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from eyechart.core.types import Floats, Question, Score

Scored: TypeAlias = tuple[Question, Score]
Statistics: TypeAlias = list[tuple[str, Sequence[float]]]  # (image, k numbers) pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredQuestions:
    """Questions and scores that a benchmark's metrics are computed from.

    file: all questions of the file. asked: those of this task (fewer with max_images), which define
    the names of the metrics. scored: those with a score, in file order; fewer during a run.
    """

    file: tuple[Question, ...]
    asked: tuple[Question, ...]
    scored: tuple[Scored, ...]

    def categories(self, of: Callable[[Question], str] = lambda q: q.category) -> list[str]:
        """The categories asked about, sorted."""
        return sorted({of(question) for question in self.asked} - {""})

    def whole_groups(self) -> list[list[Scored]]:
        """Groups of which every question has a score, in file order."""
        size: dict[str, int] = {}
        for question in self.asked:
            size[question.group] = size.get(question.group, 0) + 1
        groups: dict[str, list[Scored]] = {}
        for question, score in self.scored:
            groups.setdefault(question.group, []).append((question, score))
        return [members for group, members in groups.items() if len(members) == size[group]]


def percent_label(name: str) -> str:
    """The label of an accuracy, by its name in `accuracies`."""
    return "accuracy, %" if name == "Overall" else f"{name}, %"


def right(scored: Iterable[Scored]) -> float:
    """The sum of the scores' values."""
    return sum(score.value for _, score in scored)


def all_right(members: Sequence[Scored]) -> float:
    """1 if every question of a group is answered correctly, else 0."""
    return float(all(score.value == 1 for _, score in members))


def percent(part: float, whole: float) -> float:
    """100 part / whole, 0 if `whole` is 0."""
    return part / whole * 100 if whole else 0.0


def ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole elementwise, 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole != 0)


def accuracy(scored: Sequence[Scored]) -> float:
    """Share of right answers in percent."""
    return percent(right(scored), len(scored))


def accuracies(results: ScoredQuestions) -> dict[str, float]:
    """Accuracy in percent: Overall, then per category."""
    by_category: dict[str, list[Scored]] = {category: [] for category in results.categories()}
    for question, score in results.scored:
        if question.category:
            by_category[question.category].append((question, score))
    each = {category: accuracy(scored) for category, scored in by_category.items()}
    return {"Overall": accuracy(results.scored), **each}


def right_and_asked(results: ScoredQuestions) -> Statistics:
    """Per answer: its image, and (1 if right, 1)."""
    return [(question.image, [score.value, 1.0]) for question, score in results.scored]


def percent_right(sums: Floats) -> Floats:
    """(..., 2) sums of right and asked -> (...) percent."""
    return ratio(sums[..., 0], sums[..., 1]) * 100
