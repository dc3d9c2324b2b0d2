"""Shared by COCO-Caption and OCRBench: several references in one cell, written as a list."""

from __future__ import annotations

import json

from eyechart.core.types import Question
from eyechart.tasks.table import TsvRow, text_list


def references_json(row: TsvRow) -> str:
    """The row's answers as a JSON list. Raises ValueError if the cell is not a list of texts."""
    texts = text_list(row["answer"])
    if not texts:
        raise ValueError(f"answer {row['answer'][:60]!r} is not a list of references, ['...']")
    return json.dumps(texts, ensure_ascii=False)


def references(question: Question) -> list[str]:
    """A question's references."""
    texts: list[str] = json.loads(question.answer)
    return texts
