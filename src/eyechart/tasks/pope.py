"""POPE: is there a ... in the image? F1 of "Yes", over all answers and in each split.

Li et al., "Evaluating Object Hallucination in Large Vision-Language Models", EMNLP 2023. A row
may belong to several splits (`category` is a comma-separated list). It counts once in each of them,
and as many times in Overall.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TypeAlias

import numpy as np

from eyechart.core.types import Floats, Question, Score
from eyechart.tasks import yes_no
from eyechart.tasks.scored import ScoredQuestions, percent, ratio
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import TsvRow
from eyechart.tasks.tsv_task import TsvBenchmark, TsvTask

_SPLITS = ("random", "popular", "adversarial")
_Counted: TypeAlias = tuple[float, float, float, float]  # counts (`_counts`) and value of an answer


def _question(row: TsvRow) -> Question:
    return yes_no.question(row, group=row["index"])


def _summarize(results: ScoredQuestions) -> dict[str, float]:
    by_split: dict[str, list[_Counted]] = {split: [] for split in _split_names(results)}
    everything: list[_Counted] = []
    for question, score in results.scored:
        row = (*_counts(question, score), score.value)
        for split in _splits(question.category) or [""]:
            everything.append(row)
            by_split.setdefault(split, []).append(row)
    metrics: dict[str, float] = {}
    for split, rows in {"Overall": everything, **by_split}.items():
        if split:
            metrics |= _metrics(split, rows)
    return metrics


def _statistics(results: ScoredQuestions) -> list[tuple[str, list[float]]]:
    found = []
    for question, score in results.scored:
        counts, times = list(_counts(question, score)), len(_splits(question.category))
        found.append((question.image, [n * times for n in counts] if times > 1 else counts))
    return found


def _headline(sums: Floats) -> Floats:
    return _f1_precision_recall(sums)[0]


@lru_cache
def _splits(category: str) -> tuple[str, ...]:
    return tuple(split.strip() for split in category.split(",") if split.strip())


def _split_names(results: ScoredQuestions) -> list[str]:
    there = {split for question in results.asked for split in _splits(question.category)}
    return [split for split in _SPLITS if split in there] + sorted(there - set(_SPLITS))


def _counts(question: Question, score: Score) -> tuple[float, float, float]:
    """True positives, false positives, false negatives of one answer. Unparsed is negative."""
    truth, said = question.answer == "Yes", score.parsed_answer == "Yes"
    return float(truth and said), float(said and not truth), float(truth and not said)


def _f1_precision_recall(counts: Floats) -> tuple[Floats, Floats, Floats]:
    """(..., 3) counts -> three (...) figures in percent, 0 where undefined."""
    hit, false_alarm, miss = counts[..., 0], counts[..., 1], counts[..., 2]
    precision, recall = ratio(hit, hit + false_alarm), ratio(hit, hit + miss)
    f1 = ratio(2 * (precision * recall), precision + recall)
    return f1 * 100, precision * 100, recall * 100


def _metrics(split: str, rows: Sequence[_Counted]) -> dict[str, float]:
    sums = np.array(rows).reshape(-1, 4).sum(axis=0)
    f1, precision, recall = _f1_precision_recall(sums[:3])
    return {
        f"{split} Overall": float(f1),
        f"{split} acc": percent(float(sums[3]), len(rows)),
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
