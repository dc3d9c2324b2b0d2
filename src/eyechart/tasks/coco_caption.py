"""COCO-Caption (val): describe the image; scored as a corpus against five reference captions.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; metrics in captions.py. All
are in percent, so CIDEr goes up to 1000.
"""

from __future__ import annotations

from functools import partial

from eyechart.core.types import Question, Score
from eyechart.tasks.captions import Cider, bleu, cider_of, rouge_l
from eyechart.tasks.references import references, references_json
from eyechart.tasks.scored import ScoredQuestions, Statistics, percent
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import TsvRow
from eyechart.tasks.tsv_task import TsvBenchmark, TsvTask

DESCRIBE = (
    "Please describe this image in general. Directly provide the description, "
    'do not include prefix like "This image depicts". '
)


def _question(row: TsvRow) -> Question:
    return Question(
        id=row["index"],
        image=row.image,
        text=row["question"] or DESCRIBE,
        answer=references_json(row),
        category=row["category"],
        group=row["index"],
    )


def _prompt(question: Question, vlm_family: str) -> str:
    return question.text


def _score(question: Question, answer: str) -> Score:
    """The caption, with value 0: captions are scored together as a corpus."""
    return Score(
        question_id=question.id, value=0.0, parsed_answer=answer, parsed=bool(answer.strip())
    )


def _summarize(results: ScoredQuestions) -> dict[str, float]:
    pairs = [
        (score.parsed_answer, tuple(references(question))) for question, score in results.scored
    ]
    bleus = bleu(pairs) if pairs else (0.0,) * 4
    cider = sum(numbers[0] for _, numbers in _statistics(results))
    return {
        **{f"Bleu_{size}": 100 * value for size, value in enumerate(bleus, start=1)},
        "ROUGE_L": percent(sum(rouge_l(*pair) for pair in pairs), len(pairs)),
        "CIDEr": percent(cider, len(pairs)),
    }


def _statistics(results: ScoredQuestions) -> Statistics:
    cider = _cider(results)
    return [
        (question.image, [cider.score(score.parsed_answer, tuple(references(question))), 1.0])
        for question, score in results.scored
    ]


def _cider(results: ScoredQuestions) -> Cider:
    """CIDEr with the references of the whole file, also if only a part of it is asked."""
    return cider_of(tuple(tuple(references(question)) for question in results.file))


def _label(name: str) -> str:
    return name.replace("Bleu_", "BLEU-").replace("_", "-")


# BLEU-1..4, ROUGE-L, CIDEr.
CocoCaption = partial(
    TsvTask,
    TsvBenchmark(
        name="COCO-Caption",
        version="1",
        headline_metric="CIDEr",
        columns=("answer",),
        official=(
            OfficialFile(
                name="COCO_VAL.tsv",
                page="VLMEval",
                md5="72a5079dead060269ac222c5aa5128af",
                rows=5000,
                image_count=5000,
                images="COCO",
            ),
        ),
        question=_question,
        prompt=_prompt,
        max_new_tokens=256,  # some VLMs write long captions whatever the prompt
        score=_score,
        summarize=_summarize,
        label=_label,
        statistics=_statistics,
    ),
)
