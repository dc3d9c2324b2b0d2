"""`eyechart figure`: files with the numbers of the analysis, and one line where there are none."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from eyechart.analysis.deployment import Costs
from eyechart.analysis.files import write_analysis
from eyechart.analysis.result import Analysis, Interval
from eyechart.cli import run_args
from eyechart.core.errors import InputError
from eyechart.report.deployment import draw_times
from eyechart.report.figures import FIGURES, figure_gaps, write_figure
from eyechart.report.style import colour, marker, styles
from eyechart.store.own_files import OwnFiles
from tests.report.acuity_analysis import acuity_analysis
from tests.report.synthetic_analysis import (
    CODECS,
    TASKS,
    VLMS,
    a_recommendation,
    full_analysis,
    minimal_analysis,
)


def nothing_read() -> Analysis:
    """An acuity chart of which only the uncompressed image is read."""
    run = acuity_analysis()
    cells = [
        cell if cell.codec == "source" else replace(cell, metrics=dict.fromkeys(cell.metrics, 0.0))
        for cell in run.cells
    ]
    return replace(run, cells=tuple(cells))


def numbers(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", [figure.names[-1] for figure in FIGURES])
def test_every_figure_is_drawn_the_same_way_twice(tmp_path: Path, name: str) -> None:
    analysis = acuity_analysis() if name == "acuity" else full_analysis()
    first = write_figure(analysis, name, tmp_path / "a.svg", width_mm=180)
    second = write_figure(analysis, name, tmp_path / "b.svg", width_mm=180)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"<svg" in first[0].read_bytes()
    assert len(numbers(first[1])) > 3


@pytest.mark.parametrize("suffix", [".pdf", ".png"])
def test_the_suffix_chooses_the_format(tmp_path: Path, suffix: str) -> None:
    path, _ = write_figure(minimal_analysis(), "curves", tmp_path / f"a{suffix}")
    content = path.read_bytes()
    assert content.startswith(b"%PDF" if suffix == ".pdf" else b"\x89PNG")
    if suffix == ".pdf":
        assert b"/FontFile2" in content  # embedded TrueType


def test_the_numbers_are_those_of_the_analysis(tmp_path: Path) -> None:
    analysis = full_analysis()
    _, path = write_figure(analysis, "4", tmp_path / "a.svg", vlm="eyechart-mini", task="POPE")
    cells = [
        cell
        for cell in analysis.cells
        if (cell.vlm, cell.task) == ("eyechart-mini", "POPE") and not cell.choices
    ]
    found = [(row["codec"], row["adapter"], float(row["score"])) for row in numbers(path)]
    assert found == [(cell.codec, cell.adapter, cell.score.value) for cell in cells]
    _, path = write_figure(analysis, "3a", tmp_path / "b.svg")
    assert {row["vlm"] for row in numbers(path)} == set(VLMS)
    assert {row["task"] for row in numbers(path)} == set(TASKS)


def test_the_smallest_letters_are_the_numbers_of_the_acuity_chart(tmp_path: Path) -> None:
    _, path = write_figure(acuity_analysis(), "acuity", tmp_path / "a.svg", width_mm=180)
    rows = [row for row in numbers(path) if row["signs"] == "letters"]
    full = [row for row in rows if row["condition"] == "contrast 1"]
    found = {row["level"] or row["codec"]: row["smallest_px"] for row in full}
    assert found == {"source": "7.0", "Q1": "", "Q3": "30.0", "Q5": "14.0", "Q6": "9.0"}
    ends = {row["level"]: (row["low"], row["high"]) for row in full if row["level"] == "Q3"}
    assert ends == {"Q3": ("24.0", "42")}  # the open end is that of the chart
    assert len(numbers(path)) == 4 * len(acuity_analysis().cells)


def test_sizes_below_1_have_ticks_above_0(tmp_path: Path) -> None:
    run = acuity_analysis()

    def hundredth(values: Mapping[str, float]) -> dict[str, float]:
        return {name: value / 100 for name, value in values.items()}

    cells = tuple(replace(cell, metrics=hundredth(cell.metrics)) for cell in run.cells)
    (task,) = run.tasks
    sizes = tuple(replace(one, smallest=0.06, largest=0.42) for one in task.thresholds)
    small = replace(run, cells=cells, tasks=(replace(task, thresholds=sizes),))
    svg = write_figure(small, "acuity", tmp_path / "a.svg", width_mm=180)[0].read_text()
    for tick in ("0.06", "0.16", "0.42"):
        assert f"<!-- {tick} -->" in svg


@pytest.mark.parametrize("name", ["bars", "radar-vlms", "radar-tasks", "curves", "radar-codecs"])
def test_a_figure_that_lacks_a_curve_says_which(name: str) -> None:
    whole = full_analysis()
    lost = ("eyechart-mini", "POPE", "vvc")
    cells = [cell for cell in whole.cells if (cell.vlm, cell.task, cell.codec) != lost]
    bd = [one for one in whole.bd if (one.vlm, one.task, one.codec) != lost]
    part = replace(whole, cells=tuple(cells), bd=tuple(bd))
    gaps = set(figure_gaps(part, name).split(", ")) - set(figure_gaps(whole, name).split(", "))
    assert gaps == {"vvc of eyechart-mini on POPE"}
    assert "vvc" not in figure_gaps(part, name, task="GQA", vlm="eyechart-mini")
    assert figure_gaps(part, "uncompressed") == ""


def test_the_missing_curves_of_a_figure_are_a_line_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = full_analysis()
    cells = [cell for cell in whole.cells if (cell.task, cell.codec) != ("POPE", "vvc")]
    write_analysis(replace(whole, cells=tuple(cells)), tmp_path / "analysis.json")
    args = ["figure", "curves", str(tmp_path), "--out", str(tmp_path / "a.svg")]
    assert run_args([*args, "--task", "POPE", "--vlm", "eyechart-mini"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert (
        "not in the figure, because the run has no such curve: vvc of eyechart-mini on POPE"
        in lines
    )


def test_each_vlm_has_a_panel_of_bars(tmp_path: Path) -> None:
    """Names of tasks and VLMs below one axis would overlap."""
    svg = write_figure(full_analysis(), "bars", tmp_path / "a.svg")[0].read_text()
    for vlm in VLMS:
        assert svg.count(f"<!-- {vlm} -->") == 1
    for task in TASKS:
        assert svg.count(f"<!-- {task} -->") == len(VLMS)
    alone = write_figure(full_analysis(), "bars", tmp_path / "b.svg", vlm="eyechart-mini")[0]
    assert "<!-- eyechart-mini -->" not in alone.read_text()


def test_the_pictures_are_in_order_of_codec_and_rate_with_their_levels(tmp_path: Path) -> None:
    whole = full_analysis()
    mixed = [replace(one, views=tuple(reversed(one.views))) for one in whole.examples]
    figure, path = write_figure(replace(whole, examples=tuple(mixed)), "2", tmp_path / "a.svg")
    rows = numbers(path)
    assert rows[0]["codec"] == "source"
    codecs = [row["codec"] for row in rows[1:]]
    assert list(dict.fromkeys(codecs)) == list(reversed(CODECS))
    for codec, (levels, _, _) in CODECS.items():
        own = [row["level"] for row in rows if (row["codec"], row["adapter"]) == (codec, "")]
        assert own == list(reversed(levels))
    svg = figure.read_text()
    assert "<!-- JPEG Q1 -->" in svg
    assert "reference: yes; eyechart-mini answers:" in svg


@pytest.mark.parametrize(
    "name", ["bars", "radar-vlms", "radar-tasks", "radar-codecs", "curves", "example-adapter"]
)
def test_a_figure_of_one_column_fits_on_a_page(tmp_path: Path, name: str) -> None:
    svg = write_figure(full_analysis(), name, tmp_path / "a.svg")[0]
    found = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg.read_text())
    assert found
    width_mm, height_mm = (float(points) * 25.4 / 72 for points in found.groups())
    assert width_mm == pytest.approx(88)
    assert height_mm < 247  # A4 without margins of 25 mm


def test_a_task_with_an_uncompressed_score_of_0_has_no_axis_in_percent(tmp_path: Path) -> None:
    analysis = full_analysis()
    none = Interval(value=0.0, low=0.0, high=0.0)
    cells = tuple(
        replace(cell, score=none) if (cell.codec, cell.task) == ("source", "POPE") else cell
        for cell in analysis.cells
    )
    _, path = write_figure(replace(analysis, cells=cells), "3b", tmp_path / "a.svg")
    assert {row["task"] for row in numbers(path)} == set(TASKS) - {"POPE"}


def test_codecs_keep_their_style_in_every_selection() -> None:
    alone = {codec: styles([codec])[codec] for codec in CODECS}
    assert styles(list(CODECS)) == alone
    assert styles(list(reversed(CODECS))) == alone
    variants = styles(["jpeg", "jpeg:optimize=false", "mine", "mine:fast=true"])
    assert len(set(variants.values())) == 4
    every = styles(["hevc", "jpeg", "vvc", "elic", "tic", "tcm", "rdeic", "webp", "avif", "hm"])
    assert len({(colour(style), marker(style)) for style in every.values()}) == len(every)


@pytest.mark.parametrize(
    ("analysis", "name", "settings", "says"),
    [
        (minimal_analysis(), "3a", {}, "no figure 3a: it needs the uncompressed image and three"),
        (minimal_analysis(), "2", {}, "no figure 2: it needs a question that is answered right"),
        (minimal_analysis(), "acuity", {}, "it needs the task Acuity, with .*; tasks there: POPE"),
        (nothing_read(), "acuity", {}, "all thresholds of codecs are outside 6 to 42 px"),
        (minimal_analysis(), "99", {}, r"no figure '99'; known: 1 \(bars\)"),
        (minimal_analysis(), "4", {"task": "GQA"}, "no task 'GQA' in this run; there: POPE"),
        (minimal_analysis(), "4", {"vlm": "x"}, "no vlm 'x' in this run; there: eyechart-mini"),
        (minimal_analysis(), "4", {"width_mm": 3.0}, "width 3 mm; allowed: 40 to 1000"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    tmp_path: Path, analysis: Analysis, name: str, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        write_figure(analysis, name, tmp_path / "a.svg", **settings)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_vlm_with_markup_in_its_name_is_drawn_as_it_is(tmp_path: Path) -> None:
    whole, name = full_analysis(), "a $\\frac{ _x^$ b"
    cells = [replace(one, vlm=name) for one in whole.cells if one.vlm == "eyechart-mini"]
    bd = [replace(one, vlm=name) for one in whole.bd if one.vlm == "eyechart-mini"]
    correlations = [replace(one, vlm=name, task=name, metric=name) for one in whole.correlations]
    analysis = replace(
        whole,
        cells=(*whole.cells, *cells),
        bd=(*whole.bd, *bd),
        correlations=(*whole.correlations, *correlations[:3]),
    )
    for figure in ("bars", "radar-vlms", "radar-tasks", "radar-codecs", "curves", "correlation"):
        path, _ = write_figure(analysis, figure, tmp_path / f"{figure}.svg")
        assert path.stat().st_size > 1000


def test_answers_with_markup_are_drawn_as_they_are(tmp_path: Path) -> None:
    (example, *_) = full_analysis().examples
    views = tuple(replace(view, answer="$\\frac{ _x^$") for view in example.views)
    analysis = replace(full_analysis(), examples=(replace(example, views=views),))
    path, _ = write_figure(analysis, "example", tmp_path / "a.svg")
    assert path.stat().st_size > 1000


def test_wrong_names_are_found_before_a_run_is_analysed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def analyse(*arguments: object, **settings: object) -> None:
        raise AssertionError

    monkeypatch.setattr("eyechart.api.run_results.analyse", analyse)
    (tmp_path / "b.csv").mkdir()
    for name, file, said in (
        ("99", "a.svg", "no figure '99'"),
        ("curves", "a.bmp", "a plot is one of"),
        ("curves", "b.svg", "b.csv: is a folder"),
        ("curves", "a.svg --width-mm 3", "width 3 mm"),
    ):
        command = f"figure {name} {tmp_path} --out {tmp_path}/{file}"
        assert run_args(command.split()) == 2
        assert said in capsys.readouterr().err


def test_the_command_names_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_analysis(minimal_analysis(), tmp_path / "analysis.json")
    out = tmp_path / "curves.pdf"
    assert run_args(["figure", "curves", str(tmp_path), "--out", str(out)]) == 0
    assert capsys.readouterr().out.split() == [str(out), str(out.with_suffix(".csv"))]
    assert run_args(["figure", "curves", str(tmp_path), "--out", str(tmp_path / "a.txt")]) == 2
    assert ".svg, .png, .pdf" in capsys.readouterr().err
    assert run_args(["figure", "curves", str(tmp_path), "--out", str(tmp_path / "no/a.svg")]) == 2


def test_times_to_an_answer_have_the_colours_of_the_codecs(tmp_path: Path) -> None:
    """Two settings of one codec cross: the smaller payload takes longer to encode."""
    found = a_recommendation()
    times = {"10": (1000.0, 0.2), "75": (9000.0, 0.1), "q75@256": (5000.0, 0.5)}
    settings = tuple(
        replace(one, good=True, measured=replace(one.measured, costs=_timed(*times[one.level])))
        for one in found.settings
    )
    uncompressed = _timed(90_000.0, 0.0)
    found = replace(found, settings=settings, uncompressed=uncompressed)
    draw_times(found, tmp_path / "times.svg", OwnFiles(files=9, mean_bytes=50_000.0, read_s=0.01))
    drawn = (tmp_path / "times.svg").read_text()
    looks = styles([one.codec for one in found.settings])
    lines = re.findall(r'style="([^"]*stroke-width: 1\.4[^"]*)"', drawn)
    own = [line for line in lines if f"stroke: {colour(looks['jpeg'])}" in line]
    assert {"stroke-dasharray" in line for line in own} == {True, False}
    assert not any(colour(looks["jpeg@256"]) in line for line in lines)  # never the fastest


def _timed(size_bytes: float, encode_s: float) -> Costs:
    return Costs(size_bytes=size_bytes, encode_s=encode_s, decode_s=0.0, answer_s=0.1)
