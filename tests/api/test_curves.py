"""BD-Metric and BD-rate of the public functions, compared with known values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

import eyechart
from eyechart.api.curves import partner, read_curves

RATES = [0.1, 0.2, 0.4, 0.8]
SCORES = [50.0, 64.0, 70.0, 72.0]


@given(factor=st.floats(0.05, 20))
def test_the_same_curve_at_another_rate_has_that_bd_rate(factor: float) -> None:
    rates = [factor * rate for rate in RATES]
    change = eyechart.bd_rate(rates, SCORES, against=(RATES, SCORES))
    assert change.value == pytest.approx(100 * (factor - 1), rel=1e-9, abs=1e-9)


def test_bd_rate_is_the_mean_difference_of_log_rates_over_shared_scores() -> None:
    other_rates, other_scores = [0.15, 0.3, 0.5, 0.9], [55.0, 63.0, 71.0, 74.0]
    mine = PchipInterpolator(SCORES, np.log(RATES)).antiderivative()
    other = PchipInterpolator(other_scores, np.log(other_rates)).antiderivative()
    low, high = 55.0, 72.0
    area = (mine(high) - mine(low)) - (other(high) - other(low))
    expected = 100 * (np.exp(area / (high - low)) - 1)
    found = eyechart.bd_rate(RATES, SCORES, against=(other_rates, other_scores))
    assert found.value == pytest.approx(expected, rel=1e-12)


@given(order=st.permutations(range(4)))
def test_points_may_come_in_any_order(order: list[int]) -> None:
    rates, scores = [RATES[i] for i in order], [SCORES[i] for i in order]
    half = [rate / 2 for rate in RATES]
    found = eyechart.bd_rate(rates, scores, against=(half, SCORES))
    assert found.value == pytest.approx(100)


@pytest.mark.parametrize(
    ("rates", "scores", "words"),
    [
        ([0.1], [50.0], "at least 2"),
        ([0.1, 0.1], [50.0, 60.0], "at least 2 rates"),
        ([0.1, -0.2], [50.0, 60.0], "above 0"),
        ([0.1, 0.2], [50.0, float("nan")], "NaN"),
        ([0.1, 0.2], [60.0, 50.0], "rise with the rate"),
        ([0.1, 0.2], [10.0, 20.0], "share no scores"),
        ([0.1, 0.2], [50.0, 60.0, 70.0], "one score a rate"),
    ],
)
def test_a_curve_that_has_no_bd_rate_is_refused(
    rates: list[float], scores: list[float], words: str
) -> None:
    with pytest.raises(eyechart.InputError, match=words):
        eyechart.bd_rate(rates, scores, against=(RATES, SCORES))


@pytest.mark.parametrize("given", [{}, {"uncompressed": 80.0, "against": (RATES, SCORES)}])
def test_bd_metric_needs_exactly_one_thing_to_compare_with(given: dict[str, object]) -> None:
    with pytest.raises(eyechart.InputError, match="either uncompressed"):
        eyechart.bd_metric(RATES, SCORES, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("codecs", "found"), [(("", ""), "b GQA"), ((",x", ",y"), "b GQA y")])
def test_a_curve_is_compared_with_that_of_its_vlm_and_task(
    codecs: tuple[str, str], found: str, tmp_path: Path
) -> None:
    path = tmp_path / "curves.csv"
    head = "bpp,score,vlm,task" + (",codec" if codecs[0] else "")
    rows = [f"0.1,50,{name}{codecs[1]}" for name in ("a,POPE", "a,MME", "b,GQA")]
    path.write_text("\n".join([head, *rows]))
    others = read_curves(path)
    path.write_text("\n".join([head, f"0.1,50,b,GQA{codecs[0]}", f"0.1,50,c,GQA{codecs[0]}"]))
    mine, lonely = read_curves(path)
    assert str(partner(mine, others)) == found
    assert partner(lonely, others) is None
