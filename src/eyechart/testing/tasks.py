"""The conformance check for a task.

from eyechart.testing.tasks import check_task
check_task(MyTask("my.tsv"))
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from eyechart.core.identity import canonical_json
from eyechart.core.prompts import prompt_families
from eyechart.core.types import Floats, Question, Score, Task

ODD_ANSWERS = (
    "",
    " ",
    "\n\t",
    "\x00",
    "yes no",
    "(A) or (B)",
    "\u4f60\u597d",
    "\U0001f600" * 40,
    "\ud800",
    "nan",
    '"',
    "a" * 100_000,
)


def check_task(task: Task, *, images: int = 3) -> None:
    """Check a task against the protocol. Raises AssertionError with the reason.

    images: number of images to decode.

    Examples:
        >>> check_task(eyechart.open_task("POPE", data="eyechart-mini"))
    """
    questions = _check_questions(task)
    for key in list(dict.fromkeys(question.image for question in questions))[:images]:
        rgb8 = task.image(key)
        assert rgb8.dtype == np.uint8, f"image {key}: dtype {rgb8.dtype}, expected uint8"
        assert rgb8.ndim == 3, f"image {key}: shape {rgb8.shape}, expected (height, width, 3)"
        assert rgb8.shape[2] == 3, f"image {key}: shape {rgb8.shape}, expected (height, width, 3)"
    for question in questions[:20]:
        _check_prompts(task, question)
        _check_scores(task, question)
    _check_sums(task, questions)


def _check_questions(task: Task) -> Sequence[Question]:
    assert task.name, "a task needs a name"
    assert task.version, "a task needs a version, which names its data too"
    canonical_json(dict(task.options))
    questions = task.questions()
    assert len(questions) > 0, "a task needs questions"
    assert len({question.id for question in questions}) == len(questions), (
        "two questions have the same id"
    )
    assert task.questions() == questions, "questions() must give the same questions every time"
    for question in questions:
        assert question.image, f"question {question.id} has no image"
    return questions


def _check_prompts(task: Task, question: Question) -> None:
    for family in (*prompt_families(), "a family of tomorrow"):
        prompt = task.prompt(question, family)
        assert isinstance(prompt, str), f"prompt for {family} is {type(prompt).__name__}"
        assert prompt.strip(), f"prompt for {family} is empty"
    assert task.max_new_tokens(question) > 0, "max_new_tokens must be 1 or more"


def _check_scores(task: Task, question: Question) -> None:
    for answer in (*ODD_ANSWERS, question.answer):
        score = task.score(question, answer)
        assert score.question_id == question.id, f"score names question {score.question_id}"
        assert 0 <= score.value <= 1, f"value {score.value} of {answer[:40]!r} is not in 0..1"
        assert score == task.score(question, answer), f"{answer[:40]!r} gets two different scores"
        assert score.parsed or score.value == 0, (
            f"{answer[:40]!r} has a score above 0, but is not parsed"
        )


def _check_sums(task: Task, questions: Sequence[Question]) -> None:
    """Headline from sums equals headline from scores: none, all right, all wrong, every other."""
    right = [task.score(question, best_answer(question)) for question in questions]
    wrong = [task.score(question, "") for question in questions]
    for scores in ([], right, wrong, right[::2], right[::2] + wrong[1::2]):
        summary = task.summarize(scores)
        assert task.headline_metric in summary, f"summarize lacks {task.headline_metric!r}"
        for metric, value in summary.items():
            assert np.isfinite(value), f"{metric} is {value}"
        sums = task.image_sums(scores)
        assert len(sums.images) == len(set(sums.images)) == len(sums.sums), "one row for each image"
        assert len(sums.strata) in (0, len(sums.images)), "a stratum for each image, or for none"
        _check_headline(task, scores, sums.sums, summary[task.headline_metric])


def _check_headline(task: Task, scores: Sequence[Score], sums: Floats, expected: float) -> None:
    total = sums.sum(axis=0)
    alone = float(task.headline(total))
    assert np.isclose(alone, expected, rtol=1e-9, atol=1e-9), (
        f"headline of {len(scores)} scores: {alone} from image_sums, {expected} from summarize"
    )
    batch = task.headline(np.stack([total, np.zeros_like(total)]))
    assert batch.shape == (2,), f"headline of (2, k) sums has shape {batch.shape}, expected (2,)"
    assert np.isfinite(batch).all(), "headline without scores must be 0, not NaN"


def best_answer(question: Question) -> str:
    """The reference answer; the first, if there are several."""
    try:
        several = json.loads(question.answer)
    except json.JSONDecodeError:
        return question.answer
    return str(several[0]) if isinstance(several, list) and several else question.answer
