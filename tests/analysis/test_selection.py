"""Tables of a part of a run, and the CSV of curves that `eyechart bd` reads."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from eyechart.analysis.render import render
from eyechart.analysis.result import Analysis, Interval, QualityResult
from eyechart.analysis.selection import Selection, select
from eyechart.analysis.tables import TableKind, tables_of
from eyechart.cli import run_args
from eyechart.core.errors import InputError
from tests.analysis.toy import a_run
from tests.report.synthetic_analysis import CODECS, TASKS, full_analysis


def labelled() -> Analysis:
    """POPE's headline metric has another name in papers."""
    analysis = full_analysis()
    tasks = (replace(analysis.tasks[0], metric_labels={"Overall": "F1, %"}), *analysis.tasks[1:])
    return replace(analysis, tasks=tasks)


def test_a_selection_keeps_its_names_and_the_uncompressed_image() -> None:
    analysis = select(full_analysis(), Selection(tasks=("MME", "POPE"), codecs=("vvc", "hevc")))
    assert [task.name for task in analysis.tasks] == ["MME", "POPE"]
    assert {cell.codec for cell in analysis.cells} == {"source", "vvc", "hevc"}
    assert {cell.task for cell in analysis.cells} == {"MME", "POPE"}
    assert {bd.codec for bd in analysis.bd} == {"vvc", "hevc"}
    assert {(pair.codec, pair.against) for pair in analysis.pairs} == {("vvc", "hevc")}
    levels = select(full_analysis(), Selection(levels=("QP42",)))
    assert {cell.level for cell in levels.cells} == {"", "QP42"}
    assert levels.bd == full_analysis().bd


def test_chosen_levels_hold_for_the_quality_too() -> None:
    whole = full_analysis()
    value = Interval(value=30.0, low=29.0, high=31.0)
    quality = tuple(
        QualityResult(task="POPE", codec="vvc", level=level, metric="PSNR", quality=value, images=9)
        for level in ("QP42", "QP45")
    )
    chosen = select(replace(whole, quality=quality), Selection(levels=("QP42",)))
    assert chosen.quality == quality[:1]


@pytest.mark.parametrize("wanted", ["Overall", "F1", "f1, %"])
def test_a_metric_is_chosen_by_either_name(wanted: str) -> None:
    chosen = select(labelled(), Selection(tasks=("POPE",), metrics=(wanted,)))
    (table, *_) = tables_of(chosen, "scores")
    assert table.columns == ("bpp", "F1, %", "unparsed %")
    row = json.loads(render([table], "json"))[0]["rows"][0]["metric"]
    assert row["Overall"]["label"] == "F1, %"


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        (Selection(tasks=("POPES",)), "no task 'POPES' in this run; did you mean POPE"),
        (Selection(codecs=("x265",)), "no codec 'x265' in this run"),
        (Selection(levels=("99",)), "no level '99' in this run"),
        (Selection(metrics=("mAP",)), "no metric 'mAP' in this run; known: Overall, random"),
    ],
)
def test_an_unknown_name_is_refused(chosen: Selection, says: str) -> None:
    with pytest.raises(InputError, match=says):
        select(full_analysis(), chosen)


def test_metrics_are_named_as_they_can_be_given() -> None:
    with pytest.raises(InputError, match=r"known: .*F1, ") as raised:
        select(labelled(), Selection(metrics=("mAP",)))
    assert "%" not in str(raised.value)


def test_the_compact_table_has_a_column_for_each_task() -> None:
    (table, *_) = tables_of(full_analysis(), "scores", compact=True)
    assert table.columns == ("bpp", *TASKS)
    assert not any(entry.bounds for row in table.rows for entry in row.entries)
    latex = render([table], "latex")
    assert r"\begin{table*}" in latex
    assert latex.count(r"\multicolumn{10}{l}") == 3  # two VLMs, one of them also with an adapter


@pytest.mark.parametrize("kind", ["bd", "scores", "pairs", "curves"])
def test_wide_csv_has_a_line_for_each_row(kind: TableKind) -> None:
    tables = tables_of(full_analysis(), kind)
    rows = list(csv.DictReader(io.StringIO(render(tables, "csv-wide"))))
    assert len(rows) == sum(len(table.rows) for table in tables)
    first = tables[0].rows[0]
    column, entry = next(
        (column, entry)
        for column, entry in zip(tables[0].columns, first.entries, strict=True)
        if entry.value is not None
    )
    assert float(rows[0][column]) == entry.value


def test_bd_reads_the_curves_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same BD-Metrics as in the run's table, for all curves of one file."""
    (full,) = tables_of(full_analysis(), "curves")[:1]
    rows = [row for row in full.rows if row.keys[2] == "POPE" and not row.keys[1]]
    path = tmp_path / "curves.csv"
    path.write_text(render([replace(full, rows=tuple(rows))], "csv-wide"))
    assert run_args(["bd", "--curve", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 2 * len(CODECS)
    for codec in ("jpeg", "hevc"):
        own = [row for row in rows if row.keys[0] == "eyechart-mini" and row.keys[3] == codec]
        lines = "".join(f"{row.entries[0].value},{row.entries[1].value}\n" for row in own)
        (tmp_path / f"{codec}.csv").write_text(f"bpp,score\n{lines}")
    (best,) = (r for r in rows if r.keys[0] == "eyechart-mini" and r.keys[3] == "source")
    anchor = str(best.entries[1].value)
    one = tmp_path / "jpeg.csv"
    assert run_args(["bd", "--curve", str(one), "--anchor", anchor, "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    (same,) = (line for line in found if line["curve"] == "eyechart-mini POPE jpeg")
    assert alone["bd_metric"] == same["bd_metric"]
    assert run_args(["bd", "--curve", str(path), "--against", str(path)]) == 2
    assert "allowed: one curve, or one for each VLM, adapter and task" in capsys.readouterr().err
    assert run_args(["bd", "--curve", str(one)]) == 2
    assert "no uncompressed score; give --anchor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["bd", "--levels", "1"], "--levels is for the tables scores and curves, not for bd"),
        (["bd", "--metrics", "F1"], "--metrics is for the table scores, not for bd"),
        (["pairs", "--compact"], "--compact is for the headline metrics of the table scores"),
        (["scores", "--tasks", ","], "--tasks ',': no name"),
    ],
)
def test_options_that_a_table_lacks_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    a_run(tmp_path, {("source", 0, ""): 0.9})
    assert run_args(["table", options[0], str(tmp_path), *options[1:]]) == 2
    assert says in capsys.readouterr().err
