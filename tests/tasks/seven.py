"""One small file for each of the seven tasks, with scores worked out by hand.

The answers of each table include all cases that scorers distinguish: right, wrong, unparsed,
several references, rows in several splits, groups that are partly right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from eyechart.core.types import Score
from eyechart.tasks.coco_caption import CocoCaption
from eyechart.tasks.gqa import Gqa
from eyechart.tasks.mmbench import MmBench
from eyechart.tasks.mme import Mme
from eyechart.tasks.ocrbench import OcrBench
from eyechart.tasks.pope import Pope
from eyechart.tasks.seedbench import SeedBench
from eyechart.tasks.tsv_task import TsvTask
from tests.tasks.tsv_files import png_base64, write_tsv

P0, P1, P2 = (png_base64(seed) for seed in range(3))


@dataclass(frozen=True, repr=False)  # the images would fill the screen
class Case:
    """A file, answers, and their expected scores."""

    task: Callable[..., TsvTask]
    file: str
    columns: str
    rows: tuple[tuple[object, ...], ...]
    answers: Mapping[str, str]
    metrics: Mapping[str, float]
    unparsed: tuple[str, ...] = ()

    def open(self, folder: Path, **options: int) -> TsvTask:
        """The task over the case's file, written into a folder."""
        names = self.columns.split()
        rows = [dict(zip(names, row, strict=False)) for row in self.rows]
        write_tsv(folder / self.file, [dict.fromkeys(names, "") | rows[0], *rows[1:]])
        return self.task(str(folder), **options)

    def scores(self, task: TsvTask) -> list[Score]:
        """Scores of the answers, in file order."""
        return [
            task.score(question, self.answers[question.id])
            for question in task.questions()
            if question.id in self.answers
        ]


# random:  1 hit, 2 miss, 5 correct denial     popular: 1 hit, 2 miss, 3 false alarm
# adversarial: 1 hit, 4 unparsed No (counts as a denial in F1, as wrong in accuracy)
POPE = Case(
    task=Pope,
    file="POPE.tsv",
    columns="index image question answer category",
    rows=(
        (1, P0, "cat?", "Yes", "random,popular,adversarial"),
        (2, "1", "dog?", "Yes", "random,popular"),
        (3, "1", "car?", "No", "popular"),
        (4, P1, "cup?", "No", "adversarial"),
        (5, "4", "bus?", "No", "random"),
    ),
    answers={"1": "Yes, there is.", "2": "No", "3": "yes", "4": "Maybe", "5": "no."},
    metrics={
        # exploded: 3 hits, 1 false alarm, 2 misses, 2 denials of 8; accuracy (3 + 1) / 8
        "Overall Overall": 100 * 2 * 0.75 * 0.6 / 1.35,
        "Overall acc": 50.0,
        "Overall precision": 75.0,
        "Overall recall": 60.0,
        "random Overall": 100 * 2 * 1 * 0.5 / 1.5,
        "random acc": 200 / 3,
        "random precision": 100.0,
        "random recall": 50.0,
        "popular Overall": 50.0,
        "popular acc": 100 / 3,
        "popular precision": 50.0,
        "popular recall": 50.0,
        "adversarial Overall": 100.0,
        "adversarial acc": 50.0,
        "adversarial precision": 100.0,
        "adversarial recall": 100.0,
    },
    unparsed=("4",),
)

GQA = Case(
    task=Gqa,
    file="GQA_TestDev_Balanced.tsv",
    columns="index image question answer category",
    rows=(
        (1, P0, "side?", "left", "choose"),
        (2, "1", "same?", "yes", "compare"),
        (3, P1, "both?", "no", "logical"),
        (4, "3", "what?", "None", "query"),
        (5, "3", "is it?", "yes", "verify"),
    ),
    answers={"1": " Left\n", "2": "yes.", "3": "", "4": "none", "5": "YES"},
    metrics={
        "Overall": 60.0,
        "choose": 100.0,
        "compare": 0.0,
        "logical": 0.0,
        "query": 100.0,
        "verify": 100.0,
    },
    unparsed=("3",),
)

# BLEU: 5 words said, all in the references; closest lengths 3 and 2: no brevity penalty.
# 2-grams: 3 possible, all right; 3-grams 1 of 1; no 4-grams: (1 * 1 * 1 * 1e-15 / 1e-9) ^ 1/4.
# ROUGE-L is 1 for both. CIDEr with 2 images: each n-gram stands in one image, so each weighs
# log 2 and both captions equal one reference; image 1 has n = 1..3 of 4, image 2 n = 1..2 of 4.
COCO = Case(
    task=CocoCaption,
    file="COCO_VAL.tsv",
    columns="index image answer",
    rows=((1, P0, "['a red cat']"), (2, P1, "['two dogs']")),
    answers={"1": "a red cat", "2": "two dogs"},
    metrics={
        "Bleu_1": 100.0,
        "Bleu_2": 100.0,
        "Bleu_3": 100.0,
        "Bleu_4": 100 * 1e-6**0.25,
        "ROUGE_L": 100.0,
        "CIDEr": 100 * (10 * 3 / 4 + 10 * 2 / 4) / 2,
    },
)

