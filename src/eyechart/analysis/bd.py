"""BD-Metric: mean difference between a codec's rate-metric curve and the uncompressed score.

    score ^        uncompressed  - - - - - - - - -     BD = mean of the curve over its own bpp range
          |              ______o                           minus the uncompressed score
          |        ___o--                                  (dotted area / width of the range)
          |    _o- :::::::::::|
          |   o|
          +----+--------------+---> bpp (linear)

The paper prints BD-Metrics without defining them; this definition reproduces its tables
(`eyechart paper bd`, docs/bd-metric.md): PCHIP over linear bpp, averaged over the curve's own
range, minus the uncompressed score (Tables 2 and 16); between two curves the same average of the
difference, over the range that both share (Tables 4, 5 and 17).

The plain functions take one curve and raise errors; the `*_many` functions take leading axes for
bootstrap samples and return NaN for samples that cannot be used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eyechart.analysis.pchip import integral
from eyechart.core.errors import InputError
from eyechart.core.types import Floats

SMALL_OVERLAP = 0.5  # of the wider curve's range; comparisons of curves below it are flagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Bd:
    """A BD-Metric in the metric's own units (negative: below the anchor), and its warnings."""

    value: float
    flags: tuple[str, ...] = ()


def bd_metric(rates_bpp: npt.ArrayLike, scores: npt.ArrayLike, anchor: float) -> Bd:
    """BD-Metric of one curve, points in any order, against the uncompressed score `anchor`.

    Raises:
        InputError: fewer than two points, lengths that differ, equal rates, a rate not above 0,
            NaN or infinity.
    """
    rates, values = checked_points(rates_bpp, scores)
    if not np.isfinite(anchor):
        raise InputError(f"anchor is {anchor}; a finite score is needed")
    return Bd(value=float(bd_metric_many(rates, values, anchor)), flags=_order_flags(rates))


def bd_between(
    rates_bpp: npt.ArrayLike,
    scores: npt.ArrayLike,
    against_bpp: npt.ArrayLike,
    against_scores: npt.ArrayLike,
) -> Bd:
    """BD-Metric of one curve against another: mean difference over the shared bpp range.

    Raises:
        InputError: as `bd_metric`, for either curve; or the curves share no range.
    """
    rates, values = checked_points(rates_bpp, scores)
    other_rates, other_values = checked_points(against_bpp, against_scores)
    share = overlap(rates, other_rates)
    if share <= 0:
        raise InputError(
            f"the curves share no bpp range: {_span(rates)} against {_span(other_rates)}"
        )
    flags = _order_flags(rates) + _order_flags(other_rates)
    if share < SMALL_OVERLAP:
        flags += (f"small overlap {100 * share:.0f} %",)
    value = bd_between_many(rates, values, other_rates, other_values)
    return Bd(value=float(value), flags=tuple(dict.fromkeys(flags)))


def bd_rate_percent(
    rates_bpp: npt.ArrayLike,
    scores: npt.ArrayLike,
    against_bpp: npt.ArrayLike,
    against_scores: npt.ArrayLike,
) -> float:
    """Classic BD-rate: rate change in percent at equal score (negative: fewer bits).

    Not a figure of the paper. PCHIP of log rate over the score, averaged over the shared range of
    scores (Bjontegaard, VCEG-M33, with the interpolation of ITU-T HSTP-VID-WPOM).

    Raises:
        InputError: as `bd_metric`; scores that do not rise with the rate; no shared scores.
    """
    x, y = _log_rate_over_score(rates_bpp, scores)
    other_x, other_y = _log_rate_over_score(against_bpp, against_scores)
    low, high = max(x[0], other_x[0]), min(x[-1], other_x[-1])
    if low >= high:
        raise InputError(f"the curves share no scores: {_span(x)} against {_span(other_x)}")
    bounds = np.array(low), np.array(high)
    area = integral(x, y, *bounds) - integral(other_x, other_y, *bounds)
    return float(100 * np.expm1(area / (high - low)))


