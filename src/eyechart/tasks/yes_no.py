"""What POPE and MME share: a reference that is Yes or No, and an answer read as one of them."""

from __future__ import annotations

from eyechart.core.types import Question, Score
from eyechart.tasks.extraction import read_yes_no
from eyechart.tasks.table import TsvRow

# A VLM that comes to the word after two or three sentences is heard; one that has said it stops by
# itself. VLMEvalKit lets most VLMs go on for 2048 tokens or more.
MAX_NEW_TOKENS = 128


def reference(row: TsvRow) -> str:
    """The row's answer. Raises ValueError where it is not spelled as the scorer compares it."""
    if row["answer"] not in ("Yes", "No"):
        raise ValueError(f"answer {row['answer']!r} is neither 'Yes' nor 'No'")
    return row["answer"]


def choices(question: Question) -> tuple[str, ...]:
    """What choice-set decoding may answer."""
    return ("Yes", "No")


def score(question: Question, answer: str) -> Score:
    """1 where the answer reads as the reference; neither yes nor no is wrong and unparsed."""
    parsed_answer = read_yes_no(answer)
    return Score(
        question_id=question.id,
        value=float(parsed_answer == question.answer),
        parsed_answer=parsed_answer,
        parsed=bool(parsed_answer),
    )
