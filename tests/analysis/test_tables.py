"""Tables: their contents, which are equal in every format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from eyechart.analysis.analyse import analyse
from eyechart.analysis.files import FILE_NAME, read_analysis, write_analysis
from eyechart.analysis.labels import Labels
from eyechart.analysis.render import FORMATS, render
from eyechart.analysis.result import Analysis, Interval
from eyechart.analysis.score_tables import score_tables
from eyechart.analysis.table import Entry, Table, TableRow, marked, signed
from eyechart.analysis.table_notes import PER_DEVICE
from eyechart.analysis.tables import TableKind, tables_of
from eyechart.cli import run_args
from eyechart.cli.table_view import show
from eyechart.core.errors import InputError
from eyechart.core.records import CodecFacts
from eyechart.core.types import CodecCategory, Component
from eyechart.report.html import render_report
from tests.analysis import toy
from tests.report.acuity_analysis import acuity_analysis
from tests.report.synthetic_analysis import full_analysis


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    rights = {("source", 0, ""): 0.95}
    for codec, best in (("grey", 0.7), ("blue", 0.8), ("red", 0.5)):
        for rank in range(3):
            rights[codec, rank, ""] = best - 0.1 * (2 - rank)
            rights[codec, rank, "for-grey"] = best - 0.05 * (2 - rank)
    root = tmp_path_factory.mktemp("run")
    toy.a_run(root, rights)
    return analyse(root, samples=200, examples=0, created="", load=toy.load)


def drawn(tables: list[Table], width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    show(tables, Console(file=file, width=width))
    file.flush()
    return raw.getvalue().decode(encoding)


def test_a_codec_with_options_was_seen_where_its_name_was_trained_on(tmp_path: Path) -> None:
    store = toy.a_run(tmp_path, {("source", 0, ""): 0.95})
    tuned = Component(name="for-grey", version="1", options={"trained_codecs": ["source", "grey"]})
    for name, options in (("grey", {"fine": True}), ("grey", {"fine": False}), ("blue", {})):
        for rank in range(3):
            for adapter in (None, tuned):
                codec = Component(name=name, version="1", options=options)
                cell = replace(toy.cell(rank=rank, adapter=adapter), codec=codec)
                store.add(cell).append_records(toy.records(0.5, 10 * (rank + 1)))
    analysis = analyse(tmp_path, samples=0, examples=0, created="", load=toy.load)
    (table,) = tables_of(analysis, "adapter")
    assert {row.keys[1]: row.keys[2] for row in table.rows} == {
        "grey:fine=false": "yes",
        "grey:fine=true": "yes",
        "blue": "no",
    }


def test_bd_table_names_the_rates_and_ranks_nothing(analysis: Analysis) -> None:
    (table,) = tables_of(analysis, "bd")
    rates = [cell.bpp for cell in analysis.cells if cell.codec == "blue"]
    assert f"blue {min(rates):.2g}–{max(rates):.2g}" in table.legend
    assert table.columns == ("blue", "grey", "red")
    assert [row.keys for row in table.rows] == [("reader", "toy"), ("reader + for-grey", "toy")]
    assert {entry.mark for row in table.rows for entry in row.entries} == {""}
    for entry in table.rows[0].entries:
        assert entry.low is not None
        assert entry.value is not None
        assert entry.high is not None
        assert entry.low < entry.value < entry.high


def test_codecs_are_ordered_by_category_and_the_table_names_them(tmp_path: Path) -> None:
    store = toy.a_run(tmp_path, {("source", 0, ""): 0.95})
    categories: dict[str, CodecCategory] = {"blue": "generative", "grey": "traditional"}
    for name, category in categories.items():
        for rank in range(3):
            stored = store.add(toy.cell(name, rank), CodecFacts(category=category))
            stored.append_records(toy.records(0.5 + 0.1 * rank, 10 * (rank + 1)))
    analysis = analyse(tmp_path, samples=0, examples=0, created="", load=toy.load)
    (table,) = tables_of(analysis, "bd")
    assert table.columns == ("grey", "blue")
    assert table.legend.startswith("traditional: grey; generative: blue · ")
    assert all(one.groups == ("traditional", "generative") for one in tables_of(analysis, "pairs"))
    _, heads, names, *_ = drawn([table], 100).splitlines()
    assert heads.split() == ["traditional", "generative"]
    assert names.split()[-2:] == ["grey", "blue"]
    write_analysis(analysis, tmp_path / FILE_NAME)
    assert read_analysis(tmp_path / FILE_NAME) == analysis


def test_pair_tables_compare_each_codec_with_each_other(analysis: Analysis) -> None:
    quality, rate = tables_of(analysis, "pairs")
    for table in (quality, rate):
        assert table.columns == ("blue", "grey", "red")
        assert [row.keys[1] for row in table.rows[:3]] == ["blue", "grey", "red"]
    (blue, grey, red) = (row.entries for row in quality.rows[:3])
    assert blue[0].value is None
    for one, other in ((blue[1], grey[0]), (blue[2], red[0]), (grey[2], red[1])):
        assert one.value is not None
        assert one.value == -(other.value or 0)
        assert {one.mark, other.mark} in ({""}, {"gain", "loss"})
        if one.mark:
            assert min(abs(one.low or 0), abs(one.high or 0)) > 0
    (blue, grey, red) = (row.entries for row in rate.rows[:3])
    for one, other in ((blue[1], grey[0]), (blue[2], red[0]), (grey[2], red[1])):
        if one.value is not None and other.value is not None:
            assert (1 + one.value / 100) * (1 + other.value / 100) == pytest.approx(1)
        else:
            assert one.notes


def test_score_table_begins_with_the_uncompressed_score(analysis: Analysis) -> None:
    (table,) = tables_of(analysis, "scores")
    assert table.columns == ("bpp", "accuracy", "asked", "unparsed %")
    assert table.rows[0].keys == ("reader", "source", "")
    assert len(table.rows) == 1 + 9 + 9
    assert table.rows[0].entries[1].value == max(
        row.entries[1].value or 0 for row in table.rows if row.keys[0] == "reader"
    )


def test_rows_of_one_vlm_are_adjacent_for_any_order_of_results(
    analysis: Analysis,
) -> None:
    again = [replace(bd, task="toy 2") for bd in analysis.bd]
    (table,) = tables_of(replace(analysis, bd=(*analysis.bd, *again)), "bd")
    readers = [row.keys[0] for row in table.rows]
    assert readers == ["reader", "reader", "reader + for-grey", "reader + for-grey"]


def test_choice_sets_and_free_answers_are_in_separate_tables(analysis: Analysis) -> None:
    mark = " (choice set)"
    both = replace(
        analysis,
        cells=(
            *analysis.cells,
            *(replace(c, vlm=c.vlm + mark, choices=True) for c in analysis.cells),
        ),
        bd=(*analysis.bd, *(replace(bd, vlm=bd.vlm + mark) for bd in analysis.bd)),
        gaps=(*analysis.gaps, *(replace(gap, vlm=gap.vlm + mark) for gap in analysis.gaps)),
    )
    kinds: tuple[TableKind, ...] = ("bd", "scores", "gap", "adapter")
    for kind in kinds:
        free, tables = tables_of(analysis, kind), tables_of(both, kind)
        assert tables[: len(free)] == free
        assert len(tables) == 2 * len(free) > 0
        for table in tables[len(free) :]:
            assert table.title.endswith("answers from a choice set")
            assert all(mark in row.keys[0] or mark in table.title for row in table.rows)


def test_gap_table_has_the_six_lines_of_table_3(analysis: Analysis) -> None:
    lowest, mean = tables_of(analysis, "gap")
    assert lowest.columns == ("grey",)
    assert "lowest level" in lowest.title
    assert "mean" in mean.title
    names = [row.keys[1] for row in lowest.rows]
    assert names[-3:] == ["performance gap", "information gap", "generalization gap"]
    values = [row.entries[0].value or 0.0 for row in lowest.rows]
    clean, compressed, tuned, performance, information, generalization = values
    assert performance == pytest.approx(clean - compressed)
    assert information == pytest.approx(clean - tuned)
    assert generalization == pytest.approx(tuned - compressed)


def test_adapter_table_distinguishes_seen_and_unseen_codecs(analysis: Analysis) -> None:
    (table,) = tables_of(analysis, "adapter")
    seen = {row.keys[1]: row.keys[2] for row in table.rows}
    assert seen == {"grey": "yes", "blue": "no", "red": "no"}
    assert table.rows[0].keys[1] == "grey"
    assert {entry.mark for row in table.rows for entry in row.entries} <= {"gain", "loss", ""}


def test_a_run_without_adapters_has_no_adapter_tables(tmp_path: Path) -> None:
    toy.a_run(tmp_path, {("source", 0, ""): 0.9, ("grey", 0, ""): 0.4, ("grey", 1, ""): 0.5})
    plain = analyse(tmp_path, samples=0, examples=0, created="", load=toy.load)
    assert tables_of(plain, "gap") == []
    assert tables_of(plain, "adapter") == []


def test_every_format_carries_the_same_figures(analysis: Analysis) -> None:
    (table,) = tables_of(analysis, "bd")
    ranked = tuple(replace(row, entries=marked(row.entries)) for row in table.rows)
    tables = [replace(table, rows=ranked)]
    values = [entry.value for row in tables[0].rows for entry in row.entries]
    read = list(csv.DictReader(io.StringIO(render(tables, "csv"))))
    assert [float(row["value"]) for row in read] == values
    assert read[0]["codec"] == "blue"
    assert read[0]["mark"] == "best"
    (loaded,) = json.loads(render(tables, "json"))
    assert [e["value"] for row in loaded["rows"] for e in row["codec"].values()] == values
    markdown, latex = render(tables, "md"), render(tables, "latex")
    for row in tables[0].rows:
        for entry in row.entries:
            assert entry.text in markdown
            assert entry.text in latex
    best = tables[0].rows[0].entries[0].text
    assert f"**{best}**" in markdown
    assert rf"\mathbf{{{best}}}" in latex
    with pytest.raises(InputError, match="unknown format 'pdf'"):
        render(tables, "pdf")


def test_latex_escapes_what_it_must_and_closes_what_it_opens() -> None:
    entry = Entry(value=1.0, low=0.5, high=1.5, notes=("50 % of_it & #1",))
    table = Table(
        title="a_b & 5%", keys=("VLM",), column_kind="codec", columns=("x_1",),
        rows=(TableRow(keys=("q{w}",), entries=(entry,)),),
    )  # fmt: skip
    latex = render([table], "latex")
    assert r"a\_b \& 5\%" in latex
    assert r"50 \% of\_it \& \#1" in latex
    assert r"q\{w\}" in latex
    for environment in ("table", "tabular"):
        begin, end = rf"\begin{{{environment}}}", rf"\end{{{environment}}}"
        assert latex.count(begin) == latex.count(end) == 1
    unescaped = latex.replace(r"\{", "").replace(r"\}", "")
    assert unescaped.count("{") == unescaped.count("}")


def test_neighbouring_columns_of_one_group_have_one_heading() -> None:
    columns, groups = ("jpeg", "vvc", "own", "elic"), ("traditional", "traditional", "", "learned")
    entries = tuple(Entry(value=float(place)) for place in range(4))
    table = Table(
        title="", keys=("VLM", "task"), column_kind="codec", columns=columns, groups=groups,
        rows=(TableRow(keys=("v", "t"), entries=entries),),
    )  # fmt: skip
    latex = render([table], "latex")
    assert r" &  & \multicolumn{2}{c}{traditional} & \multicolumn{1}{c}{} & " in latex
    assert r"\cmidrule(lr){3-4} \cmidrule(lr){6-6}" in latex
    assert drawn([table], 100).count("traditional") == 1
    assert r"\cmidrule" not in render([replace(table, groups=())], "latex")


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_terminal_stays_within_its_width_and_loses_nothing(analysis: Analysis, width: int) -> None:
    tables = tables_of(analysis, "bd")
    text = drawn(tables, width)
    assert max(map(len, text.splitlines())) <= width
    for row in tables[0].rows:
        for entry in row.entries:
            assert entry.text in text


def test_terminal_aligns_figures_on_their_last_digit(analysis: Analysis) -> None:
    text = drawn(tables_of(analysis, "scores"), 100)
    lines = [line for line in text.splitlines() if line.startswith("  grey")]
    ends = {line.index("…") for line in lines} | {line.rindex(".") for line in lines}
    assert len(lines) == 6
    assert len(ends) == 2


def test_terminal_without_unicode_still_prints(analysis: Analysis) -> None:
    text = drawn(tables_of(analysis, "adapter"), 80, encoding="ascii")
    assert "^" in text
    assert " ~ " in text
    assert "L(X, ?)" in drawn(tables_of(analysis, "gap"), 80, encoding="ascii")


def test_a_footnote_never_joins_the_figure_where_superscripts_are_missing() -> None:
    rows = (TableRow(keys=("a",), entries=(Entry(value=100.0, decimals=0, notes=("why",)),)),)
    table = Table(title="t", keys=("k",), column_kind="codec", columns=("jpeg",), rows=rows)
    assert "100¹" in drawn([table], 80)
    plain = drawn([table], 80, encoding="ascii")
    assert "100[1]" in plain
    assert "[1] why" in plain


def test_equal_figures_share_a_mark_and_few_have_none() -> None:
    def marks(*values: float | None) -> list[str]:
        return [entry.mark for entry in marked([Entry(value=value) for value in values])]

    assert marks(-1.0, -2.0, -1.0, -3.0) == ["best", "second", "best", ""]
    assert marks(-1.001, -1.002, -5.0) == ["best", "best", ""]
    assert marks(-1.0, -2.0) == ["best", ""]
    assert marks(-1.0) == [""]
    assert marks(-1.0, -1.0) == ["", ""]
    assert marks(-1.0, None, -2.0, -3.0) == ["best", "", "second", ""]


def test_only_an_interval_clear_of_zero_is_a_gain_or_loss() -> None:
    entries = [
        Entry(value=2, low=1, high=3),
        Entry(value=-2, low=-3, high=-1),
        Entry(value=1, low=-1, high=3),
        Entry(value=5),
    ]
    assert [entry.mark for entry in signed(entries)] == ["gain", "loss", "", ""]


def test_labels_show_only_distinguishing_options() -> None:
    plain = Component(name="jpeg", version="1")
    other = Component(name="jpeg", version="1", options={"optimize": False, "for_task": "x"})
    third = Component(name="vvc", version="2", options={"preset": "fast"})
    labels = Labels([plain, other, third, plain])
    assert [labels.of(c) for c in (plain, other, third)] == ["jpeg", "jpeg:optimize=false", "vvc"]
    assert labels.of(None) == ""
    newer = Component(name="jpeg", version="2")
    both = Labels([plain, newer])
    assert {both.of(plain), both.of(newer)} == {"jpeg 1", "jpeg 2"}


def test_a_table_without_an_interval_promises_none() -> None:
    whole = full_analysis()
    none = [
        replace(
            one, bd=one.bd and Interval(value=one.bd.value, low=one.bd.value, high=one.bd.value)
        )
        for one in whole.bd
    ]
    (before, *_) = tables_of(whole, "bd")
    (after, *_) = tables_of(replace(whole, bd=tuple(none)), "bd")
    assert "95 % intervals: 2000 paired resamplings" in before.legend
    assert "intervals" not in after.legend
    assert "over each codec's own rates" in after.legend


@pytest.fixture
def curve(tmp_path: Path) -> Path:
    path = tmp_path / "curve.csv"
    path.write_text("level,bpp,score\n1,0.1,50\n2,0.2,60\n3,0.4,70\n")
    return path


def test_bd_of_a_csv_file(curve: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["bd", "--curve", str(curve), "--anchor", "80", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert -30 < found["bd_metric"] < -10
    assert found["flags"] == []
    assert run_args(["bd", "--curve", str(curve), "--against", str(curve)]) == 0
    assert "+0.0000   over 0.1 to 0.4 bpp" in capsys.readouterr().out


def test_bd_rate_needs_no_shared_rates(
    curve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of JPEG beside VVC: the same scores at ten times the rate."""
    costly = tmp_path / "costly.csv"
    costly.write_text("bpp,score\n1,50\n2,60\n4,70\n")
    args = ["bd", "--curve", str(costly), "--against", str(curve)]
    assert run_args(args) == 0
    metric, rate = capsys.readouterr().out.splitlines()
    assert metric == "BD-Metric none: the curves share no bpp range: 1 to 4 against 0.1 to 0.4"
    assert rate == "BD-rate   +900.00 %   over 50 to 70 points"
    assert run_args([*args, "--rate"]) == 0
    assert capsys.readouterr().out.splitlines() == [rate]
    assert run_args([*args, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bd_metric"] is None
    assert found["bd_rate_percent"] == pytest.approx(900)
    assert found["score_range"] == [50, 70]
    flat = tmp_path / "flat.csv"
    flat.write_text("bpp,score\n0.1,50\n0.4,50\n")
    assert run_args(["bd", "--curve", str(curve), "--against", str(flat)]) == 0
    said = "BD-rate   none: the scores of a curve do not rise with the rate; BD-rate needs that"
    assert said in capsys.readouterr().out.splitlines()
    worse = tmp_path / "worse.csv"
    worse.write_text("bpp,score\n1,20\n2,30\n")
    assert run_args(["bd", "--curve", str(worse), "--against", str(curve)]) == 2
    assert "worse.csv, " in (error := capsys.readouterr().err)
    assert "the curves share no bpp range" in error
    assert run_args(["bd", "--curve", str(curve), "--anchor", "80", "--rate"]) == 2
    assert "--rate compares two curves; give --against CSV" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bpp,points\n0.1,50\n", "no column 'score'; its columns: bpp, points"),
        ("", "no column 'bpp'; its columns: none"),
        ("bpp,score\n0.1,fifty\n", "line 2: score is 'fifty', not a number"),
        ("bpp,score\n0.1,50\n0.2\n", "line 3: score is None, not a number"),
        ("bpp,score,bpp\n0.1,50,0.2\n", "more than one column 'bpp'; its columns: bpp, score, bpp"),
        ("bpp,score\n0.1,50\n", "1 point; a curve needs at least 2"),
        ("bpp,score\n0.1,50\n0.1,60\n", "all points are at 0.1 bpp"),
        ("bpp,score\n0.1,50\n0.2,nan\n", "NaN or infinite"),
    ],
)
def test_an_unusable_csv_file_is_one_clear_line(
    tmp_path: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert run_args(["bd", "--curve", str(path), "--anchor", "80"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "bad.csv" in error
    assert error.count("\n") == 1


def test_bd_needs_one_anchor(curve: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["bd", "--curve", str(curve)]) == 2
    assert run_args(["bd", "--curve", str(curve), "--anchor", "1", "--against", str(curve)]) == 2
    assert run_args(["bd", "--curve", str(curve), "--anchor", "nan"]) == 2
    assert run_args(["bd", "--curve", "absent.csv", "--anchor", "1"]) == 2
    assert "absent.csv: cannot be read" in capsys.readouterr().err


def test_a_codec_that_is_reproducible_per_device_gets_a_footnote_in_every_format(
    tmp_path: Path,
) -> None:
    store = toy.a_run(tmp_path, {("source", 0, ""): 0.95})
    facts = {"grey": CodecFacts(reproducible="per device"), "blue": CodecFacts()}
    for codec in facts:
        for rank in range(3):
            stored = store.add(toy.cell(codec, rank), facts[codec])
            stored.append_records(toy.records(0.5, 10 * (rank + 1)))
    analysis = analyse(tmp_path, samples=0, examples=0, created="", load=toy.load)
    write_analysis(analysis, tmp_path / FILE_NAME)
    assert read_analysis(tmp_path / FILE_NAME) == analysis
    kinds: tuple[TableKind, ...] = ("bd", "scores")
    for kind in kinds:
        tables = tables_of(analysis, kind)
        for text in (drawn(tables, 200), *(render(tables, form) for form in FORMATS)):
            assert text.count(PER_DEVICE) >= 1
        noted = {
            (row.keys, column)
            for row in tables[0].rows
            for column, entry in zip(tables[0].columns, row.entries, strict=True)
            if PER_DEVICE in entry.notes
        }
        assert noted
        assert all("grey" in (*keys, column) for keys, column in noted)
    assert "images of grey are reproducible per device" in render_report(analysis)


def test_bitwise_codecs_leave_no_trace_in_the_output(analysis: Analysis, tmp_path: Path) -> None:
    write_analysis(analysis, tmp_path / FILE_NAME)
    assert "reproducible" not in (tmp_path / FILE_NAME).read_text()
    assert "per device" not in render_report(analysis)
    assert PER_DEVICE not in drawn(tables_of(analysis, "scores"), 200)


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ((6.95, 6.0, 8.0), ["6.95", "6.00", "8.00"]),
        ((6.95, 0.0, 8.0), ["6.95", "< 6", "8.00"]),
        ((40.0, 35.5, 0.0), ["40.00", "35.50", "> 42"]),
        ((0.0, 35.5, 0.0), ["> 42", "35.50", "> 42"]),
        ((0.0, 40.5, 50.0), ["> 42", "40.50", "50.00"]),
        ((0.0, 0.0, 7.5), ["< 6", "< 6", "7.50"]),
        ((0.0, 4.5, 7.5), ["< 6", "4.50", "7.50"]),
        ((0.0, 0.0, 0.0), ["–", "–", "–"]),
    ],
)
def test_open_ends_of_a_threshold_are_no_zeros(
    sizes: tuple[float, float, float], shown: list[str]
) -> None:
    run = acuity_analysis()
    one = run.tasks[0].thresholds[0]
    names = (one.metric, one.low, one.high)
    others = dict.fromkeys(names, 11.25)  # which gives the columns their decimals
    metrics = [dict(zip(names, sizes, strict=True)), others]
    cells = [replace(run.cells[0], metrics=own) for own in metrics]
    (table,) = score_tables(replace(run, cells=tuple(cells)))
    entries = [table.rows[0].entries[table.columns.index(name)] for name in names]
    assert [entry.text for entry in entries] == shown
    assert [entry.value for entry in entries] == list(sizes)
    assert " | ".join(shown) in render([table], "md")
    latex = ["--" if text == "–" else f"${text}$" for text in shown]
    assert " & ".join(latex) in render([table], "latex")
