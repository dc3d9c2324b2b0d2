"""What the answers of a check are compared with, and how far its VLM gives them uncompressed.

    DIR/questions.csv             all questions with their references
    DIR/reference/                a run with the questions of the user, about uncompressed images
    DIR/reference-probes/         the same with the yes/no probes

A question that has no answer in the files of the two folders has what the VLM said there as its
reference. `eyechart check` makes them (`runner.own_check`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TypeAlias

from eyechart.core.errors import InputError
from eyechart.core.files import is_file
from eyechart.core.types import UNCOMPRESSED, Component, Question
from eyechart.store import Store
from eyechart.tasks.matching import agreement, rule_of
from eyechart.tasks.own_images import FILE, read_questions

REFERENCE, PROBES = "reference", "reference-probes"

_ImageAndText: TypeAlias = tuple[str, str]  # image and text: what a question is about, in any file


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAnswers:
    """Answers of one VLM about the uncompressed images of a check.

    questions: how many there are, and of how many an answer was known. right: mean score of the
    known ones, 0..1. twice: how many were asked twice, and repeated: how far the second answers
    agree with the first, 0..1. None: there are no such questions. rules: how answers are compared,
    by the question's id.
    """

    questions: int
    known: int
    right: float | None
    twice: int
    repeated: float | None
    rules: Mapping[str, str] = field(default_factory=dict)

    @property
    def rule_counts(self) -> dict[str, int]:
        """Of how many questions the answers are compared by each rule, in the order of the file."""
        return dict(Counter(self.rules.values()))


def own_answers(run_dir: Path, vlm: Component) -> OwnAnswers | None:
    """Those of a VLM; None for a run directory of no check. Raises StoreError."""
    asked = _questions(run_dir)
    if not asked:
        return None
    unknown: set[_ImageAndText] = set()
    first: dict[_ImageAndText, str] = {}
    for folder in (run_dir / REFERENCE, run_dir / PROBES):
        own = _questions(folder)
        unknown |= {about(one) for one in own if not one.answer}
        first |= {about(one): said for one, said, _ in _answers(folder, vlm, own)}
    values: list[float] = []
    repeated: list[float] = []
    for one, said, value in _answers(run_dir, vlm, asked):
        if about(one) not in unknown:
            values.append(value)
        if before := first.get(about(one), "").strip():
            repeated.append(agreement(before, said, one.text))
    return OwnAnswers(
        questions=len(asked),
        known=sum(about(one) not in unknown for one in asked),
        right=fmean(values) if values else None,
        twice=len(repeated),
        repeated=fmean(repeated) if repeated else None,
        rules={one.id: rule_of(one.answer, one.text) for one in asked},
    )


def about(question: Question) -> _ImageAndText:
    """What a question is about, in the file of the user's questions as in that of the run."""
    return question.image, question.text


def _questions(folder: Path) -> list[Question]:
    try:
        return read_questions(folder / FILE) if is_file(folder / FILE) else []
    except InputError:  # no file of a check
        return []


def _answers(
    folder: Path, vlm: Component, asked: Sequence[Question]
) -> list[tuple[Question, str, float]]:
    """Questions about the uncompressed images, with the VLM's answers and their scores."""
    by_id = {question.id: question for question in asked}
    return [
        (by_id[record.question_id], record.answer, record.value)
        for cell in Store(folder).cells(skip_empty=True)
        if cell.cell.codec.name == UNCOMPRESSED and cell.cell.vlm == vlm
        for record in cell.records()
        if record.question_id in by_id
    ]
