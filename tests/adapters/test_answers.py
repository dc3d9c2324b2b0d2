"""The sample of questions asked after a training represents the whole task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.adapters.answers import compare
from eyechart.core.types import Answer, Decoding, Json, Request
from eyechart.tasks import open_tasks


class Yes:
    """Answers yes to everything and records the questions."""

    name, version, family = "yes", "1", "qwen2_5_vl"
    options: Mapping[str, Json] = {}

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        self.prompts += [prompt for request in requests for prompt in request.prompts]
        return [[Answer(text="yes", tokens=1) for _ in request.prompts] for request in requests]


def test_a_sample_of_images_has_every_category() -> None:
    (task,) = open_tasks(["MME"])
    vlm = Yes()
    (row,) = compare(vlm, vlm, [task], [], images=40)
    assert (row.task, row.condition) == ("MME", "source/lossless")
    assert row.without == row.with_adapter
    categories: dict[str, set[str]] = {}
    for question in task.questions():
        categories.setdefault(task.prompt(question, vlm.family), set()).add(question.category)
    asked = set.union(*(categories[prompt] for prompt in vlm.prompts))
    assert asked == {question.category for question in task.questions()}
