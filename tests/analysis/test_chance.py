"""A VLM that does not answer better than a guess is marked in tables and report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import toy

from eyechart.analysis.analyse import analyse
from eyechart.analysis.bootstrap import resample
from eyechart.analysis.chance import chance_note, chance_sums, chances
from eyechart.analysis.result import Analysis
from eyechart.analysis.tables import tables_of
from eyechart.api import open_task
from eyechart.core.hooks import chance_of
from eyechart.core.types import Question
from eyechart.report.finding import find

IMAGES = [f"p{n}" for n in range(toy.IMAGES)]


class YesOrNo(toy.ToyTask):
    """Has choices, and says nothing of chance."""

    def choices(self, question: Question) -> tuple[str, ...]:
        return ("yes", "no")


def load(group: str, name: str, options: Mapping[str, Any] | None = None) -> Any:
    return YesOrNo() if group == "eyechart.tasks" else toy.load(group, name, options)


def analysed(root: Path, uncompressed: float) -> Analysis:
    rights = {("source", 0, ""): uncompressed, ("grey", 0, ""): 0.4, ("grey", 1, ""): 0.5}
    toy.a_run(root, rights)
    return analyse(root, created="2025-01-01T00:00:00Z", load=load, examples=0)


def test_a_vlm_at_chance_level_is_marked_in_tables_and_report(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, 0.5)
    (noted,) = {cell.at_chance for cell in analysis.cells if cell.codec == "source"}
    assert noted.startswith("at chance level: ")
    assert noted.endswith("50.0 % of guesses")
    for kind in ("bd", "scores"):
        assert [noted in table.notes for table in tables_of(analysis, kind)] == [True]
    details = " ".join(find(analysis).details)
    assert "At chance level even on uncompressed images: reader on toy." in details


def test_a_vlm_above_chance_is_not(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, 0.8)
    assert {cell.at_chance for cell in analysis.cells} == {""}
    assert all("chance" not in note for table in tables_of(analysis, "bd") for note in table.notes)


@pytest.mark.parametrize(("right", "noted"), [(0.0, True), (0.5, True), (0.75, False), (1, False)])
def test_the_interval_decides(right: float, noted: bool) -> None:
    drawn = resample(IMAGES, samples=500, seed=1)
    assert bool(chance_note(chance_sums(toy.records(right, 9), chances(YesOrNo())), drawn)) == noted


def test_an_open_question_has_no_chance_level() -> None:
    drawn = resample(IMAGES, samples=100, seed=1)
    assert chances(toy.ToyTask()) == {}
    assert chance_note(chance_sums(toy.records(0, 9), {}), drawn) == ""


@pytest.mark.parametrize("name", ["POPE", "MME", "MMBench", "SEEDBench"])
def test_a_guess_is_one_of_the_choices(name: str) -> None:
    task = open_task(name, data="eyechart-mini")
    for question in task.questions():
        choices = len(question.options) or 2
        assert chance_of(task, question) == 1 / choices


def test_a_guess_at_an_open_question_is_the_most_frequent_answer() -> None:
    task = open_task("GQA", data="eyechart-mini")
    asked = task.questions()
    answers = [question.answer.strip().lower() for question in asked]
    most = max(answers.count(answer) for answer in set(answers)) / len(answers)
    assert {chance_of(task, question) for question in asked} == {most}


@pytest.mark.parametrize("name", ["OCRBench", "COCO-Caption"])
def test_texts_and_captions_have_no_chance_level(name: str) -> None:
    assert chances(open_task(name, data="eyechart-mini")) == {}