OCR = Case(
    task=OcrBench,
    file="OCRBench.tsv",
    columns="index image question answer category",
    rows=(
        (1, P0, "read", "['CENTRE']", "Regular Text Recognition"),
        (2, "1", "read", "['Hello\\nWorld', 'bye']", "Artistic Text Recognition"),
        (3, "1", "read", "['12']", "Digit String Recognition"),
        (4, P1, "what?", '["it\'s", "its"]', "Scene Text-centric VQA"),
        (5, "4", "what?", "['10 %']", "Doc-oriented VQA"),
        (6, "4", "what?", "['10 %']", "Key Information Extraction"),
        (7, P2, "formula", "['x ^ { 2 }']", "Handwritten Mathematical Expression Recognition"),
        (8, "7", "formula", "['x ^ { 2 }']", "Handwritten Mathematical Expression Recognition"),
    ),
    answers={
        "1": "The text is 'centre'.",
        "2": "hello\nworld",
        "3": "1 2",
        "4": "IT'S",
        "5": "10%",
        "6": "10 %",
        "7": "$x^{2}$",
        "8": "X^{2}",
    },
    metrics={
        "Text Recognition": 2,
        "Scene Text-centric VQA": 1,
        "Doc-oriented VQA": 0,
        "Key Information Extraction": 1,
        "Handwritten Mathematical Expression Recognition": 1,
        "Final Score": 5,
        "Final Score Norm": 0.5,
    },
)

# count: 3 of 4 right, 1 of 2 pairs: 75 + 50. OCR: 1 of 2, no pair. code_reasoning: all right.
# The same image_path in two categories is two pairs.
MME = Case(
    task=Mme,
    file="MME.tsv",
    columns="index image question answer category image_path",
    rows=(
        (1, P0, "one?", "Yes", "count", "a.jpg"),
        (2, P1, "one?", "Yes", "count", "b.jpg"),
        (3, "1", "two?", "No", "count", "a.jpg"),
        (4, "2", "two?", "No", "count", "b.jpg"),
        (5, "1", "A?", "Yes", "OCR", "a.jpg"),
        (6, "1", "B?", "No", "OCR", "a.jpg"),
        (7, P2, "1?", "Yes", "code_reasoning", "c.jpg"),
        (8, "7", "2?", "No", "code_reasoning", "c.jpg"),
    ),
    answers={
        "1": "Yes",
        "2": "yes",
        "3": "No",
        "4": "I cannot tell",
        "5": "No",
        "6": "No",
        "7": "Yes.",
        "8": "No.",
    },
    metrics={
        "perception": 175.0,
        "reasoning": 200.0,
        "OCR": 50.0,
        "count": 125.0,
        "code_reasoning": 200.0,
    },
    unparsed=("4",),
)

# Group 1 right in both rotations, group 2 in one of two, group 3 right (three rotations).
MMBENCH = Case(
    task=MmBench,
    file="MMBench_DEV_EN.tsv",
    columns="index image question hint A B C answer category l2-category",
    rows=(
        (1, P0, "q1", "", "cat", "dog", "", "A", "ocr", "finegrained_perception (instance-level)"),
        (2, P1, "q2", "h", "None", "NA", "", "B", "image_scene", "coarse_perception"),
        (3, "2", "q3", "", "up", "down", "left", "C", "image_topic", "coarse_perception"),
        (
            1000001,
            "1",
            "q1",
            "",
            "dog",
            "cat",
            "",
            "B",
            "ocr",
            "finegrained_perception (instance-level)",
        ),
        (1000002, "2", "q2", "h", "NA", "None", "", "A", "image_scene", "coarse_perception"),
        (1000003, "2", "q3", "", "down", "left", "up", "B", "image_topic", "coarse_perception"),
        (2000003, "2", "q3", "", "left", "up", "down", "A", "image_topic", "coarse_perception"),
    ),
    answers={
        "1": "A",
        "1000001": "B. cat",
        "2": "B",
        "1000002": "Sorry, I can't help with images of people yet.",
        "3": "the answer is C",
        "1000003": "B",
        "2000003": "left",
    },
    metrics={
        "Overall": 200 / 3,
        "CP": 50.0,
        "FP-S": 100.0,
        "image_scene": 0.0,
        "image_topic": 100.0,
        "ocr": 100.0,
    },
    unparsed=("1000002",),
)

SEED = Case(
    task=SeedBench,
    file="SEEDBench_IMG.tsv",
    columns="index image question A B C D answer category",
    rows=(
        (1, P0, "q", "six", "two", "None", "4", "C", "Instances Counting"),
        (2, "1", "q", "red", "blue", "green", "NA", "D", "Instance Attributes"),
        (3, P1, "q", "cat", "dog", "cow", "pig", "A", "Instance Identity"),
        (4, "3", "q", "cat", "dog", "cow", "pig", "A", "Instance Identity"),
    ),
    answers={"1": "none", "2": "(D)", "3": "cat and dog", "4": "A."},
    metrics={
        "Overall": 75.0,
        "Instance Attributes": 100.0,
        "Instance Identity": 50.0,
        "Instances Counting": 100.0,
    },
    unparsed=("3",),
)

CASES = (POPE, GQA, COCO, OCR, MME, MMBENCH, SEED)
