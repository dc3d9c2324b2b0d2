"""BD-Metric: comparison with scipy, and properties."""

from __future__ import annotations

import math
import random

import bjontegaard
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from eyechart.analysis.bd import (
    bd_between,
    bd_between_many,
    bd_metric,
    bd_metric_many,
    bd_rate,
    bd_rate_many,
    rising,
)
from eyechart.analysis.pchip import integral, slopes, value
from eyechart.core.errors import InputError


@st.composite
def curves(draw: st.DrawFn, points: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    n = points or draw(st.integers(2, 8))
    steps = draw(st.lists(st.floats(0.01, 1.0), min_size=n, max_size=n))
    scores = draw(st.lists(st.floats(-500, 500), min_size=n, max_size=n))
    return np.cumsum(steps), np.array(scores)


def scipy_mean(rates: np.ndarray, scores: np.ndarray, low: float, high: float) -> float:
    return float(PchipInterpolator(rates, scores).integrate(low, high)) / (high - low)


@given(curves())
def test_slopes_are_those_of_scipy(curve: tuple[np.ndarray, np.ndarray]) -> None:
    rates, scores = curve
    expected = PchipInterpolator(rates, scores).derivative()(rates)
    np.testing.assert_allclose(slopes(rates, scores), expected, rtol=1e-9, atol=1e-7)


@given(curves(), st.floats(0, 1), st.floats(0, 1))
def test_integral_between_any_bounds_is_that_of_scipy(
    curve: tuple[np.ndarray, np.ndarray], start: float, end: float
) -> None:
    rates, scores = curve
    low, high = rates[0] + np.array(sorted((start, end))) * np.ptp(rates)
    high = min(high, rates[-1])
    expected = float(PchipInterpolator(rates, scores).integrate(low, high))
    scale = 1 + np.abs(scores).max() * np.ptp(rates)
    assert integral(rates, scores, low, high) == pytest.approx(expected, abs=1e-10 * scale)


@pytest.mark.parametrize("points", [2, 3, 4, 7])
def test_no_loss_is_exactly_zero(points: int) -> None:
    rng = np.random.default_rng(points)
    rates = np.sort(rng.uniform(0.05, 3, (500, points)), axis=1)
    anchors = rng.uniform(0, 2800, 500)
    flat = np.repeat(anchors[:, None], points, axis=1)
    assert not bd_metric_many(rates, flat, anchors).any()
    scores = rng.normal(60, 20, (500, points))
    assert not bd_between_many(rates, scores, rates, scores).any()
    wider = np.concatenate([rates, rates[:, -1:] + 1], axis=1)
    assert not bd_between_many(rates, flat, wider, np.pad(flat, ((0, 0), (0, 1)), "edge")).any()


@pytest.mark.parametrize("points", [2, 3, 4, 7])
def test_many_samples_at_once_equal_scipy_one_by_one(points: int) -> None:
    rng = np.random.default_rng(points)
    rates = np.sort(rng.uniform(0.05, 0.6, (200, points)), axis=1)
    scores, anchors = rng.normal(60, 20, (200, points)), rng.normal(80, 2, 200)
    expected = [
        scipy_mean(x, y, x[0], x[-1]) - anchor
        for x, y, anchor in zip(rates, scores, anchors, strict=True)
    ]
    np.testing.assert_allclose(bd_metric_many(rates, scores, anchors), expected, atol=1e-10)


def test_many_pairs_at_once_equal_scipy_one_by_one() -> None:
    rng = np.random.default_rng(5)
    rates = np.sort(rng.uniform(0.1, 0.5, (200, 4)), axis=1)
    other = np.sort(rng.uniform(0.2, 0.7, (200, 5)), axis=1)
    scores, other_scores = rng.normal(60, 20, (200, 4)), rng.normal(60, 20, (200, 5))
    found = bd_between_many(rates, scores, other, other_scores)
    for i in range(200):
        low, high = max(rates[i, 0], other[i, 0]), min(rates[i, -1], other[i, -1])
        if low >= high:
            assert math.isnan(found[i])
            continue
        expected = scipy_mean(rates[i], scores[i], low, high)
        expected -= scipy_mean(other[i], other_scores[i], low, high)
        assert found[i] == pytest.approx(expected, abs=1e-10)


@given(curves())
def test_a_curve_against_itself_is_zero(curve: tuple[np.ndarray, np.ndarray]) -> None:
    assert bd_between(*curve, *curve).value == 0
    assert bd_between(*curve, *curve).flags == ()


@given(curves(), curves(), st.floats(-100, 100))
def test_adding_c_to_a_curve_adds_c(
    curve: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], c: float
) -> None:
    rates, scores = curve
    lifted = bd_metric(rates, scores + c, 50.0).value
    assert lifted == pytest.approx(bd_metric(rates, scores, 50.0).value + c, abs=1e-8)
    assume(max(rates[0], other[0][0]) + 1e-6 < min(rates[-1], other[0][-1]))
    before = bd_between(rates, scores, *other).value
    assert bd_between(rates, scores + c, *other).value == pytest.approx(before + c, abs=1e-6)


