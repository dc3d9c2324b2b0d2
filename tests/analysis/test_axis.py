"""Curves and BD-Metrics over bytes, visual tokens and dollars instead of bits per pixel."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import toy

from eyechart.analysis.analyse import analyse
from eyechart.analysis.axis import axis_named
from eyechart.analysis.deployment import TokenPrices
from eyechart.analysis.files import read_analysis, write_analysis
from eyechart.analysis.kept_recommendation import Asked, keep
from eyechart.analysis.render import render
from eyechart.analysis.result import Analysis
from eyechart.analysis.tables import tables_of
from eyechart.api.curves import read_curves
from eyechart.core.errors import InputError
from eyechart.core.records import Record
from eyechart.core.types import LONG_SIDE, Level
from eyechart.report.figures import write_figure
from eyechart.report.html import render_report
from eyechart.store import RunInfo, Store

BYTES = (1000, 2000, 4000)
SIZES = {"": 100, "64": 40, "32": 10}  # longer side -> visual tokens


def stored(root: Path, *, tokens: bool = True) -> Path:
    """A codec at three levels of the original size, and its lowest level at two smaller sizes."""

    def counted(records: list[Record], visual: int) -> list[Record]:
        return [
            replace(one, visual_tokens=visual * tokens, answer_tokens=2 * tokens) for one in records
        ]

    cells = [(toy.cell("source"), counted(toy.records(0.95, 9000), 100))]
    for rank, size in enumerate(BYTES):
        cells.append((toy.cell(rank=rank), counted(toy.records(0.6 + 0.1 * rank, size), 100)))
    for side, visual in SIZES.items():
        if side:
            level = Level(name=f"0@{side}", rank=0, knobs={"q": 0, LONG_SIDE: int(side)})
            cell = replace(toy.cell(), level=level)
            cells.append((cell, counted(toy.records(visual / 100, 5 * visual), visual)))
    store = Store(root)
    store.create()
    store.write_info(RunInfo(title="sizes"))
    for cell, answered in cells:
        stored = store.add(cell)
        stored.ask(toy.WHOLE)
        stored.append_records(answered)
    return root


def test_dollars_are_over_the_tokens_that_a_server_counted(tmp_path: Path) -> None:
    run, prices = stored(tmp_path, tokens=False), TokenPrices(usd_input=2.0, usd_output=10.0)
    for cell in Store(run).cells():
        cell.replace_records(
            [replace(one, input_tokens=300, answer_tokens=4) for one in cell.records()]
        )
    for cell in over(run, "usd", prices).cells:
        assert cell.rate == pytest.approx((2 * 300 + 10 * 4) / 1e3)
    with pytest.raises(InputError, match="visual tokens of its VLM are unknown"):
        over(run, "tokens")


def over(root: Path, name: str, prices: TokenPrices | None = None) -> Analysis:
    return analyse(
        root,
        samples=20,
        examples=0,
        created="",
        axis=axis_named(name),
        prices=prices,
        load=toy.load,
    )


def test_over_bytes_only_the_rates_change(tmp_path: Path) -> None:
    run = stored(tmp_path)
    plain, sized = over(run, "bpp"), over(run, "bytes")
    pixels = toy.SIDE_PX**2
    for one, other in zip(plain.cells, sized.cells, strict=True):
        assert other.rate == pytest.approx(one.rate * pixels / 8 / 1000)  # all images are equal
        assert (other.bpp, other.score, other.loss) == (one.bpp, one.score, one.loss)
    for one, other in zip(plain.bd, sized.bd, strict=True):
        assert one.bd is None or other.bd.value == pytest.approx(one.bd.value)


def test_over_tokens_a_setting_has_a_curve_over_its_sizes(tmp_path: Path) -> None:
    found = over(stored(tmp_path), "tokens")
    rates = {(cell.codec, cell.level): cell.rate for cell in found.cells}
    assert [rates["grey 0", level] for level in ("0@32", "0@64", "0")] == [10, 40, 100]
    (curve,) = (one for one in found.bd if one.codec == "grey 0")
    assert curve.bd is not None
    assert (curve.low_rate, curve.high_rate) == (10, 100)
    (rest,) = (one for one in found.bd if one.codec == "grey")
    assert rest.bd is None  # its levels take as many tokens as each other
    assert "2 levels at 100 tokens were averaged" in rest.flags


def test_restored_sizes_are_told_from_others_once_both_are_there(tmp_path: Path) -> None:
    run = stored(tmp_path)
    assert {cell.codec for cell in over(run, "bpp").cells} == {
        "source",
        "grey",
        "grey@64",
        "grey@32",
    }
    for restore in (False, True):
        for side, visual in SIZES.items():
            if side:
                level = Level(name=f"0@{side}", rank=0, knobs={"q": 0, LONG_SIDE: int(side)})
                cell = toy.cell()
                codec = replace(cell.codec, options={**cell.codec.options, "restore": restore})
                added = Store(run).add(replace(cell, codec=codec, level=level))
                added.ask(toy.WHOLE)
                tokens = 100 if restore else visual
                added.append_records(
                    [replace(one, visual_tokens=tokens) for one in toy.records(0.5, 5 * visual)]
                )
    names = {cell.codec for cell in over(run, "bpp").cells}
    assert names >= {"grey@64", "grey@64 restored", "grey@32", "grey@32 restored"}
    over_tokens = {cell.codec for cell in over(run, "tokens").cells}
    assert over_tokens >= {"grey 0", "grey restored 0"}


def test_over_dollars_a_question_costs_its_tokens(tmp_path: Path) -> None:
    prices = TokenPrices(usd_input=3.0, usd_output=10.0)
    found = over(stored(tmp_path), "usd", prices)
    rates = {(cell.codec, cell.level): cell.rate for cell in found.cells}
    assert rates["grey 0", "0@32"] == pytest.approx(1000 * (10 * 3 + 2 * 10) / 1e6)


def test_over_dollars_the_prices_are_those_of_the_recommendation(tmp_path: Path) -> None:
    run = stored(tmp_path)
    keep(run, Asked(tolerance=2.0, usd_per_million=(3.0, 10.0)))
    found = over(run, "usd")
    rates = {(cell.codec, cell.level): cell.rate for cell in found.cells}
    assert rates["grey 0", "0@32"] == pytest.approx(1000 * (10 * 3 + 2 * 10) / 1e6)
    given = over(run, "usd", TokenPrices(usd_input=6.0, usd_output=20.0))
    for one, other in zip(found.cells, given.cells, strict=True):
        assert other.rate == pytest.approx(2 * one.rate)


@pytest.mark.parametrize(
    ("axis", "tokens", "says"),
    [
        ("tokens", False, "nothing to show over tokens: the visual tokens"),
        ("usd", False, "nothing to show over usd: the price"),
        ("usd", True, r"the price of its VLM is unknown \(give --usd-per-million\), or"),
    ],
)
def test_what_a_run_does_not_know_is_one_line(
    tmp_path: Path, axis: str, tokens: bool, says: str
) -> None:
    with pytest.raises(InputError, match=says) as raised:
        over(stored(tmp_path, tokens=tokens), axis)
    assert "\n" not in str(raised.value)


def test_an_unknown_axis_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="allowed: bpp, bytes, tokens, usd"):
        axis_named("kB")


@pytest.mark.parametrize("axis", ["bytes", "tokens"])
def test_tables_figures_and_the_report_name_the_axis(tmp_path: Path, axis: str) -> None:
    found = over(stored(tmp_path / "run"), axis)
    unit, column = found.axis.unit, found.axis.column
    (scores,) = tables_of(found, "scores")
    assert scores.columns[0] == column
    (bd,) = tables_of(found, "bd")
    assert f"own rates, in {unit}:" in bd.legend
    points = tmp_path / "points.csv"
    points.write_text(render(tables_of(found, "curves"), "csv-wide"))
    assert {curve.unit for curve in read_curves(points)} == {unit}
    _, numbers = write_figure(found, "curves", tmp_path / "curves.svg")
    with numbers.open(newline="") as file:
        assert unit in next(csv.reader(file))
    page = render_report(found)
    assert column in page
    assert "bits per pixel, logarithmic" not in page
    write_analysis(found, tmp_path / "analysis.json")
    assert read_analysis(tmp_path / "analysis.json") == found
