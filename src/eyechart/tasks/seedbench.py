"""SEEDBench (image part): multiple choice in nine dimensions, each question asked once.

Li et al., "SEED-Bench: Benchmarking Multimodal Large Language Models", CVPR 2024.
"""

from __future__ import annotations

from functools import partial

from eyechart.core.prompts import multiple_choice
from eyechart.core.types import Question
from eyechart.tasks import choice
from eyechart.tasks.sources import OfficialFile
from eyechart.tasks.table import TsvRow
from eyechart.tasks.tsv_task import TsvBenchmark, TsvTask


def _question(row: TsvRow) -> Question:
    return choice.question(row, group=row["index"])


# Option letters, overall and per dimension.
SeedBench = partial(
    TsvTask,
    TsvBenchmark(
        name="SEEDBench",
        version="1",
        headline_metric="Overall",
        columns=("question", "answer", "category", "A", "B"),
        official=(
            OfficialFile(
                name="SEEDBench_IMG.tsv",
                page="benchmarks/SEEDBench",
                md5="68017231464752261a2526d6ca3a10c0",
                rows=14232,
                image_count=14232,
                images="SEEDBench_IMG",
            ),
        ),
        question=_question,
        prompt=multiple_choice,
        max_new_tokens=choice.MAX_NEW_TOKENS,
        score=choice.score,
        choices=choice.choices,
    ),
)
