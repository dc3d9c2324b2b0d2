"""The title sentence agrees with the curves and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from scipy.interpolate import PchipInterpolator

from eyechart.analysis.codec_names import codec_label, setting_label
from eyechart.analysis.result import (
    AdapterInfo,
    Analysis,
    BdResult,
    CellResult,
    Interval,
    PairResult,
)
from eyechart.report.finding import find
from tests.report.synthetic_analysis import (
    ADAPTER,
    empty_analysis,
    full_analysis,
    minimal_analysis,
)

Point = tuple[float, float]  # bpp, score


def _cell(
    codec: str,
    bpp: float,
    score: float,
    *,
    task: str = "POPE",
    half: float = 1.0,
    loss: Interval | None = None,
) -> CellResult:
    """loss: for the title to be a loss its interval must lie above 0; left out, it does."""
    return CellResult(
        key=f"{task}-{codec}-{bpp}",
        vlm="mini",
        adapter="",
        task=task,
        codec=codec,
        level=str(bpp),
        rank=0,
        bpp=bpp,
        total_bpp=bpp,
        score=Interval(value=score, low=score - half, high=score + half),
        loss=loss or Interval(value=1.0, low=0.5, high=1.5),
        metrics={},
        questions=10,
        answered=10,
        failed=0,
        unparsed_share=0.0,
        choices=False,
    )


def _analysis(
    cells: Sequence[CellResult],
    bd: Sequence[BdResult] = (),
    pairs: Sequence[PairResult] = (),
) -> Analysis:
    return replace(empty_analysis(), cells=tuple(cells), bd=tuple(bd), pairs=tuple(pairs))


def _curve(codec: str, *points: Point, loss: Interval | None = None) -> list[CellResult]:
    return [_cell(codec, bpp, score, loss=loss) for bpp, score in points]


def _pair(codec: str, against: str, value: float, half: float, task: str = "POPE") -> PairResult:
    return PairResult(
        vlm="mini",
        adapter="",
        task=task,
        codec=codec,
        against=against,
        bd=Interval(value=value, low=value - half, high=value + half),
        flags=(),
        rate_percent=None,
        rate_flags=(),
    )


def test_two_codecs_are_compared_at_the_same_rate_if_the_interval_resolves_it() -> None:
    cells = [
        _cell("source", 9.0, 86.0),
        *_curve("jpeg", (0.12, 64.6), (0.30, 80.0)),
        *_curve("vvc", (0.02, 60.0), (0.10, 75.0), (0.14, 79.2)),
    ]
    # VVC at 0.12 bpp, between 75.0 and 79.2: by scipy's PCHIP.
    cost = 86.0 - PchipInterpolator([0.02, 0.10, 0.14], [60.0, 75.0, 79.2])(0.12)
    compared = (
        "JPEG at 0.12 bpp costs mini 21.4 of its 86.0 points on POPE; "
        f"VVC at the same rate costs {cost:.1f}"
    )
    alone = "VVC at 0.02 bpp costs mini 26.0 of its 86.0 points on POPE"  # the largest loss
    for value, half, headline in ((9.0, 2.0, compared), (9.0, 10.0, alone), (-9.0, 2.0, alone)):
        for pair in (_pair("vvc", "jpeg", value, half), _pair("jpeg", "vvc", -value, half)):
            assert find(_analysis(cells, pairs=[pair])).headline == headline
    assert find(_analysis(cells)).headline == alone


@pytest.mark.parametrize(("high", "named"), [(9.0, True), (19.0, False)])
def test_a_codec_that_never_needs_the_rate_is_named_with_its_own(high: float, named: bool) -> None:
    """Its rates are not shared: its interval has to lie below the other's."""
    cells = [
        _cell("source", 9.0, 86.0),
        *_curve("jpeg", (0.2, 64.0), loss=Interval(value=22.0, low=18.0, high=26.0)),
        *_curve("vvc", (0.05, 78.0), loss=Interval(value=8.0, low=6.0, high=high)),
    ]
    headline = find(_analysis(cells)).headline
    assert headline.endswith("; VVC at 0.05 bpp costs 8.0" if named else " points on POPE")


