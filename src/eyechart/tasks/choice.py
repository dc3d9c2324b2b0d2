"""Shared by MMBench and SEEDBench: lettered options, and one letter parsed from the answer."""

from __future__ import annotations

import string

from eyechart.core.types import Question, Score
from eyechart.tasks.extraction import read_option
from eyechart.tasks.table import TsvRow

# Enough for reasoning before the letter; short answers cost no more (see yes_no).
MAX_NEW_TOKENS = 512
# VLMEvalKit reads tables with pandas, for which these cells are empty. (Options with such a text
# are kept: people may choose "None".)
_NO_HINT = frozenset({"None", "NA", "N/A", "nan", "NaN", "null", "NULL"})


def question(row: TsvRow, group: str) -> Question:
    """A row with option texts in the columns A, B, ... Raises ValueError (answer no letter)."""
    options = tuple((letter, row[letter]) for letter in string.ascii_uppercase if row[letter])
    if len(row["answer"]) != 1 or row["answer"] not in string.ascii_uppercase:
        raise ValueError(f"answer {row['answer']!r} is not an option letter, A to Z")
    return Question(
        id=row["index"],
        image=row.image,
        text=row["question"],
        answer=row["answer"],
        category=row["category"],
        l2_category=row["l2-category"],
        group=group,
        options=options,
        hint="" if row["hint"] in _NO_HINT else row["hint"],
    )


def choices(question: Question) -> tuple[str, ...]:
    """The allowed answers in choice-set decoding: the letters of the question's options."""
    return tuple(letter for letter, _ in question.options)


def score(question: Question, answer: str) -> Score:
    """1 if the parsed letter equals the reference."""
    parsed_answer = read_option(answer, question.options)
    return Score(
        question_id=question.id,
        value=float(parsed_answer == question.answer),
        parsed_answer=parsed_answer,
        parsed=bool(parsed_answer),
    )