def bd_metric_many(rates_bpp: Floats, scores: Floats, anchors: float | Floats) -> Floats:
    """BD-Metric of samples: (..., n), (..., n), (...) -> (...).

    NaN for samples with equal rates or with NaN scores.
    """
    rates, values, usable = _sorted(rates_bpp, scores)
    low, high = rates[..., 0], rates[..., -1]
    mean = integral(rates, values, low, high) / (high - low)
    return np.where(usable, mean - anchors, np.nan)


def bd_between_many(
    rates_bpp: Floats, scores: Floats, against_bpp: Floats, against_scores: Floats
) -> Floats:
    """BD-Metric between samples of two curves: (..., n) and (..., m) -> (...).

    NaN for samples with equal rates, with NaN scores or without a shared range.
    """
    rates, values, usable = _sorted(rates_bpp, scores)
    other_rates, other_values, other_usable = _sorted(against_bpp, against_scores)
    low = np.maximum(rates[..., 0], other_rates[..., 0])
    high = np.minimum(rates[..., -1], other_rates[..., -1])
    usable = usable & other_usable & (high > low)
    width = np.where(usable, high - low, 1.0)
    mine = integral(rates, values, low, high)
    mean = (mine - integral(other_rates, other_values, low, high)) / width
    return np.where(usable, mean, np.nan)


def overlap(rates_bpp: Floats, against_bpp: Floats) -> float:
    """Shared bpp range over the wider curve's range, 0..1."""
    low = max(rates_bpp.min(), against_bpp.min())
    high = min(rates_bpp.max(), against_bpp.max())
    return float(max(0.0, high - low) / max(np.ptp(rates_bpp), np.ptp(against_bpp)))


def checked_points(rates_bpp: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The points of one curve as arrays, (n,) and (n,). Raises InputError."""
    rates = np.asarray(rates_bpp, dtype=np.float64)
    values = np.asarray(scores, dtype=np.float64)
    if rates.ndim != 1 or rates.shape != values.shape:
        raise InputError(f"{rates.size} rates but {values.size} scores; one score a rate is needed")
    if rates.size < 2:
        raise InputError(f"{rates.size} point(s); a curve needs at least 2")
    if not (np.isfinite(rates).all() and np.isfinite(values).all()):
        raise InputError("a rate or score is NaN or infinite; every point needs finite numbers")
    if rates.min() <= 0:
        raise InputError(f"rate {rates.min():g} bpp; rates must be above 0")
    ordered = np.sort(rates)
    same = ordered[1:][np.diff(ordered) == 0]
    if same.size:
        raise InputError(f"two points at {same[0]:g} bpp; rates must differ")
    return rates, values


def _sorted(rates: Floats, scores: Floats) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Points by rising rate, and which samples are usable (others get valid dummy points)."""
    rates, scores = np.broadcast_arrays(rates, scores)
    order = np.argsort(rates, axis=-1, kind="stable")
    rates = np.take_along_axis(rates, order, axis=-1)
    usable = np.asarray((np.diff(rates) > 0).all(axis=-1) & np.isfinite(scores).all(axis=-1))
    harmless = np.arange(1.0, rates.shape[-1] + 1)
    rates = np.where(usable[..., None], rates, harmless)
    scores = np.where(usable[..., None], np.take_along_axis(scores, order, axis=-1), 0.0)
    return rates, scores, usable


def _log_rate_over_score(rates_bpp: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    rates, values = checked_points(rates_bpp, scores)
    order = np.argsort(rates)
    if np.any(np.diff(values[order]) <= 0):
        raise InputError("BD-rate needs scores that rise with the rate; use BD-Metric instead")
    return values[order], np.log(rates[order])


def _order_flags(rates: Floats) -> tuple[str, ...]:
    """A flag if the rates, in order of levels, do not rise: then a level is not as declared."""
    steps = np.diff(rates)
    return () if (steps > 0).all() or (steps < 0).all() else ("non-monotone rates",)


def _span(values: Floats) -> str:
    return f"{values.min():.4g} to {values.max():.4g}"
