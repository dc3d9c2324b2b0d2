"""`eyechart run`, `plan` and `rescore` on a real task file and real codecs, with a toy VLM."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_fakes import FakeVLM

import eyechart
from eyechart.cli import run_args
from eyechart.core.errors import VLMError
from eyechart.core.images import encode_png
from eyechart.core.types import Answer, Decoding, Question, Request, Score
from eyechart.runner.costs import Cost
from eyechart.runner.progress import SilentProgress
from eyechart.store import Store


class Colours(FakeVLM):
    """Answers Yes if the image is more red than blue."""

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        super().answer(requests, decoding)
        return [
            [Answer(text="Yes" if _is_red(request) else "No", tokens=1) for _ in request.prompts]
            for request in requests
        ]


def _is_red(request: Request) -> bool:
    red, _, blue = request.image.mean(axis=(0, 1))
    return bool(red > blue)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """POPE.tsv with six images: red ones and blue ones, in noise."""
    folder = tmp_path / "data"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = ["index\timage\tquestion\tanswer\tcategory"]
    for n in range(6):
        picture = random.integers(0, 200, (32, 40, 3), np.uint8)
        picture[..., 2 * (n % 2)] += 40
        image = base64.b64encode(encode_png(picture)).decode()
        answer = "Yes" if n % 2 == 0 else "No"
        rows.append(f"{n}\t{image}\tIs it red?\t{answer}\trandom,popular,adversarial")
    (folder / "POPE.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def vlm(monkeypatch: pytest.MonkeyPatch) -> Colours:
    toy = Colours(name="toy")
    monkeypatch.setattr("eyechart.vlms.open_vlm", lambda name, **options: toy)
    monkeypatch.setattr("eyechart.vlms.vlm_names", lambda: ["toy"])
    return toy


@pytest.fixture
def arguments(data: Path, tmp_path: Path, vlm: Colours) -> list[str]:
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"title: Red\nvlms: toy\ntasks: POPE\ncodecs: [source, jpeg]\ndata: {data}\n")
    return [str(plan), "--out", str(tmp_path / "run"), "--workers", "0"]


def test_lines_that_quote_foreign_text_are_short_and_escaped(
    arguments: list[str], vlm: Colours, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(request: Request) -> None:
        raise VLMError("\x1b[31m" + "no\n" * 5000)

    vlm.refuse = refuse
    assert run_args(["run", *arguments, "--no-report"]) == 1
    shown = capsys.readouterr()
    lines = [*shown.out.splitlines(), *shown.err.splitlines()]
    assert any("failed: \\x1b[31mno no" in line for line in lines)
    assert all(len(line) <= 300 and line.isprintable() for line in lines)


def test_missing_image_files_are_named_before_anything_is_asked(
    data: Path, arguments: list[str], vlm: Colours, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["index\timage_path\tquestion\tanswer\tcategory"]
    rows += [f"{n}\tphoto{n}.png\tIs it red?\tYes\trandom" for n in range(5)]
    (data / "POPE.tsv").write_text("\n".join(rows) + "\n")
    (data / "photo0.png").write_bytes(encode_png(np.zeros((8, 9, 3), np.uint8)))
    for command in ("run", "encode"):
        assert run_args([command, *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "POPE.tsv: 4 of 5 image files missing, first photo1.png; looked in" in line
    export = ["export", "tsv", "POPE", "--data", str(data), "--codecs", "jpeg", "--out"]
    assert run_args([*export, str(data / "copies")]) == 2
    assert vlm.calls == []
    assert not (data.parent / "run").exists()


def test_a_run_ends_with_a_table_and_a_report_and_then_resumes(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], vlm: Colours
) -> None:
    assert run_args(["run", *arguments]) == 0
    said = capsys.readouterr()
    assert said.err == "asking toy 30 questions\n"
    assert "toy: 5 cells, 30 images, 30 questions" in said.out
    assert "BD-Metric against the uncompressed image" in said.out
    assert str(tmp_path / "run" / "report.html") in said.out.replace("\n", "")
    analysis = json.loads((tmp_path / "run" / "analysis.json").read_text())
    assert (analysis["title"], analysis["data"]) == ("Red", "data")
    assert [task["questions"] for task in analysis["tasks"]] == [6]
    assert "<html" in (tmp_path / "run" / "report.html").read_text()
    calls = len(vlm.calls)
    assert run_args(["run", *arguments]) == 0
    assert len(vlm.calls) == calls
    assert "30 of them done before" in capsys.readouterr().out


def test_codecs_of_the_command_line_are_added_to_source(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["run", *arguments, "--codecs", "jpeg"]) == 0
    assert "no uncompressed score" not in capsys.readouterr().out
    names = {cell.cell.codec.name for cell in Store(tmp_path / "run").cells()}
    assert names == {"source", "jpeg"}
    assert run_args(["run", *arguments, "--codecs", ""]) == 2


def test_a_choice_set_is_asked_for_by_name_and_kept_apart(
    arguments: list[str], tmp_path: Path, vlm: Colours, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["run", *arguments, "--no-report"]) == 0
    free = len(vlm.calls)
    assert run_args(["run", *arguments, "--choice-set"]) == 0
    asked = [request for call in vlm.calls[free:] for request in call]
    assert {request.choices for request in asked} == {(("Yes", "No"),)}
    said = capsys.readouterr().out
    assert "toy (choice set)" in said
    cells = Store(tmp_path / "run").cells()
    assert sorted(cell.cell.decoding.choice_set for cell in cells) == [False] * 5 + [True] * 5


def test_open_questions_have_no_choice_set(
    arguments: list[str], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "GQA_TestDev_Balanced.tsv").write_text(
        (data / "POPE.tsv").read_text().replace("Yes", "red").replace("No", "blue")
    )
    assert run_args(["run", *arguments, "--tasks", "POPE,GQA", "--choice-set"]) == 2
    assert "task GQA: question '0' has no answers to choose from" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


class Paid(Colours):
    """Counts a cost of a cent and one token for each question."""

    @property
    def spent(self) -> Cost:
        asked = sum(len(request.prompts) for call in self.calls for request in call)
        return Cost(vlm="", input_tokens=100 * asked, output_tokens=asked, usd=None)

    @property
    def spent_usd(self) -> float:
        return 0.01 * self.spent.output_tokens

    def estimate_usd(self, requests: Sequence[Request], decoding: Decoding) -> float:
        asked = sum(len(request.prompts) for request in requests)
        return (0.02 if decoding.max_new_tokens > 1 else 0.011) * asked


def test_costs_of_a_paid_vlm_are_printed_before_and_after(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("eyechart.vlms.open_vlm", lambda name, **options: Paid(name="toy"))
    monkeypatch.setattr("eyechart.vlms.vlm_names", lambda: ["toy"])
    assert run_args(["plan", arguments[0]]) == 0
    assert "about $0.33 to $0.60" in capsys.readouterr().out
    assert run_args(["run", *arguments, "--codecs", "source"]) == 0
    assert run_args(["run", *arguments]) == 0
    shown = capsys.readouterr()
    said = shown.out
    assert shown.err.splitlines() == [
        "asking toy 6 questions (about $0.07 to $0.12)",
        "asking toy 24 questions (about $0.26 to $0.48)",
    ]
    assert "toy: 2,400 tokens in, 24 out, $0.24" in said
    bills = [json.loads(line) for line in (tmp_path / "run" / "costs.jsonl").open()]
    assert [bill["usd"] for bill in bills] == pytest.approx([0.06, 0.24])


def test_what_will_be_asked_is_said_before_a_cell_is_made(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []

    class Watch(SilentProgress):
        def announce(self, text: str) -> None:
            seen.append((text, any((out / "cells").iterdir())))

    monkeypatch.setattr("eyechart.vlms.open_vlm", lambda name, **options: Colours(name=name))
    monkeypatch.setattr("eyechart.vlms.vlm_names", lambda: ["a", "b"])
    out = tmp_path / "two"
    plan = {"vlms": ["a", "b"], "tasks": "POPE", "codecs": ["source", "jpeg:quality=50"]}
    for _ in range(2):  # the second run has nothing to ask
        eyechart.run({**plan, "data": str(data)}, out=out, progress=Watch(), workers=0)
        assert seen == [("asking a 12 questions, b 12 questions", False)]


def test_a_run_continues_if_a_power_cut_has_emptied_its_cells(
    arguments: list[str], vlm: Colours, tmp_path: Path
) -> None:
    assert run_args(["run", *arguments, "--no-report"]) == 0
    store, asked = Store(tmp_path / "run"), len(vlm.calls)
    before = {cell.key: cell.records() for cell in store.cells()}
    for name in ("cell.json", "asked.json"):
        for path in (store.root / "cells").glob(f"*/{name}"):
            path.write_bytes(b"")
    assert run_args(["run", *arguments, "--no-report"]) == 0
    assert {cell.key: cell.records() for cell in store.cells()} == before
    assert len(vlm.calls) == asked


class ServedToy(Colours):
    """Behind a server; `tokens` of an image of 32 x 40 pixels, None if it cannot count them."""

    address = "http://localhost:9"
    tokens: int | None = None

    def visual_tokens(self, height_px: int, width_px: int) -> int:
        if self.tokens is None:
            raise VLMError("cannot count")
        assert (height_px, width_px) == (32, 40)
        return self.tokens


def test_visual_tokens_of_stored_answers_follow_the_vlms_count(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = ServedToy(name="toy")
    monkeypatch.setattr("eyechart.vlms.open_vlm", lambda name, **options: toy)
    # What a later run cannot count stays as it was.
    for tokens, stored in ((None, 0), (7, 7), (None, 7)):
        toy.tokens = tokens
        assert run_args(["run", *arguments, "--codecs", "source", "--no-report"]) == 0
        (cell,) = Store(tmp_path / "run").cells()
        assert {record.visual_tokens for record in cell.records()} == {stored}
    assert len(toy.calls) == 1  # nothing was asked again


def test_failures_are_counted_and_code_1(
    arguments: list[str], vlm: Colours, capsys: pytest.CaptureFixture[str]
) -> None:
    def never_jpeg_1(request: Request) -> None:
        if (request.codec, request.level) == ("jpeg", "1"):
            raise VLMError("too blurred")

    vlm.refuse = never_jpeg_1
    assert run_args(["run", *arguments]) == 1
    said = capsys.readouterr()
    assert "too blurred" in said.out
    assert "6 questions failed" in said.err
    assert run_args(["run", *arguments]) == 1
    assert "6 questions failed permanently; --retry-failed" in capsys.readouterr().err
    vlm.refuse = None
    assert run_args(["run", *arguments, "--retry-failed"]) == 0


def test_ctrl_c_prints_how_to_continue(
    arguments: list[str],
    vlm: Colours,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(request: Request) -> None:
        raise KeyboardInterrupt

    vlm.refuse = stop
    monkeypatch.setattr("sys.argv", ["eyechart", "run", *arguments])
    assert run_args(["run", *arguments]) == 130
    line = capsys.readouterr().err
    assert "Continue with: eyechart run" in line
    assert "Traceback" not in line


@pytest.mark.parametrize("place", ["file", "file/run", "full"])
def test_a_directory_that_cannot_be_used_is_bad_input(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    assert run_args(["run", *arguments, "--out", str(tmp_path / place)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / place) in line


def test_bad_names_are_found_before_anything_is_written(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for change in (["--codecs", "jpg"], ["--tasks", "GQA"], ["--adapter", "none,nowhere"]):
        assert run_args(["run", *arguments, *change]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_two_runs_at_once_exclude_each_other(
    arguments: list[str], tmp_path: Path, vlm: Colours, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []

    def run_again(request: Request) -> None:
        if not codes:
            codes.append(-1)
            codes.append(run_args(["run", *arguments]))
            codes.append(run_args(["rescore", str(tmp_path / "run")]))

    vlm.refuse = run_again
    assert run_args(["run", *arguments]) == 0
    assert codes == [-1, 1, 1]
    assert capsys.readouterr().err.count("in use by") == 2


def test_the_plan_is_estimated_without_running(
    arguments: list[str], tmp_path: Path, vlm: Colours, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["plan", arguments[0], "--max-images", "4", "--rate", "0.5"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "POPE 4 4",
        "source 1",
        "jpeg 4",
        "cells 5",
        "images 20 to",
        "questions 20",
        "VLM time 0:40",
    ):
        assert words in shown
    assert "40x32" in shown
    assert vlm.calls == []
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_how_fast_it_was_and_a_plan_reads_it(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = ["plan", arguments[0], "--rates", str(tmp_path / "run")]
    assert run_args(["run", *arguments, "--no-report"]) == 0
    assert run_args(rates) == 2  # 30 questions say nothing
    monkeypatch.setattr("eyechart.runner.rates.MIN_QUESTIONS", 5)
    fresh = [*arguments, "--out", str(tmp_path / "run2"), "--batch", "2", "--no-report"]
    assert run_args(["run", *fresh]) == 0
    capsys.readouterr()
    assert run_args([*rates[:3], str(tmp_path / "run2")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "/s in run2, device auto)" in shown


def test_the_papers_plan_is_estimated_without_its_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LMUData", raising=False)
    assert run_args(["plan", "paper"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "cells 2,835" in shown  # 9 VLMs x 7 tasks x (11 codecs x 4 levels + uncompressed)
    assert "images 1,056,645 to" in shown
    assert "no checkpoint in" in shown


def test_a_report_shows_what_is_stored_now(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, frozen = str(tmp_path / "run"), tmp_path / "run" / "analysis.json"

    def scores() -> set[float]:
        return {cell["score"]["value"] for cell in json.loads(frozen.read_text())["cells"]}

    assert run_args(["run", *arguments, "--max-images", "4"]) == 0
    before = frozen.read_bytes()
    assert run_args(["report", out]) == 0
    assert frozen.read_bytes() == before  # the same records: as it was, its date included
    assert run_args(["run", *arguments, "--no-report"]) == 0
    assert run_args(["report", out]) == 0
    assert json.loads(frozen.read_text())["tasks"][0]["questions"] == 6
    assert scores() == {100.0}
    monkeypatch.setattr("eyechart.tasks.tsv_task.TsvTask.score", _all_wrong)
    assert run_args(["rescore", out]) == 0
    assert run_args(["report", out]) == 0
    assert scores() == {0.0}
    frozen.write_text('{"of": "an older version"}')
    assert run_args(["report", out]) == 0
    assert scores() == {0.0}


def _all_wrong(self: object, question: Question, answer: str) -> Score:
    return Score(question_id=question.id, value=0.0, parsed_answer="No", parsed=True)


def test_rescore_finds_the_data_by_itself(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["run", *arguments, "--no-report"]) == 0
    cell = Store(tmp_path / "run").cells()[0]
    (record, *others) = cell.records()
    cell.replace_records([replace(one, parsed=False) for one in (record, *others)])
    assert cell.records() != [record, *others]
    capsys.readouterr()
    assert run_args(["rescore", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == "5 cells, 30 answers, 6 scores changed\n"
    assert cell.records() == [record, *others]


def test_another_version_of_the_data_is_refused_before_a_question(
    arguments: list[str],
    data: Path,
    tmp_path: Path,
    vlm: Colours,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_args(["run", *arguments]) == 0
    files = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    other = tmp_path / "other"
    other.mkdir()
    table = (data / "POPE.tsv").read_text()
    (other / "POPE.tsv").write_text(table.replace("Is it red?", "Is it rather red?"))
    vlm.calls.clear()
    capsys.readouterr()
    assert run_args(["run", *arguments, "--data", str(other)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    held = Store(tmp_path / "run").cells()[0].cell.task.version
    assert f"holds answers about POPE of version {held}, its data in {other} is of version" in line
    assert vlm.calls == []
    assert files == {path: path.read_bytes() for path in files}
    assert run_args(["encode", *arguments, "--data", str(other)]) == 2


def test_a_data_folder_without_the_tasks_asked_before_is_refused(
    arguments: list[str], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["run", *arguments, "--no-report"]) == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "GQA_TestDev_Balanced.tsv").write_text((data / "POPE.tsv").read_text())
    assert run_args(["run", *arguments, "--data", str(other), "--tasks", "GQA"]) == 2
    assert "holds answers about POPE of version" in capsys.readouterr().err
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("POPE.tsv", "GQA_TestDev_Balanced.tsv"):
        (copy / name).write_text((data / "POPE.tsv").read_text())
    more = ["--data", str(copy), "--tasks", "GQA", "--codecs", "source"]
    assert run_args(["run", *arguments, *more]) == 0


def test_a_run_without_a_table_is_not_a_success(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["run", *arguments, "--no-report"]) == 0
    cell = Store(tmp_path / "run").cells()[0]
    (cell.path / "asked.json").write_text('{"images":6,"questions":7}\n')
    capsys.readouterr()
    assert run_args(["run", *arguments]) == 1
    assert "asked.json: damaged (says 7 questions, the task has 6)" in capsys.readouterr().err
    assert run_args(["report", str(tmp_path / "run")]) == 1


def test_an_analysis_that_was_changed_is_made_again(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, frozen = tmp_path / "run", tmp_path / "run" / "analysis.json"
    assert run_args(["run", *arguments]) == 0
    written = frozen.read_text()
    changed = written.replace('"failed":0', '"failed":1', 1)
    assert changed != written
    frozen.write_text(changed)
    assert run_args(["report", str(out)]) == 0
    assert '"failed":1' not in frozen.read_text()
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "analysis.json").write_text(changed)
    capsys.readouterr()
    assert run_args(["report", str(alone)]) == 2
    assert "was changed after it was written" in capsys.readouterr().err
    (alone / "analysis.json").write_text(written)
    assert run_args(["report", str(alone)]) == 0


def test_damaged_rates_do_not_keep_a_run_from_its_table(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("eyechart.runner.rates.MIN_QUESTIONS", 5)
    (tmp_path / "run" / "cells").mkdir(parents=True)
    (tmp_path / "run" / "rates.yaml").write_text("{")
    assert run_args(["run", *arguments, "--batch", "2"]) == 0
    assert "BD-Metric against" in capsys.readouterr().out
