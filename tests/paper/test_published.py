"""The published numbers: complete, readable, and reproduced by our BD-Metric."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from eyechart.analysis.render import render
from eyechart.analysis.result import (
    Analysis,
    BdResult,
    CellResult,
    IcmResult,
    Interval,
    TaskInfo,
)
from eyechart.cli import run_args
from eyechart.core.errors import InputError
from eyechart.paper.data import headline_scores, printed_bd, printed_rates, rows
from eyechart.paper.diff import diff
from eyechart.paper.recompute import recompute, recomputed_tables, without_gqa
from eyechart.paper.tables import paper_table, titles


def test_all_published_numbers_are_there() -> None:
    assert len(rows("published_scores")) == 34_304
    assert len(printed_bd()) == 550
    assert len(printed_rates()) == 7 * 4
    assert all(len(rates) == 4 for rates in printed_rates().values())
    assert headline_scores()["Qwen2.5-VL-3B", "POPE", "source"][""] == pytest.approx(86.2052)


def test_bd_of_the_published_scores_is_what_the_paper_prints() -> None:
    found = recompute()
    assert len(found) == 200
    outside_gqa = [item.relative_difference for item in without_gqa(found)]
    assert len(outside_gqa) == 168
    assert median(outside_gqa) <= 0.015
    for task in ("POPE", "SEEDBench", "OCRBench", "MMBench", "MME", "COCO-Caption"):
        own = [item.relative_difference for item in found if item.task == task]
        assert median(own) <= 0.03, task
    assert max(outside_gqa) < 0.06


def test_each_uncompressed_score_is_as_high_as_the_tables_imply() -> None:
    """Anchors are published, not fitted: curve mean minus printed BD must be that score, too."""
    found = [item for item in recompute() if item.task in ("POPE", "SEEDBench")]
    misses = [abs(item.computed - item.printed) for item in found]
    assert max(misses) < 0.2


@pytest.mark.parametrize("number", titles())
def test_every_table_shows(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["paper", "show", str(number)]) == 0
    assert titles()[number].split()[0] in capsys.readouterr().out
    for form in ("md", "csv", "latex", "json"):
        assert run_args(["paper", "show", str(number), "--format", form]) == 0
        out = capsys.readouterr().out
        assert paper_table(number).rows[-1].keys[-1] in out.replace("\\", "")


def test_table_2_has_the_right_labels() -> None:
    table = paper_table(2)
    line = next(row for row in table.rows if row.keys == ("Janus-Pro-7B", "POPE"))
    assert [entry.text for entry in line.entries[:3]] == ["-22.79", "-13.60", "-13.48"]
    best = {table.columns[i] for i, entry in enumerate(line.entries) if entry.mark == "best"}
    assert best == {"RDEIC"}


def test_table_3_notes_the_printing_errors() -> None:
    table = paper_table(3)
    (note,) = table.notes
    assert "49.92" in note
    marked = [row.keys for row in table.rows if any(entry.notes for entry in row.entries)]
    assert ("POPE", "compressed L(X^, θ)") in marked
    assert ("POPE", "information gap") not in marked
    scores = headline_scores()
    assert scores["Qwen2.5-VL-3B", "SEEDBench", "JPEG"]["1"] == pytest.approx(49.92, abs=0.01)
    assert scores["Qwen2.5-VL-3B", "POPE", "JPEG"]["1"] == pytest.approx(60.56, abs=0.01)


def test_an_unknown_table_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no table 1 of the paper here; there are 2, 3"):
        paper_table(1)
    assert run_args(["paper", "show", "18"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_recomputed_figures_print_with_their_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["paper", "bd", "--task", "pope", "--vlm", "internvl3-1b"]) == 0
    out = capsys.readouterr().out
    assert "-11.38" in out
    assert "-11.53" in out
    assert "median %" in out
    figures, differences = recomputed_tables(recompute())
    assert len(figures.rows) == 50
    assert [row.keys[0] for row in differences.rows[-2:]] == ["all but GQA", "all"]
    assert run_args(["paper", "bd", "--vlm", "InternVL3-9B"]) == 2
    assert "InternVL3-8B" in capsys.readouterr().err


def a_run(vlm: str, codec: str, data: str) -> Analysis:
    """One POPE curve of a run, with its uncompressed score."""
    common = {"vlm": vlm, "adapter": "", "task": "POPE", "codec": codec}
    score = Interval(value=60.0, low=58.0, high=62.0)
    point = CellResult(
        **common, key="a", level="1", rank=0, bpp=0.19, total_bpp=0.2, score=score, loss=None,
        metrics={"Overall": 60.0}, questions=5127, answered=5126, failed=1, unparsed_share=0.0,
        choices=False,
    )  # fmt: skip
    clean = replace(
        point, codec="source", level="", answered=5127, failed=0, score=replace(score, value=86.0)
    )
    bd = Interval(value=-18.0, low=-19.0, high=-17.0)
    result = BdResult(
        low_rate=0.1,
        high_rate=1.0,
        **common,
        codec_name=codec,
        baseline="uncompressed",
        bd=bd,
        flags=("1 of 4 levels",),
    )
    task = TaskInfo(name="POPE", headline_metric="Overall", questions=5127, images=500)
    return Analysis(
        title="run", eyechart_version="0", created="", data=data, tasks=(task,),
        cells=(clean, point), bd=(result,), gaps=(), examples=(), failures=(),
        bootstrap_samples=10, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("vlm", ["qwen2.5-vl-3b", "Qwen2.5-VL-3B", "Qwen/Qwen2.5-VL-3B-Instruct"])
def test_a_run_is_put_beside_the_same_vlm_task_and_codec(vlm: str) -> None:
    found = diff(a_run(vlm, "jpeg", "LMUData"))
    ceilings, levels, bd = found.tables
    assert [entry.text for entry in ceilings.rows[0].entries] == ["86.00", "86.21", "-0.21"]
    assert [entry.text for entry in levels.rows[0].entries] == ["60.00", "60.56", "-0.56"]
    assert levels.notes == ("1 of 5127 questions failed",)
    assert [entry.text for entry in bd.rows[0].entries] == ["-18.00", "-17.75", "-0.25"]
    assert bd.notes == ("1 of 4 levels", "levels 1; the paper's are 1, 3, 5, 6")
    assert found.remarks == ()


def test_other_questions_or_levels_are_noted() -> None:
    """Two JPEG levels of nine questions beside four others of all 5127."""
    run = a_run("qwen2.5-vl-3b", "jpeg", "LMUData")
    clean, point = (replace(cell, questions=9, answered=9, failed=0) for cell in run.cells)
    points = [replace(point, level=level) for level in ("10", "20")]
    found = diff(replace(run, cells=(clean, *points)))
    few = "9 questions asked; the paper's scores are of 5,127"
    ceilings, bd = found.tables
    assert ceilings.notes == (few,)
    assert bd.notes[1:] == (few, "levels 10, 20; the paper's are 1, 3, 5, 6")
    (row,) = json.loads(render([bd], "json"))[0]["rows"]
    assert row["figure"]["this run"]["notes"] == list(bd.notes)


def test_the_same_questions_and_levels_need_no_note() -> None:
    run = a_run("qwen2.5-vl-3b", "jpeg", "LMUData")
    clean, point = (replace(cell, answered=5127, failed=0) for cell in run.cells)
    points = [replace(point, level=level) for level in ("1", "3", "5", "6")]
    bd = replace(run.bd[0], flags=())
    found = diff(replace(run, cells=(clean, *points), bd=(bd,)))
    assert [table.notes for table in found.tables] == [(), (), ()]


def test_codecs_for_machines_stand_beside_table_6() -> None:
    run = a_run("qwen2.5-vl-3b", "tic", "LMUData")
    shown = Interval(value=0.5, low=0.1, high=0.9)
    common = {"vlm": "qwen2.5-vl-3b", "task": "POPE", "base": "tic"}
    icm = tuple(
        IcmResult(**common, codec=codec, adapter=adapter, bd=shown, flags=())
        for codec in ("tic", "transtic", "other")
        for adapter in ("", "mine")
    )
    *_, table = diff(replace(run, icm=icm)).tables
    printed = {row.keys[2:]: row.entries[1].value for row in table.rows}
    assert printed == {
        ("tic", "none"): 0.0,
        ("tic", "mine"): 2.43,
        ("transtic", "none"): 0.18,
        ("transtic", "mine"): 3.02,
    }


def test_another_encoder_of_the_same_standard_is_not_compared() -> None:
    found = diff(a_run("qwen2.5-vl-3b", "hevc", "LMUData"))
    assert [table.title for table in found.tables] == [
        "Uncompressed scores: this run and the paper"
    ]
    assert "hevc is not compared with HM" in found.remarks[0]


def test_reasons_are_given_if_nothing_is_comparable() -> None:
    chart = diff(a_run("qwen2.5-vl-3b", "jpeg", "eyechart-mini"))
    assert chart.tables == ()
    assert "the data is eyechart-mini" in chart.remarks[0]
    stranger = diff(a_run("llava", "jpeg", "LMUData"))
    assert stranger.tables == ()
    assert stranger.remarks[0].startswith("Nothing is comparable")
    assert "Not in the paper: llava" in stranger.remarks[1]


def test_diff_of_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["paper", "diff", str(tmp_path / "none")]) == 2
    assert "no eyechart run here" in capsys.readouterr().err
