"""COCO-Caption (val): describe the image; scored as a corpus against five people's captions.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; metrics in captions.py. All
are in percent, so CIDEr goes up to 1000.
"""

from __future__ import annotations

from functools import partial

from eyechart.core.types import Floats, Question, Score
from eyechart.tasks.captions import Cider, bleu, cider_of, rouge_l
from eyechart.tasks.prompts import DESCRIBE
from eyechart.tasks.references import references, references_json
from eyechart.tasks.sheet import Sheet, percent, percent_right
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import Row
from eyechart.tasks.tsv_task import TsvTask


class CocoCaptionRules:
    """BLEU-1..4, ROUGE-L, CIDEr."""

    name = "COCO-Caption"
    version = "1"
    headline_metric = "CIDEr"
    columns = ("answer",)
    statistics_size = 2
    official = (
        OfficialFile(
            name="COCO_VAL.tsv",
            page="VLMEval",
            md5="72a5079dead060269ac222c5aa5128af",
            rows=5000,
            images="COCO",
        ),
    )

    def question(self, row: Row) -> Question:
        return Question(
            id=row["index"],
            image=row.image,
            text=row["question"] or DESCRIBE,
            answer=references_json(row),
            category=row["category"],
            group=row["index"],
        )

    def prompt(self, question: Question, vlm_family: str) -> str:
        return question.text

    def max_new_tokens(self, question: Question) -> int:
        return 256  # some VLMs describe at length whatever they are told, and it costs them CIDEr

    def score(self, question: Question, answer: str) -> Score:
        """The caption itself; what it is worth depends on the others."""
        return Score(
            question_id=question.id, value=0.0, parsed_answer=answer, parsed=bool(answer.strip())
        )

    def summarize(self, sheet: Sheet) -> dict[str, float]:
        pairs = [
            (score.parsed_answer, tuple(references(question))) for question, score in sheet.scored
        ]
        bleus = bleu(pairs) if pairs else (0.0,) * 4
        cider = sum(numbers[0] for _, numbers in self.statistics(sheet))
        return {
            **{f"Bleu_{size}": 100 * value for size, value in enumerate(bleus, start=1)},
            "ROUGE_L": percent(sum(rouge_l(*pair) for pair in pairs), len(pairs)),
            "CIDEr": percent(cider, len(pairs)),
        }

    def statistics(self, sheet: Sheet) -> list[tuple[str, list[float]]]:
        cider = _cider(sheet)
        return [
            (question.image, [cider.score(score.parsed_answer, tuple(references(question))), 1.0])
            for question, score in sheet.scored
        ]

    def headline(self, sums: Floats) -> Floats:
        return percent_right(sums)


def _cider(sheet: Sheet) -> Cider:
    """CIDEr over the whole file's references, whatever part of it has been asked or answered."""
    return cider_of(tuple(tuple(references(question)) for question in sheet.file))


CocoCaption = partial(TsvTask, CocoCaptionRules())
