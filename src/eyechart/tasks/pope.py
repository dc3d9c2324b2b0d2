"""POPE: is there a ... in the image? F1 of "Yes", over all answers and in each split.

Li et al., "Evaluating Object Hallucination in Large Vision-Language Models", EMNLP 2023. A row
may belong to several splits (`category` is a comma-separated list). It counts once in each of them,
and as many times in Overall.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache, partial

import numpy as np

from eyechart.core.types import Floats, Question
from eyechart.tasks import yes_no
from eyechart.tasks.scored import ScoredQuestions, Statistics, percent, ratio
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import TsvRow
from eyechart.tasks.tsv_task import TsvBenchmark, TsvTask

_SPLITS = ("random", "popular", "adversarial")


def _question(row: TsvRow) -> Question:
    return yes_no.question(row, group=row["index"])


def _summarize(results: ScoredQuestions) -> dict[str, float]:
    # Thousands of answers differ in these four values in a dozen ways.
    alike = Counter(
        (question.category, question.answer, score.parsed_answer, score.value)
        for question, score in results.scored
    )
    everything = np.zeros(5)
    by_split = {split: np.zeros(5) for split in _split_names(results)}
    for (category, truth, said, value), count in alike.items():
        row = count * np.array([*_counts(truth, said), value, 1])
        splits = _splits(category)
        everything += row * max(1, len(splits))
        for split in splits:
            by_split[split] += row
    sums = {"Overall": everything, **by_split}
    return {name: n for split, of in sums.items() for name, n in _metrics(split, of).items()}


def _statistics(results: ScoredQuestions) -> Statistics:
    return [
        (question.image, _statistic(question.category, question.answer, score.parsed_answer))
        for question, score in results.scored
    ]


@lru_cache
def _statistic(category: str, truth: str, said: str) -> tuple[float, ...]:
    times = max(1, len(_splits(category)))
    return tuple(times * n for n in _counts(truth, said))


def _headline(sums: Floats) -> Floats:
    return _f1_precision_recall(sums)[0]


@lru_cache
def _splits(category: str) -> tuple[str, ...]:
    return tuple(split.strip() for split in category.split(",") if split.strip())


def _split_names(results: ScoredQuestions) -> list[str]:
    categories = {question.category for question in results.asked}
    there = {split for category in categories for split in _splits(category)}
    return [split for split in _SPLITS if split in there] + sorted(there - set(_SPLITS))


def _counts(truth: str, said: str) -> tuple[float, float, float]:
    """True positives, false positives, false negatives of one answer. Unparsed is negative."""
    yes, told = truth == "Yes", said == "Yes"
    return float(yes and told), float(told and not yes), float(yes and not told)


def _f1_precision_recall(counts: Floats) -> tuple[Floats, Floats, Floats]:
    """(..., 3) counts -> three (...) figures in percent, 0 where undefined."""
    hit, false_alarm, miss = counts[..., 0], counts[..., 1], counts[..., 2]
    precision, recall = ratio(hit, hit + false_alarm), ratio(hit, hit + miss)
    f1 = ratio(2 * (precision * recall), precision + recall)
    return f1 * 100, precision * 100, recall * 100


def _metrics(split: str, sums: Floats) -> dict[str, float]:
    """sums: counts of `_counts`, of the values, and number of answers."""
    f1, precision, recall = _f1_precision_recall(sums[:3])
    return {
        f"{split} Overall": float(f1),
        f"{split} acc": percent(float(sums[3]), float(sums[4])),
        f"{split} precision": float(precision),
        f"{split} recall": float(recall),
    }


def _label(name: str) -> str:
    split, _, metric = name.rpartition(" ")
    known = {"Overall": "F1", "acc": "accuracy"}.get(metric, metric)
    return f"{known}, %" if split == "Overall" else f"{known} ({split}), %"


# Yes/no questions, scored by F1 of "Yes".
Pope = partial(
    TsvTask,
    TsvBenchmark(
        name="POPE",
        version="1",
        headline_metric="Overall Overall",
        columns=("question", "answer", "category"),
        official=(
            OfficialFile(
                name="POPE.tsv",
                page="VLMEval",
                md5="c12f5acb142f2ef1f85a26ba2fbe41d5",
                rows=5127,
                image_count=500,
                images="POPE",
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
        statistics_size=3,
    ),
)
