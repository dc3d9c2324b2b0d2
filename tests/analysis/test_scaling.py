"""The scaling law: a planted slope is found with its sign, and unknown sizes are left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eyechart.analysis.analyse import analyse
from eyechart.analysis.result import Analysis
from eyechart.analysis.scaling import series_of
from eyechart.analysis.tables import tables_of
from eyechart.cli import run_args
from eyechart.report.figures import write_figure
from eyechart.store import Store
from tests.analysis.toy import WHOLE, cell, load, records

SIZES = {"mini-2M": 0.4, "mini-8M": 0.6, "mini-32M": 0.8}  # share of right answers under a codec


def a_run(root: Path, vlms: dict[str, float]) -> Analysis:
    store = Store(root)
    store.create()
    for vlm, right in vlms.items():
        for codec, rank, share in (("source", 0, 0.9), ("grey", 0, right), ("grey", 1, right)):
            stored = store.add(cell(codec, rank, vlm=vlm))
            stored.append_records(records(share, 40 + 30 * rank, seed=1))
            stored.ask(WHOLE)
    return analyse(root, created="now", load=load, examples=0)


def test_a_larger_vlm_that_loses_less_has_a_slope_below_0(tmp_path: Path) -> None:
    (found,) = a_run(tmp_path, SIZES).scaling
    assert found.vlms == tuple(SIZES)
    assert found.parameters == (2e6, 8e6, 32e6)
    assert found.slope.sign == -1
    drops = [drop.value for drop in found.drops]
    assert drops == sorted(drops, reverse=True)
    assert found.share_slope is not None
    assert found.share_slope.sign == -1
    shares = [share.value for share in found.shares]  # all have the same uncompressed score
    assert shares == pytest.approx([drop * shares[0] / drops[0] for drop in drops])
    # Least squares over equal steps of two doublings: the mean of the outer difference.
    assert found.slope.value == pytest.approx((drops[2] - drops[0]) / 4)


def test_equal_vlms_have_a_slope_of_0_exactly(tmp_path: Path) -> None:
    """The interval is paired: what the sizes have in common cancels."""
    (found,) = a_run(tmp_path, {"mini-2M": 0.5, "mini-8M": 0.5}).scaling
    assert (found.slope.value, found.slope.low, found.slope.high) == (0.0, 0.0, 0.0)


def test_sizes_come_from_what_a_run_noted(tmp_path: Path) -> None:
    vlms = {"mini-s": 0.4, "mini-l": 0.8, "other": 0.5}
    assert a_run(tmp_path, vlms).scaling == ()
    store = Store(tmp_path)
    before = store.fingerprint()
    for name, parameters in (("mini-s", 2_000_000), ("mini-l", 16_000_000)):
        for _ in range(2):
            store.note_size(cell(vlm=name).vlm, parameters)
    assert store.fingerprint() != before
    analysis = analyse(tmp_path, created="now", load=load, examples=0)
    (found,) = analysis.scaling
    assert (found.vlms, found.parameters) == (("mini-s", "mini-l"), (2e6, 16e6))
    slopes, drops, share_slopes, shares = tables_of(analysis, "scaling")
    assert [row.keys for row in slopes.rows] == [("mini", "toy")]
    assert [row.keys for row in drops.rows] == [("toy", "mini-s"), ("toy", "mini-l")]
    assert "% of uncompressed" in share_slopes.title
    assert "% of uncompressed" in shares.title


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("Qwen2.5-VL-3B", "Qwen2.5-VL"),
        ("InternVL2_5-1B", "InternVL2_5"),
        ("Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-Instruct"),
        ("eyechart-mini-l", "eyechart-mini"),
        ("eyechart-mini", "eyechart-mini"),
        ("m-3B (choice set)", "m (choice set)"),
    ],
)
def test_a_series_is_a_name_without_its_size(name: str, series: str) -> None:
    assert series_of(name) == series


def test_the_figures_and_what_they_lack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analysis = replace(a_run(tmp_path / "run", SIZES), examples=())
    _, numbers = write_figure(analysis, "5", tmp_path / "a.svg")
    assert len(numbers.read_text().splitlines()) == 1 + 3 * 2
    _, numbers = write_figure(analysis, "5", tmp_path / "a.svg", vlm="mini-8M")
    assert len(numbers.read_text().splitlines()) == 1 + 2
    _, numbers = write_figure(analysis, "scaling-size", tmp_path / "b.svg")
    assert len(numbers.read_text().splitlines()) == 1 + 3
    a_run(tmp_path / "one", {"mini-2M": 0.4, "nameless": 0.4})
    from eyechart.analysis.files import write_analysis

    one = tmp_path / "only"
    one.mkdir()
    write_analysis(
        a_run(tmp_path / "two", {"mini-2M": 0.4, "nameless": 0.4}), one / "analysis.json"
    )
    out = str(tmp_path / "c.svg")
    assert run_args(["figure", "22", str(one), "--out", out]) == 2
    assert "there: mini-2M (2 M); unknown size: nameless" in capsys.readouterr().err
