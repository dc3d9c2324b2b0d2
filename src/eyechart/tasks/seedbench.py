"""SEEDBench (image part): multiple choice in nine dimensions, each question asked once.

Li et al., "SEED-Bench: Benchmarking Multimodal Large Language Models", CVPR 2024.
"""

from __future__ import annotations

from functools import partial

from eyechart.core.types import Floats, Question, Score
from eyechart.tasks import choice
from eyechart.tasks.prompts import multiple_choice
from eyechart.tasks.sheet import Sheet, accuracies, percent_right, right_and_asked
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import Row
from eyechart.tasks.tsv_task import TsvTask


class SeedBenchRules:
    """Option letters, overall and per dimension."""

    name = "SEEDBench"
    version = "1"
    headline_metric = "Overall"
    columns = ("question", "answer", "category", "A", "B")
    statistics_size = 2
    official = (
        OfficialFile(
            name="SEEDBench_IMG.tsv",
            page="benchmarks/SEEDBench",
            md5="68017231464752261a2526d6ca3a10c0",
            rows=14232,
            images="SEEDBench_IMG",
        ),
    )

    def question(self, row: Row) -> Question:
        return choice.question(row, group=row["index"])

    def prompt(self, question: Question, vlm_family: str) -> str:
        return multiple_choice(question, vlm_family)

    def max_new_tokens(self, question: Question) -> int:
        return choice.MAX_NEW_TOKENS

    def choices(self, question: Question) -> tuple[str, ...]:
        return choice.choices(question)

    def score(self, question: Question, answer: str) -> Score:
        return choice.score(question, answer)

    def summarize(self, sheet: Sheet) -> dict[str, float]:
        return accuracies(sheet)

    def statistics(self, sheet: Sheet) -> list[tuple[str, list[float]]]:
        return right_and_asked(sheet)

    def headline(self, sums: Floats) -> Floats:
        return percent_right(sums)


SeedBench = partial(TsvTask, SeedBenchRules())
