"""MMBench (dev, English): every question asked with its options in every rotation.

Liu et al., "MMBench: Is Your Multi-modal Model an All-around Player?", ECCV 2024. The rotations
of question q have the indices q, q + 1000000, q + 2000000, ...; a question is right only
if all its rotations are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from eyechart.core.prompts import multiple_choice
from eyechart.core.types import Question
from eyechart.tasks import choice
from eyechart.tasks.scored import Scored, ScoredQuestions, Statistics, all_right, percent
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import TsvRow
from eyechart.tasks.tsv_task import TsvBenchmark, TsvTask

_ROTATION = 1_000_000
_ABILITIES = {
    "attribute_reasoning": "AR",
    "coarse_perception": "CP",
    "finegrained_perception (cross-instance)": "FP-C",
    "finegrained_perception (instance-level)": "FP-S",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
}


def _question(row: TsvRow) -> Question:
    if not row["index"].isdecimal():
        raise ValueError(f"index {row['index']!r} is not a whole number")
    return choice.question(row, group=str(int(row["index"]) % _ROTATION))


def _summarize(results: ScoredQuestions) -> dict[str, float]:
    groups = results.whole_groups()
    metrics = {"Overall": _accuracy(groups)}
    for ability in results.categories(lambda question: question.l2_category):
        members = [group for group in groups if _main(group).l2_category == ability]
        metrics[_ABILITIES.get(ability, ability)] = _accuracy(members)
    for category in results.categories():
        members = [group for group in groups if _main(group).category == category]
        metrics[category] = _accuracy(members)
    return metrics


def _statistics(results: ScoredQuestions) -> Statistics:
    return [(_main(group).image, [all_right(group), 1.0]) for group in results.whole_groups()]


def _main(group: Sequence[Scored]) -> Question:
    """The unrotated question of a group, whose category the group has."""
    return min((question for question, _ in group), key=lambda question: int(question.id))


def _accuracy(groups: Sequence[Sequence[Scored]]) -> float:
    return percent(sum(all_right(group) for group in groups), len(groups))


# Circular evaluation: a group of rotations is right only if all of them are.
MmBench = partial(
    TsvTask,
    TsvBenchmark(
        name="MMBench",
        version="1",
        headline_metric="Overall",
        columns=("question", "answer", "category", "l2-category", "A", "B"),
        official=(
            OfficialFile(
                name="MMBench_DEV_EN.tsv",
                page="benchmarks/MMBench",
                md5="b6caf1133a01c6bb705cf753bb527ed8",
                rows=4329,
                image_count=1164,
                images="MMBench",
            ),
            OfficialFile(
                name="MMBench_DEV_EN_V11.tsv",
                page="benchmarks/MMBench",
                md5="30c05be8f2f347a50be25aa067248184",
                images="MMBench_V11",
            ),
        ),
        question=_question,
        prompt=multiple_choice,
        max_new_tokens=choice.MAX_NEW_TOKENS,
        score=choice.score,
        choices=choice.choices,
        summarize=_summarize,
        statistics=_statistics,
    ),
)
