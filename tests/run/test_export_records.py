"""`eyechart export records`: the stored records, a row for each question."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from eyechart.cli import run_args
from eyechart.core.records import Cell, Failure, Record
from eyechart.core.types import Component, Decoding, Level, component_of
from eyechart.runner.export_records import COLUMNS
from eyechart.store import Store
from eyechart.tasks import open_tasks

ANSWER = 'Yes, "it" is\n=1+1; ünd\tso'


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Two cells of the built-in POPE: one with a record and a failure, one with a record."""
    (task,) = open_tasks(["POPE"], "eyechart-mini")
    first, second = task.questions()[:2]
    store = Store(tmp_path / "run")
    store.create()
    store.write_info(store.info().__class__(title="t", data="eyechart-mini"))
    for rank, adapter in enumerate((None, Component(name="tuned", version="a1"))):
        stored = store.add(
            Cell(
                task=component_of(task),
                codec=Component(name="jpeg", version="9", options={"optimize": True}),
                level=Level(name=f"q{rank}", rank=rank, knobs={}),
                vlm=Component(name="toy", version="1", options={"tiles": 6}),
                adapter=adapter,
                decoding=Decoding(max_new_tokens=4),
            )
        )
        record = Record(
            question_id=first.id,
            image=first.image,
            answer=ANSWER,
            value=1.0,
            parsed_answer="Yes",
            parsed=True,
            payload_bytes=300,
            height_px=20,
            width_px=40,
            truncated=rank == 1,
        )
        stored.append_records([record])
        if rank == 0:
            failure = Failure(
                question_id=second.id,
                image=second.image,
                stage="encode",
                kind="CodecError",
                message="jpeg level q0: cannot",
                retryable=False,
            )
            stored.append_failures([failure])
    return tmp_path / "run"


def export(run_dir: Path, out: Path, *more: str) -> int:
    return run_args(["export", "records", str(run_dir), str(out), *more])


def test_csv_has_a_row_a_question_of_every_cell(run_dir: Path, tmp_path: Path) -> None:
    assert export(run_dir, tmp_path / "all.csv") == 0
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 3
    answered = [row for row in rows if not row["failure"]]
    (failed,) = (row for row in rows if row["failure"])
    assert [row["adapter"] for row in answered] == ["", "tuned"]
    (task,) = open_tasks(["POPE"], "eyechart-mini")
    question = task.questions()[0]
    row = answered[0]
    assert (row["index"], row["image"]) == (question.id, question.image)
    assert (row["question"], row["answer"]) == (question.text, question.answer)
    assert (row["prediction"], row["parsed_answer"]) == (ANSWER, "Yes")
    assert (row["vlm"], row["codec"], row["level"], row["task"]) == ("toy", "jpeg", "q0", "POPE")
    assert json.loads(row["vlm_options"]) == {"tiles": 6}
    assert float(row["bpp"]) == 8 * 300 / 800
    assert (float(row["score"]), row["parsed"]) == (1.0, "True")
    assert [row["truncated"] for row in rows] == ["False", "", "True"]
    assert failed["failure"] == "encode: jpeg level q0: cannot"
    assert (failed["prediction"], failed["score"], failed["bpp"]) == ("", "", "")


def test_parquet_holds_the_same(run_dir: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    assert export(run_dir, tmp_path / "all.parquet") == 0
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.column_names == list(COLUMNS)
    rows = table.to_pylist()
    assert [row["prediction"] for row in rows if row["score"] is not None] == [ANSWER, ANSWER]
    (failed,) = (row for row in rows if row["score"] is None)
    assert failed["failure"].startswith("encode")
    assert {str(table.schema.field(name).type) for name in ("bpp", "score")} == {"double"}


def test_parquet_without_pyarrow_names_the_install_command(
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "eyechart.runner.export_records.find_spec",
        lambda name: None if name == "pyarrow" else there(name),
    )
    assert export(run_dir, tmp_path / "all", "--format", "parquet") == 2
    printed = capsys.readouterr().err
    assert printed.endswith("parquet needs pyarrow; pip install 'eyechart[parquet]'\n")
    assert printed.count("\n") == 1
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    ("out", "more", "message"),
    [
        ("all.txt", (), "name the format (csv, parquet)"),
        ("all", (), "name the format (csv, parquet)"),
        ("none/all.csv", (), "there is no folder"),
        ("all.csv", ("--data", "nowhere"), "nowhere (data) does not exist"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    out: str,
    more: tuple[str, ...],
    message: str,
) -> None:
    assert export(run_dir, tmp_path / out, *more) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_without_answers_and_a_folder_without_a_run_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(tmp_path / "empty").create()
    assert export(tmp_path / "empty", tmp_path / "all.csv") == 2
    assert "no question was answered here yet" in capsys.readouterr().err
    assert export(tmp_path / "nothing", tmp_path / "all.csv") == 2
    assert "no eyechart run here" in capsys.readouterr().err
    assert not list(tmp_path.glob("*all*")) + list(tmp_path.glob(".*"))
