"""The paper's findings: planted results are found, and nothing is claimed without them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eyechart.analysis.findings import paper_findings
from eyechart.analysis.result import Analysis, CellResult, Interval, PairResult, ScalingResult
from tests.report.synthetic_analysis import empty_analysis


def cell(
    codec: str,
    bpp: float,
    score: float,
    *,
    vlm: str = "m-3B",
    task: str = "POPE",
    category: str = "",
) -> CellResult:
    lost = 90.0 - score
    return CellResult(
        key=f"{vlm}{task}{codec}{bpp}",
        vlm=vlm,
        adapter="",
        task=task,
        codec=codec,
        level=str(bpp),
        rank=0,
        bpp=bpp,
        total_bpp=bpp,
        score=Interval(value=score, low=score - 1, high=score + 1),
        loss=None if codec == "source" else Interval(value=lost, low=lost - 2, high=lost + 2),
        metrics={},
        questions=9,
        answered=9,
        failed=0,
        unparsed_share=0.0,
        choices=False,
        category=category,
    )


def curve(low: float, high: float, **where: str) -> list[CellResult]:
    return [cell("source", 9.0, 90.0, **where), cell("vvc", 0.05, low, **where),
            cell("vvc", 0.3, high, **where)]  # fmt: skip


def pair(task: str, low: float, high: float) -> PairResult:
    """illm over vvc, stored the other way round."""
    return PairResult(
        vlm="m-3B",
        adapter="",
        task=task,
        codec="vvc",
        against="illm",
        bd=Interval(value=-(low + high) / 2, low=-high, high=-low),
        flags=(),
        rate_percent=None,
        rate_flags=(),
    )


def run(*cells: CellResult, pairs: tuple[PairResult, ...] = ()) -> Analysis:
    return replace(empty_analysis(), cells=cells, pairs=pairs)


def verdicts(analysis: Analysis) -> list[str]:
    return [finding.verdict for finding in paper_findings(analysis)]


def test_an_empty_run_shows_nothing() -> None:
    assert verdicts(empty_analysis()) == ["not shown"] * 5


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(50.0, 88.0, "supported"), (88.0, 80.0, "contradicted"), (89.0, 89.5, "not shown")],
)
def test_a_collapse_below_a_tenth_of_a_bit(low: float, high: float, verdict: str) -> None:
    assert verdicts(run(*curve(low, high)))[0] == verdict


def test_without_intervals_and_from_choice_sets_nothing_is_shown() -> None:
    cells = curve(50.0, 88.0)
    exact = [
        cell if cell.loss is None else replace(cell, loss=Interval(value=9.0, low=9.0, high=9.0))
        for cell in cells
    ]
    assert verdicts(run(*exact))[0] != "supported"
    choosing = [replace(cell, choices=True, vlm="m-3B (choice set)") for cell in curve(80.0, 88.0)]
    assert verdicts(run(*choosing)) == ["not shown"] * 5
    assert verdicts(run(*cells, *choosing))[1] == "not shown"


@pytest.mark.parametrize(("weak", "verdict"), [(40.0, "supported"), (80.0, "contradicted")])
def test_the_order_of_vlms(weak: float, verdict: str) -> None:
    strong = curve(50.0, 88.0, vlm="a")
    other = [replace(cell, vlm="b") for cell in curve(weak, weak)]
    other[0] = replace(other[0], score=Interval(value=70, low=69, high=71))
    assert verdicts(run(*strong, *other))[1] == verdict


@pytest.mark.parametrize(
    ("coarse", "text", "verdict"),
    [
        ((1.0, 3.0), (-4.0, -1.0), "supported"),
        ((-3.0, -1.0), (-4.0, -1.0), "contradicted"),
        ((1.0, 3.0), (1.0, 3.0), "contradicted"),
        ((-1.0, 3.0), (-4.0, 1.0), "not shown"),
    ],
)
def test_generative_codecs_on_coarse_tasks_and_text(
    coarse: tuple[float, float], text: tuple[float, float], verdict: str
) -> None:
    cells = [cell("illm", 0.1, 60.0, category="generative"), cell("vvc", 0.1, 60.0)]
    found = run(*cells, pairs=(pair("GQA", *coarse), pair("OCRBench", *text)))
    assert verdicts(found)[2] == verdict


def slope(task: str, low: float, high: float) -> ScalingResult:
    interval = Interval(value=(low + high) / 2, low=low, high=high)
    return ScalingResult(
        series="m",
        task=task,
        codec="vvc",
        vlms=("m-3B", "m-7B"),
        parameters=(3e9, 7e9),
        levels=2,
        drops=(interval, interval),
        slope=interval,
    )


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [
        (((-3.0, -1.0), (-2.0, -1.0)), "contradicted"),
        (((1.0, 3.0), (-2.0, -1.0)), "supported"),
        (((-1.0, 3.0), (-2.0, 1.0)), "not shown"),
        ((), "not shown"),
    ],
)
def test_size_and_robustness(slopes: tuple[tuple[float, float], ...], verdict: str) -> None:
    cells = [*curve(60.0, 88.0, vlm="m-3B"), *curve(60.0, 88.0, vlm="m-7B")]
    found = tuple(slope(f"task {n}", *bounds) for n, bounds in enumerate(slopes))
    assert verdicts(replace(run(*cells), scaling=found))[3] == verdict