@given(curves(), st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_matter(
    curve: tuple[np.ndarray, np.ndarray], shuffler: random.Random
) -> None:
    rates, scores = curve
    order = list(range(len(rates)))
    shuffler.shuffle(order)
    shuffled = bd_metric(rates[order], scores[order], 70.0)
    assert shuffled.value == bd_metric(rates, scores, 70.0).value


@given(curves(), st.floats(-500, 500))
def test_bd_lies_between_the_worst_and_the_best_point(
    curve: tuple[np.ndarray, np.ndarray], anchor: float
) -> None:
    rates, scores = curve
    value = bd_metric(rates, scores, anchor).value + anchor
    assert scores.min() - 1e-9 <= value <= scores.max() + 1e-9


@example((np.array([1.0, 2.0, 3.0]), np.array([-2.3e-313, 0.0, 1.0])), 1.0)
@given(curves(), st.floats(0.1, 10))
def test_the_unit_of_rate_does_not_matter(
    curve: tuple[np.ndarray, np.ndarray], unit: float
) -> None:
    rates, scores = curve
    assert bd_metric(unit * rates, scores, 0.0).value == pytest.approx(
        bd_metric(rates, scores, 0.0).value, abs=1e-7
    )


def test_swapping_two_curves_changes_the_sign() -> None:
    a = ([0.1, 0.2, 0.4], [50.0, 60.0, 65.0])
    b = ([0.15, 0.3, 0.5], [40.0, 58.0, 66.0])
    assert bd_between(*a, *b).value == pytest.approx(-bd_between(*b, *a).value)


@pytest.mark.parametrize(
    ("rates", "scores", "says"),
    [
        ([0.1], [50], "1 point"),
        ([], [], "0 point"),
        ([0.1, 0.2], [50], "2 rates but 1 scores"),
        ([0.2, 0.2], [50, 55], "all points are at 0.2 bpp"),
        ([0.1, math.nan], [50, 55], "NaN"),
        ([0.1, 0.2], [50, math.inf], "infinite"),
        ([0.0, 0.2], [50, 55], "above 0"),
        ([-0.1, 0.2], [50, 55], "rate -0.1"),
    ],
)
def test_an_unusable_curve_is_refused(rates: list[float], scores: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        bd_metric(rates, scores, 70.0)
    with pytest.raises(InputError, match=says):
        bd_between([0.1, 0.2], [50, 55], rates, scores)


def test_an_anchor_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="anchor is nan"):
        bd_metric([0.1, 0.2], [50, 60], math.nan)


def test_flags() -> None:
    assert bd_metric([0.4, 0.3, 0.1], [3, 2, 1], 5).flags == ()
    assert bd_metric([0.1, 0.4, 0.3], [1, 3, 2], 5).flags == ("non-monotone rates",)
    narrow = bd_between([0.1, 0.2], [1, 2], [0.18, 0.5], [1, 2])
    assert narrow.flags == ("small overlap 6 %",)
    with pytest.raises(InputError, match=r"no bpp range: 0\.1 to 0\.2 against 0\.3 to 0\.5"):
        bd_between([0.1, 0.2], [1, 2], [0.3, 0.5], [1, 2])


def test_a_sample_with_equal_rates_is_nan_and_spoils_no_other() -> None:
    rates = np.array([[0.1, 0.2, 0.3], [0.1, 0.1, 0.3]])
    found = bd_metric_many(rates, np.full((2, 3), 40.0), 50.0)
    assert found[0] == pytest.approx(-10.0)
    assert math.isnan(found[1])


def test_bd_rate_of_half_the_bits_is_minus_fifty_percent() -> None:
    rates, scores = np.array([0.1, 0.2, 0.4, 0.8]), np.array([50.0, 60.0, 66.0, 70.0])
    assert bd_rate(rates / 2, scores, rates, scores).value == pytest.approx(-50.0)
    with pytest.raises(InputError, match="do not rise with the rate"):
        bd_rate(rates, scores[::-1], rates, scores)
    with pytest.raises(InputError, match="share no scores"):
        bd_rate(rates, scores + 100, rates, scores)


def test_bd_rate_is_that_of_the_package_bjontegaard() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        rates, other = np.sort(rng.uniform(0.05, 2, (2, 5)), axis=1)
        scores, other_scores = np.sort(rng.uniform(20, 40, (2, 5)), axis=1)
        expected = bjontegaard.bd_rate(
            other,
            other_scores,
            rates,
            scores,
            method="pchip",
            require_matching_points=False,
            min_overlap=0,
        )
        assert bd_rate(rates, scores, other, other_scores).value == pytest.approx(expected)


def test_levels_that_do_not_rise_are_averaged_and_named() -> None:
    found = bd_rate([0.1, 0.2, 0.4, 0.8], [50, 62, 60, 70], [0.2, 0.4, 0.8], [50, 60, 70])
    by_hand = bd_rate([0.1, math.sqrt(0.2 * 0.4), 0.8], [50, 61, 70], [0.2, 0.4, 0.8], [50, 60, 70])
    assert found.value == pytest.approx(by_hand.value)
    assert by_hand.flags == ()
    assert found.flags == ("2 levels whose scores do not rise with the rate were averaged",)


def test_points_of_equal_rate_are_one_point_with_their_mean() -> None:
    found = bd_metric([0.1, 0.2, 0.2], [50, 60, 70], 80.0)
    assert found.value == bd_metric([0.1, 0.2], [50, 65], 80.0).value
    assert found.flags == ("2 levels at 0.2 bpp were averaged",)
    with pytest.raises(InputError, match="at least 2 rates"):
        bd_metric([0.2, 0.2], [60, 70], 80.0)


def test_many_bd_rates_at_once_equal_those_one_by_one() -> None:
    rng = np.random.default_rng(4)
    curves, others, expected = [], [], []
    for _ in range(100):
        rates, other = np.sort(rng.uniform(0.05, 2, (2, 4)), axis=1)
        scores, other_scores = np.cumsum(rng.normal(4, 5, (2, 4)), axis=1)
        curves.append(rising(rates, scores))
        others.append(rising(other, other_scores))
        try:
            expected.append(bd_rate(rates, scores, other, other_scores).value)
        except InputError:
            expected.append(math.nan)
    found = bd_rate_many(curves, others)
    assert 10 < np.isfinite(found).sum() < 100
    np.testing.assert_allclose(found, expected)


@given(curves(), st.floats(0, 1))
def test_a_value_between_the_points_is_that_of_scipy(
    curve: tuple[np.ndarray, np.ndarray], place: float
) -> None:
    rates, scores = curve
    at = min(rates[0] + place * np.ptp(rates), rates[-1])
    expected = float(PchipInterpolator(rates, scores)(at))
    assert value(rates, scores, at) == pytest.approx(expected, abs=1e-7)
