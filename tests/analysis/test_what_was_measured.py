"""What the report says of a run: versions, settings, commands, and the questions lost first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from eyechart.analysis.analyse import analyse
from eyechart.analysis.files import analysis_json, read_analysis, write_analysis
from eyechart.analysis.tables import tables_of
from eyechart.core.records import CodecFacts
from eyechart.report.html import render_report
from eyechart.store import RunInfo, Store, TaskSize
from tests.analysis.toy import WHOLE, a_run, cell, load, records


def test_versions_settings_and_commands_are_in_the_analysis_and_the_page(tmp_path: Path) -> None:
    store = a_run(tmp_path, {("source", 0, ""): 0.9, ("grey", 0, ""): 0.5, ("grey", 1, ""): 0.6})
    stored = store.add(cell("blue", 0), CodecFacts(chroma="4:2:0"))
    stored.append_records(records(0.5, 30))
    for _ in range(2):
        store.note_command("eyechart run --out here")
    store.note_command("eyechart run\n--out here --retry-failed")
    store.note_command("eyechart run --vlm x:base_url=https://me:secret@host/v1,api_key=abc")
    analysis = analyse(tmp_path, created="now", load=load)
    write_analysis(analysis, tmp_path / "analysis.json")
    assert read_analysis(tmp_path / "analysis.json") == analysis
    assert analysis.commands == (
        "eyechart run --out here",
        "eyechart run --out here --retry-failed",
        "eyechart run --vlm x:base_url=https://host/v1,api_key=...",
    )
    found = {(part.kind, part.name): part for part in analysis.components}
    assert set(found) == {
        *(("codec", name) for name in ("source", "grey", "blue")),
        ("task", "toy"),
        ("vlm", "reader"),
    }
    assert [level.knobs for level in found["codec", "grey"].levels] == [{"q": 0}, {"q": 1}]
    assert found["codec", "blue"].chroma == "4:2:0"
    assert found["task", "toy"].max_new_tokens == 4
    page = render_report(replace(analysis, title="A title of its own"))
    assert "<title>A title of its own: eyechart report</title>" in page
    assert json.dumps("eyechart run --out here --retry-failed") in page


def test_a_sample_says_of_how_many_images_it_is(tmp_path: Path) -> None:
    """20 images and 60 questions in all; the first cells ask 8 of the images."""
    store = Store(tmp_path)
    store.create()
    store.write_info(RunInfo(title=""))
    part = [record for record in records(0.5, 30) if int(record.image[1:]) < 8]
    for codec in ("source", "grey"):
        stored = store.add(cell(codec, 0))
        stored.ask(TaskSize(questions=24, images=8))
        stored.append_records(part)
    found = analyse(tmp_path, created="now", load=load)
    assert [(task.images, task.whole_images) for task in found.tasks] == [(8, 20)]
    (table,) = tables_of(found, "scores")
    assert table.legend.startswith(
        "24 questions, 8 of 20 images, a sample in which categories keep their shares"
    )
    assert analysis_json(found)["tasks"][0]["whole_images"] == 20
    a_run(tmp_path / "whole", {("source", 0, ""): 0.9})
    (task,) = analyse(tmp_path / "whole", created="now", load=load).tasks
    assert (task.images, task.whole_images) == (20, 0)


def test_a_question_is_lost_where_it_is_wrong_at_all_lower_rates(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    store.write_info(RunInfo(title=""))
    # Of 60 questions: 0 is wrong at all levels, 3 at the two lowest, 6 only in the middle.
    wrong = {0: {"0", "3"}, 1: {"0", "3", "6"}, 2: {"0"}}
    for codec, rank in (("source", 0), ("grey", 0), ("grey", 1), ("grey", 2)):
        lost = wrong[rank] if codec == "grey" else set()
        stored = store.add(cell(codec, rank))
        stored.ask(WHOLE)
        stored.append_records(
            replace(record, value=0.0, answer="no") if record.question_id in lost else record
            for record in records(1.0, 20 + 20 * rank)
        )
    flips = analyse(tmp_path, created="now", load=load).flips
    assert [(flip.question, flip.level) for flip in flips] == [
        ("question 0?", "2"),
        ("question 3?", "1"),
    ]
    assert flips[0].bpp > flips[1].bpp
