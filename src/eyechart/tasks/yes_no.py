"""Shared by POPE and MME: the answer is Yes or No, and what a VLM says is parsed as one of them."""

from __future__ import annotations

from eyechart.core.types import Question, Score
from eyechart.tasks.extraction import read_yes_no
from eyechart.tasks.table import TsvRow

# Enough for a VLM that answers after two or three sentences. VLMEvalKit allows most VLMs
# 2048 tokens or more.
MAX_NEW_TOKENS = 128


def question(row: TsvRow, group: str) -> Question:
    """A row as a question. Raises ValueError if its answer is neither `Yes` nor `No`."""
    if row["answer"] not in ("Yes", "No"):
        raise ValueError(f"answer {row['answer']!r} is neither 'Yes' nor 'No'")
    return Question(
        id=row["index"],
        image=row.image,
        text=row["question"],
        answer=row["answer"],
        category=row["category"],
        group=group,
    )


def prompt(question: Question, vlm_family: str) -> str:
    """The question as it is; the files hold complete prompts."""
    return question.text


def choices(question: Question) -> tuple[str, ...]:
    """What choice-set decoding may answer."""
    return ("Yes", "No")


def score(question: Question, answer: str) -> Score:
    """1 if the parsed answer equals the reference; neither yes nor no is wrong and not parsed."""
    parsed_answer = read_yes_no(answer)
    return Score(
        question_id=question.id,
        value=float(parsed_answer == question.answer),
        parsed_answer=parsed_answer,
        parsed=bool(parsed_answer),
    )
