"""Arbitrary answers to the scorer of each task: it never raises, and is pure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.faults.answers import arbitrary_answer
from benchmarks.faults.trial import FaultTrial, Verdict, call, judge
from eyechart.core import plugins
from eyechart.core.built_in import BUILT_IN_DATA
from eyechart.core.types import Question, Task
from eyechart.tasks import open_tasks
from eyechart.tasks.own_images import write_questions

ANSWERS = 1000  # of a try
_SLOWEST = "slowest, s: "
_LONG_REFERENCE = "A man in a dark coat crosses a wet street beside two parked cars and a red bus."


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` times a thousand answers for each task; prints each task's slowest score."""
    for name in plugins.names("eyechart.tasks"):
        data = BUILT_IN_DATA
        if name == "OwnImages":  # has no built-in questions
            data = str(folder / "questions.csv")
            Path(data).write_bytes(write_questions(_own_questions()))
        (task,) = open_tasks([name], data)
        slowest_s = 0.0
        for _ in range(count):
            work = partial(_scored, task, Random(chance.random()))
            ended = call(work)
            slowest_s = max(slowest_s, _slowest_s(ended.said))
            yield judge(name, ended, lambda: Verdict.right)
        print(f"{name}: slowest score {1000 * slowest_s:.1f} ms of CPU time", flush=True)


def _scored(task: Task, chance: Random) -> int:
    """Exit code 0 if all scores are as they have to be. Prints the CPU time of the slowest."""
    slowest_s = 0.0
    for _ in range(ANSWERS):
        question = chance.choice(task.questions())
        answer = arbitrary_answer(chance)
        start_s = time.process_time()
        score = task.score(question, answer)
        slowest_s = max(slowest_s, time.process_time() - start_s)
        assert score.question_id == question.id
        assert 0 <= score.value <= 1, (score.value, answer)  # NaN is neither
        assert task.score(question, answer) == score, answer
    print(f"{_SLOWEST}{slowest_s}")
    return 0


def _slowest_s(said: str) -> float:
    """What `_scored` has printed; 0 if it has not come to that."""
    found = [line for line in said.splitlines() if line.startswith(_SLOWEST)]
    return float(found[-1].removeprefix(_SLOWEST)) if found else 0.0


def _own_questions() -> list[Question]:
    """Questions whose reference is compared in each of the ways, and one without a reference."""
    references = ("yes", "No.", "12", "-3.5", "a red car", "STOP", "ﬁ ß İ", "", _LONG_REFERENCE)
    return [
        Question(id=str(index), image="0.png", text="What is it?", answer=reference)
        for index, reference in enumerate(references)
    ]
