"""`eyechart runs`: comparing and merging run directories, and deleting cells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from run_fakes import FakeVLM

from eyechart import api
from eyechart.cli import run_args
from eyechart.core.types import Answer, Decoding, Request
from eyechart.store import Store


class Says(FakeVLM):
    """One answer to everything."""

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        super().answer(requests, decoding)
        word = str(self.options["word"])
        return [[Answer(text=word, tokens=1) for _ in request.prompts] for request in requests]


@pytest.fixture
def vlms(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeVLM]:
    known: dict[str, FakeVLM] = {
        name: Says(name=name, options={"word": word}) for name, word in (("y", "Yes"), ("n", "No"))
    }
    monkeypatch.setattr("eyechart.vlms.open_vlm", lambda name, **options: known[name])
    monkeypatch.setattr("eyechart.vlms.vlm_names", lambda: list(known))
    return known


def run(out: Path, vlm: str, *more: str) -> int:
    command = f"run --vlm {vlm} --tasks POPE --codecs jpeg:levels=[10] --max-images 2 --workers 0"
    return run_args([*command.split(), "--no-report", "--out", str(out), *more])


def answers(out: Path) -> dict[str, list[str]]:
    return {
        f"{stored.cell.vlm.name} {stored.cell.codec.name}": [
            record.question_id for record in stored.records()
        ]
        for stored in Store(out).cells()
    }


def test_merged_directories_hold_all_answers_and_ask_nothing_again(
    tmp_path: Path, vlms: dict[str, FakeVLM], capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, both = (tmp_path / name for name in ("one", "two", "both"))
    assert run(one, "y", "--title", "First") == run(two, "n") == 0
    command = ["runs", "merge", str(one), str(two), "--out", str(both)]
    assert run_args(command) == 0
    assert "4 cells" in capsys.readouterr().out
    assert answers(both) == {**answers(one), **answers(two)}
    assert Store(both).info().title == "First"
    for vlm in vlms.values():
        vlm.calls.clear()
    assert run(both, "y,n") == 0
    assert [vlm.calls for vlm in vlms.values()] == [[], []]
    assert run_args(["table", "scores", str(both)]) == 0
    assert run_args(command) == 0  # again: nothing is there twice
    assert "0 answers added, " in capsys.readouterr().out
    assert answers(both) == {**answers(one), **answers(two)}


def test_a_recommendation_keeps_the_order_of_the_plan_also_after_a_merge(
    tmp_path: Path, vlms: dict[str, FakeVLM]
) -> None:
    one, both = tmp_path / "one", tmp_path / "both"
    codecs = "webp:levels=[10],jpeg:quality=[10],long_side=[64],jpeg:quality=[10],long_side=[32]"
    for given in (codecs, f"{codecs},jpeg:levels=[10]"):  # the second run asks one more
        assert run(one, "y", "--codecs", given) == 0
    assert run_args(["runs", "merge", str(one), "--out", str(both)]) == 0
    for directory in (one, both):
        (found,) = api.recommend(directory, tolerance=90)
        assert [setting.codec for setting in found.settings] == [
            "webp",
            "jpeg@64",
            "jpeg@32",
            "jpeg",
        ]


def test_a_merge_refuses_what_no_table_could_show(
    tmp_path: Path, vlms: dict[str, FakeVLM], capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, both = (tmp_path / name for name in ("one", "two", "both"))
    assert run(one, "y") == 0
    vlms["y"] = replace(vlms["y"], version="2")
    assert run(two, "y") == 0
    assert run_args(["runs", "merge", str(one), str(two), "--out", str(both)]) == 2
    assert "two versions of one cell (vlm y 1 and 2)" in capsys.readouterr().err
    assert run_args(["runs", "merge", str(one), "--out", str(one)]) == 2
    assert run_args(["runs", "merge", str(tmp_path), "--out", str(both)]) == 2
    assert not both.exists()


def test_two_runs_are_compared_by_the_questions_of_both(
    tmp_path: Path, vlms: dict[str, FakeVLM], capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(one, "y") == run(one, "n") == 0
    vlms["y"] = Says(name="y", version="2", options={"word": "Yes"})
    assert run(two, "y", "--max-images", "1") == 0
    capsys.readouterr()
    assert run_args(["runs", "compare", str(one), str(two), "--format", "json"]) == 0
    said = capsys.readouterr()
    (table,) = json.loads(said.out)
    assert [row["codec"] for row in table["rows"]] == ["source", "jpeg"]
    short = len(answers(two)["y source"])
    assert short < len(answers(one)["y source"])
    for row in table["rows"]:
        found = {name: entry["value"] for name, entry in row["quantity"].items()}
        assert found["questions"] == short
        assert found["score A"] == found["score B"]
        assert found["B - A"] == 0
    assert "only in" in said.err
    assert run_args(["runs", "compare", str(one), str(tmp_path / "nothing")]) == 2


def test_cells_are_listed_before_they_are_dropped(
    tmp_path: Path, vlms: dict[str, FakeVLM], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(out, "y,n") == 0
    command = ["runs", "drop", str(out), "--vlm", "y", "--codec", "jpeg"]
    before = answers(out)
    capsys.readouterr()
    assert run_args(command) == 2
    said = capsys.readouterr()
    assert said.out == "y none POPE jpeg 10\n"
    assert "1 cell with " in said.err
    assert answers(out) == before
    assert run_args([*command, "--yes"]) == 0
    assert answers(out) == {key: ids for key, ids in before.items() if key != "y jpeg"}
    assert run_args(["table", "scores", str(out)]) == 0
    vlms["y"].calls.clear()
    assert run(out, "y,n") == 0
    assert answers(out) == before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "name a vlm, adapter, task, codec or level"),
        (["--vlm", "z"], "no cell of vlm 'z'; known: y"),
        (["--codec", "source", "--level", "10"], "no cell fits all of these names"),
    ],
)
def test_a_choice_without_cells_drops_nothing(
    tmp_path: Path,
    vlms: dict[str, FakeVLM],
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    message: str,
) -> None:
    out = tmp_path / "run"
    assert run(out, "y") == 0
    before = answers(out)
    assert run_args(["runs", "drop", str(out), *names, "--yes"]) == 2
    assert message in capsys.readouterr().err
    assert answers(out) == before
