"""GQA (test-dev, balanced): short answers, compared as lower-case text.

Hudson and Manning, "GQA: A New Dataset for Real-World Visual Reasoning and Compositional Question
Answering", CVPR 2019. Categories are the five structural types of question.
"""

from __future__ import annotations

from functools import partial

from eyechart.core.prompts import SHORT_ANSWER
from eyechart.core.types import Question, Score
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import TsvRow
from eyechart.tasks.tsv_task import TsvBenchmark, TsvTask


def _question(row: TsvRow) -> Question:
    return Question(
        id=row["index"],
        image=row.image,
        text=row["question"],
        answer=row["answer"],
        category=row["category"],
        group=row["index"],
    )


def _prompt(question: Question, vlm_family: str) -> str:
    return f"{question.text}\n{SHORT_ANSWER}"


def _score(question: Question, answer: str) -> Score:
    parsed_answer = answer.strip().lower()
    return Score(
        question_id=question.id,
        value=float(parsed_answer == question.answer.strip().lower()),
        parsed_answer=parsed_answer,
        parsed=bool(parsed_answer),
    )


# Exact match after strip and lower-case.
Gqa = partial(
    TsvTask,
    TsvBenchmark(
        name="GQA",
        version="1",
        headline_metric="Overall",
        columns=("question", "answer", "category"),
        guess_most_frequent=True,
        official=(
            OfficialFile(
                name="GQA_TestDev_Balanced.tsv",
                page="VLMEval",
                md5="99b62f22e224d9b2f32dcbe41359d1c9",
                rows=12578,
                image_count=398,
                images="GQA_TestDev_Balanced",
            ),
        ),
        question=_question,
        prompt=_prompt,
        max_new_tokens=32,
        score=_score,
    ),
)
