"""The conformance check finds what is wrong with a task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from eyechart.core.types import Score
from eyechart.testing.tasks import check_task
from tests.tasks.seven import GQA

MEMBERS = (
    *("name", "version", "options", "headline_metric", "questions", "image", "prompt"),
    *("max_new_tokens", "score", "summarize", "image_sums", "headline"),
)


def wrong_score(question: Any, answer: str) -> Score:
    return Score(question_id=question.id, value=2.0, parsed_answer=answer, parsed=True)


def unparsed_but_right(question: Any, answer: str) -> Score:
    return Score(question_id=question.id, value=1.0, parsed_answer="", parsed=False)


@pytest.mark.parametrize(
    ("member", "damage", "message"),
    [
        ("version", lambda _: "", "a task needs a version"),
        ("questions", lambda real: lambda: real()[:0], "a task needs questions"),
        ("questions", lambda real: lambda: real() * 2, "two questions have the same id"),
        ("image", lambda _: lambda key: np.zeros((2, 2), np.uint8), r"expected \(height, width"),
        ("prompt", lambda _: lambda question, family: "", "is empty"),
        ("max_new_tokens", lambda _: lambda question: 0, "max_new_tokens"),
        ("score", lambda _: wrong_score, "is not in 0..1"),
        ("score", lambda _: unparsed_but_right, "has a score above 0, but is not parsed"),
        ("summarize", lambda _: lambda scores: {"other": 0.0}, "summarize lacks 'Overall'"),
        ("summarize", lambda real: lambda s: real(s) | {"x": np.nan}, "x is nan"),
        ("headline", lambda real: lambda sums: real(sums) + 1, "from image_sums"),
        ("headline", lambda real: lambda sums: real(sums).sum(), "has shape"),
    ],
)
def test_a_wrong_member_is_named(
    tmp_path: Path, member: str, damage: Callable[[Any], Any], message: str
) -> None:
    task = GQA.open(tmp_path)
    changed = SimpleNamespace(**{name: getattr(task, name) for name in MEMBERS})
    setattr(changed, member, damage(getattr(task, member)))
    with pytest.raises(AssertionError, match=message):
        check_task(changed)
