"""OCRBench: reading text. An answer is right if it contains any of the references.

Liu et al., "OCRBench: On the Hidden Mystery of OCR in Large Multimodal Models", 2023. Scores are
counts of right answers; the official file has 1000 questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from eyechart.core.types import Floats, Question, Score
from eyechart.tasks.references import references, references_json
from eyechart.tasks.scored import ScoredQuestions, Statistics, right
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import TsvRow
from eyechart.tasks.tsv_task import TsvBenchmark, TsvTask

_HMER = "Handwritten Mathematical Expression Recognition"
_TOTALS = {
    "Text Recognition": (
        "Regular Text Recognition",
        "Irregular Text Recognition",
        "Artistic Text Recognition",
        "Handwriting Recognition",
        "Digit String Recognition",
        "Non-Semantic Text Recognition",
    ),
    "Scene Text-centric VQA": ("Scene Text-centric VQA",),
    "Doc-oriented VQA": ("Doc-oriented VQA",),
    "Key Information Extraction": ("Key Information Extraction",),
    _HMER: (_HMER,),
}
_CATEGORIES = frozenset(category for group in _TOTALS.values() for category in group)


def _question(row: TsvRow) -> Question:
    if row["category"] not in _CATEGORIES:
        allowed = ", ".join(sorted(_CATEGORIES))
        raise ValueError(f"category {row['category']!r} is not one of {allowed}")
    return Question(
        id=row["index"],
        image=row.image,
        text=row["question"],
        answer=references_json(row),
        category=row["category"],
        group=row["index"],
    )


def _prompt(question: Question, vlm_family: str) -> str:
    return question.text


def _score(question: Question, answer: str) -> Score:
    fold = _formula if question.category == _HMER else _plain
    parsed_answer = fold(answer)
    return Score(
        question_id=question.id,
        value=float(any(fold(text) in parsed_answer for text in references(question))),
        parsed_answer=parsed_answer,
        parsed=bool(parsed_answer),
    )


def _summarize(results: ScoredQuestions) -> dict[str, float]:
    metrics = {
        total: right(x for x in results.scored if x[0].category in categories)
        for total, categories in _TOTALS.items()
    }
    final = sum(metrics.values())
    return {**metrics, "Final Score": final, "Final Score Norm": final / 10}


def _statistics(results: ScoredQuestions) -> Statistics:
    return [(question.image, [score.value]) for question, score in results.scored]


def _strata(asked: Mapping[str, Sequence[Question]]) -> dict[str, str]:
    """Strata by number of questions, 1 to 4 or more: the headline is a count of right answers, so
    every resampling should have about as many questions."""
    return {image: str(min(len(its), 4)) for image, its in asked.items()}


def _headline(sums: Floats) -> Floats:
    return sums[..., 0]


def _plain(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")


def _label(name: str) -> str:
    return {"Final Score": "score", "Final Score Norm": "score / 10"}.get(name, name)


# Containment of a reference; formulas compared with their case and without spaces.
OcrBench = partial(
    TsvTask,
    TsvBenchmark(
        name="OCRBench",
        version="1",
        headline_metric="Final Score",
        columns=("question", "answer", "category"),
        official=(
            OfficialFile(
                name="OCRBench.tsv",
                page="VLMEval",
                md5="e953d98a987cc6e26ef717b61260b778",
                rows=1000,
                image_count=1000,
                images="OCRBench",
            ),
        ),
        question=_question,
        prompt=_prompt,
        max_new_tokens=512,  # formulas and key information are long, and some VLMs explain them
        score=_score,
        summarize=_summarize,
        label=_label,
        statistics=_statistics,
        headline=_headline,
        strata=_strata,
        statistics_size=1,
    ),
)