def test_one_codec_has_no_comparison() -> None:
    cells = [_cell("source", 9.0, 86.0), *_curve("jpeg", (0.2, 64.0))]
    assert (
        find(_analysis(cells)).headline
        == "JPEG at 0.20 bpp costs mini 22.0 of its 86.0 points on POPE"
    )


def test_a_rival_that_loses_nothing_is_not_given_a_negative_cost() -> None:
    cells = [
        _cell("source", 9.0, 86.0),
        *_curve("jpeg", (0.2, 64.0)),
        *_curve("vvc", (0.1, 86.5), (0.3, 87.0)),
    ]
    found = find(_analysis(cells, pairs=[_pair("vvc", "jpeg", 22.0, 1.0)]))
    assert found.headline.endswith("; VVC at the same rate costs nothing")


@pytest.mark.parametrize(("loss", "sure"), [(11.7, 5.0), (0.5, -0.2), (0.0, 0.0), (-2.0, -3.0)])
def test_a_loss_needs_a_paired_interval_above_zero(loss: float, sure: float) -> None:
    """Independent of the scores' own intervals, which overlap here."""
    paired = Interval(value=loss, low=sure, high=2 * loss - sure)
    clean = _cell("source", 9.0, 75.0, half=20.0)
    headline = find(
        _analysis([clean, _cell("jpeg", 0.2, 75.0 - loss, half=18.0, loss=paired)])
    ).headline
    assert headline.startswith("No significant loss") == (sure <= 0)
    assert ("costs mini 11.7 of its 75.0 points" in headline) == (sure > 0)


def test_benchmarks_of_different_units_compare_by_share() -> None:
    cells = [
        _cell("source", 9.0, 1300.0, task="MME"),
        _cell("jpeg", 0.2, 1200.0, task="MME"),  # 8 % of the score
        _cell("source", 9.0, 60.0, task="GQA"),
        _cell("jpeg", 0.2, 40.0, task="GQA"),  # 33 %
    ]
    assert "20.0 of its 60.0 points on GQA" in find(_analysis(cells)).headline


def test_without_uncompressed_no_loss_is_stated() -> None:
    headline = find(_analysis(_curve("jpeg", (0.2, 64.0)))).headline
    assert headline.endswith("its uncompressed score has not been measured")


def test_without_codecs_only_the_uncompressed_score_is_stated() -> None:
    headline = find(_analysis([_cell("source", 9.0, 86.0)])).headline
    assert headline == "Uncompressed, mini scores 86.0 on POPE; no codec has been measured yet"


def test_an_uncompressed_score_of_zero_is_not_divided_by() -> None:
    cells = [_cell("source", 9.0, 0.0), *_curve("jpeg", (0.2, 0.0))]
    assert find(_analysis(cells)).headline == (
        "mini scores 0.0 on POPE even without compression, so that no loss can be measured"
    )


def test_codecs_that_tie_have_no_winner() -> None:
    bds = [
        BdResult(
            low_rate=0.1,
            high_rate=1.0,
            vlm="mini",
            adapter="",
            task="POPE",
            codec=codec,
            codec_name=codec,
            baseline="uncompressed",
            bd=Interval(value=-2.0, low=-3.0, high=-1.0),
            flags=(),
        )
        for codec in ("jpeg", "vvc")
    ]
    assert find(_analysis([_cell("source", 9.0, 86.0)], bds)).details == ()


def test_an_empty_run_is_reported() -> None:
    assert find(empty_analysis()).headline == "Nothing has been scored yet"
    assert find(empty_analysis()).details == ()


def test_details_count_tasks_and_gains() -> None:
    details = find(full_analysis()).details
    assert any(f"adapter “{ADAPTER}”" in text and "of 28 pairs" in text for text in details)
    assert find(minimal_analysis()).details == ()  # one codec has no rival


