"""Arbitrary answers to the scorer of each task: it never raises, and is pure and quick."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.faults.answers import arbitrary_answer
from benchmarks.faults.trial import FaultTrial, Verdict, call, judge
from eyechart.core import plugins
from eyechart.core.types import Task
from eyechart.tasks import open_tasks
from eyechart.tasks.sources import BUILT_IN_DATA

ANSWERS = 1000  # of a try
_MOST_S = 1.0  # of CPU time for one answer


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` times a thousand answers for each task with built-in questions."""
    for name in plugins.names("eyechart.tasks"):
        if name == "OwnImages":  # it has none
            continue
        (task,) = open_tasks([name], BUILT_IN_DATA)
        for _ in range(count):
            work = partial(_scored, task, Random(chance.random()))
            yield judge(name, call(work), lambda: Verdict.right)


def _scored(task: Task, chance: Random) -> int:
    """Exit code 0 if all scores are as they have to be."""
    for _ in range(ANSWERS):
        question = chance.choice(task.questions())
        answer = arbitrary_answer(chance)
        start_s = time.process_time()
        score = task.score(question, answer)
        took_s = time.process_time() - start_s
        assert score.question_id == question.id
        assert 0 <= score.value <= 1, (score.value, answer)  # NaN is neither
        assert task.score(question, answer) == score, answer
        assert took_s < _MOST_S, (took_s, answer)
    return 0