def test_gains_are_counted_at_the_lowest_rates() -> None:
    analysis = full_analysis()
    (vlm,) = {gap.vlm for gap in analysis.gaps}
    lowest = {
        (task, codec): min(
            (
                cell
                for cell in analysis.cells
                if (cell.vlm, cell.task, cell.codec, cell.adapter) == (vlm, task, codec, "")
            ),
            key=lambda cell: cell.rate,
        ).level
        for task, codec in {(gap.task, gap.codec) for gap in analysis.gaps}
    }
    signs = [
        gap.generalization.sign for gap in analysis.gaps if lowest[gap.task, gap.codec] == gap.level
    ]
    wanted = (
        f"at the codec’s lowest rate it gains on {signs.count(1)} of {len(signs)} pairs of task "
        f"and codec, and loses on {signs.count(-1)}; over all its rates it gains on "
    )
    assert signs
    assert any(wanted in text for text in find(analysis).details)


def test_codecs_are_ranked_at_equal_rates_where_the_interval_resolves_it() -> None:
    pairs = (
        _pair("vvc", "jpeg", 5.0, 1.0, "POPE"),
        _pair("vvc", "jpeg", 5.0, 6.0, "GQA"),
        _pair("hevc", "jpeg", 2.0, 1.0, "POPE"),
        _pair("vvc", "hevc", 3.0, 1.0, "POPE"),
        _pair("vvc", "hevc", 3.0, 4.0, "GQA"),
    )
    (sentence,) = find(replace(empty_analysis(), pairs=pairs)).details
    assert sentence.startswith("At equal rates VVC is significantly better for mini than")
    assert "JPEG on 1 of 2 tasks" in sentence
    assert "HEVC on 1 of 2 tasks" in sentence
    (sentence,) = find(replace(empty_analysis(), pairs=pairs[1:2])).details
    assert sentence == "At equal rates no codec is significantly better for mini."


def test_only_significant_gains_in_the_headlines_case_are_mentioned() -> None:
    analysis = full_analysis()
    gains = [text for text in find(analysis).details if "recovers" in text]
    assert len(gains) == 1
    assert ADAPTER in gains[0]
    unsure = [
        replace(gap, generalization=replace(gap.generalization, low=-1.0)) for gap in analysis.gaps
    ]
    details = find(replace(analysis, gaps=tuple(unsure))).details
    assert not any("recovers" in text for text in details)


def test_adapters_for_one_codec_are_no_finding() -> None:
    single = (AdapterInfo(name=ADAPTER, trained_codecs=("jpeg",)),)
    details = find(replace(full_analysis(), adapters=single)).details
    assert not any("pairs" in text for text in details)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("jpeg", "JPEG"),
        ("vvc", "VVC"),
        ("jpegxl", "JPEG XL"),
        ("webp", "WebP"),
        ("source", "uncompressed"),
        ("my-codec", "my-codec"),
        ("jpeg:optimize=false", "JPEG optimize=false"),
    ],
)
def test_codecs_are_written_as_in_prose(name: str, label: str) -> None:
    assert codec_label(name) == label


@pytest.mark.parametrize(("low", "high", "told"), [(0.4, 2.0, True), (-0.4, 2.0, False)])
def test_a_codec_for_machines_is_named_where_it_differs_from_its_base(
    low: float, high: float, told: bool
) -> None:
    full = full_analysis()
    bd = Interval(value=1.2, low=low, high=high)
    icm = [replace(one, bd=bd if one.codec != one.base else one.bd) for one in full.icm]
    sentence = "At the same rates ELIC, which is HEVC adapted to a VLM, changes the scores of"
    details = find(replace(full, icm=tuple(icm))).details
    (detail,) = [detail for detail in details if detail.startswith(sentence)] or [""]
    assert ("eyechart-mini against HEVC: POPE +1.2 points." in detail) == told


@pytest.mark.parametrize(
    ("codec", "level", "label"),
    [
        ("jpeg", "75", "JPEG 75"),
        ("jpeg@256", "q75@256", "JPEG q75@256"),
        ("jpeg@300 restored", "q85@300", "JPEG restored q85@300"),
        ("jpeg@256", "q75@2560", "JPEG@256 q75@2560"),
        ("jpeg:75 > resize:256 > webp", "60", "JPEG 75 > resize 256 > WebP 60"),
    ],
)
def test_a_setting_names_its_size_once(codec: str, level: str, label: str) -> None:
    assert setting_label(codec, level) == label
