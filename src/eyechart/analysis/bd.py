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

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from eyechart.analysis.pchip import integral
from eyechart.core.errors import InputError
from eyechart.core.types import Floats
from eyechart.core.units import counted

Points: TypeAlias = tuple[Floats, Floats]  # scores and log rates, as `rising` returns them

SMALL_OVERLAP = 0.5  # of the wider curve's range; comparisons of curves below it are flagged
_ROUNDING = 1e-9  # points or percent; smaller results are rounding errors of the integrals


class NothingSharedError(InputError):
    """Two curves cannot be compared, because they have no rates or no scores in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bd:
    """A BD-Metric in the metric's own units (negative: below the anchor), or a BD-rate in percent.

    over: the ends of the range that it is the mean over: of rates, for a BD-rate of scores. flags:
    warnings.
    """

    value: float
    over: tuple[float, float]
    flags: tuple[str, ...] = ()


def bd_metric(
    rates_bpp: npt.ArrayLike, scores: npt.ArrayLike, anchor: float, *, unit: str = "bpp"
) -> Bd:
    """BD-Metric of one curve, points in any order, against the uncompressed score `anchor`.

    Points of equal rate become one point with their mean score; a flag says so. unit: of the rates,
    for messages.

    Raises:
        InputError: fewer than two rates, lengths that differ, a rate not above 0, NaN or infinity.
    """
    rates, values, flags = checked_points(rates_bpp, scores, unit)
    if not np.isfinite(anchor):
        raise InputError(f"anchor is {anchor}; a finite score is needed")
    value = float(bd_metric_many(rates, values, anchor))
    return Bd(value=value, over=_shared(rates, rates), flags=flags)


def bd_between(
    rates_bpp: npt.ArrayLike,
    scores: npt.ArrayLike,
    against_bpp: npt.ArrayLike,
    against_scores: npt.ArrayLike,
    *,
    unit: str = "bpp",
) -> Bd:
    """BD-Metric of one curve against another: mean difference over the shared range of rates.

    unit: of the rates, for messages.

    Raises:
        InputError: as `bd_metric`, for either curve; or the curves share no range.
    """
    rates, values, flags = checked_points(rates_bpp, scores, unit)
    other_rates, other_values, other_flags = checked_points(against_bpp, against_scores, unit)
    flags += other_flags
    share = overlap(rates, other_rates)
    if share <= 0:
        spans = f"{_span(rates)} against {_span(other_rates)}"
        raise NothingSharedError(f"the curves share no {unit} range: {spans}")
    if share < SMALL_OVERLAP:
        flags += (f"small overlap {100 * share:.0f} %",)
    value = bd_between_many(rates, values, other_rates, other_values)
    shared = _shared(rates, other_rates)
    return Bd(value=float(value), over=shared, flags=tuple(dict.fromkeys(flags)))


def bd_rate(
    rates_bpp: npt.ArrayLike,
    scores: npt.ArrayLike,
    against_bpp: npt.ArrayLike,
    against_scores: npt.ArrayLike,
) -> Bd:
    """Classic BD-rate: change of the rate in percent at equal score (negative: fewer bits).

    Not a figure of the paper. PCHIP of log rate over the score, averaged over the shared range of
    scores (Bjontegaard, VCEG-M33, with the interpolation of ITU-T HSTP-VID-WPOM). A score that does
    not rise with the rate has no rate of its own: see `rising`. A flag says so.

    Raises:
        InputError: as `bd_metric`; a curve that never rises; no shared scores.
    """
    rates, values, flags = checked_points(rates_bpp, scores)
    other_rates, other_values, other_flags = checked_points(against_bpp, against_scores)
    curves = rising(rates, values), rising(other_rates, other_values)
    for curve, points in zip(curves, (rates, other_rates), strict=True):
        if len(curve[0]) < 2:
            raise InputError("the scores of a curve do not rise with the rate; BD-rate needs that")
        if len(curve[0]) < len(points):
            joined = len(points) - len(curve[0]) + 1
            flags += (f"{joined} levels whose scores do not rise with the rate were averaged",)
    (x, y), (other_x, other_y) = curves
    value = float(_rate_percent(x, y, other_x, other_y))
    if not np.isfinite(value):
        raise NothingSharedError(f"the curves share no scores: {_span(x)} against {_span(other_x)}")
    shared = _shared(x, other_x)
    return Bd(value=value, over=shared, flags=tuple(dict.fromkeys((*flags, *other_flags))))


def rising(rates_bpp: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Scores that rise, and their log rates, (m,) each with m <= n: a curve that can be inverted.

    Where a score is not above that of a lower rate, the levels become one, with the mean of the
    scores and of the log rates (pool adjacent violators: Ayer et al., Annals of Mathematical
    Statistics 26, 1955).
    """
    order = np.argsort(rates_bpp, kind="stable")
    pools: list[tuple[float, float, int]] = []  # sums of scores and log rates, levels
    for score, rate in zip(scores[order].tolist(), np.log(rates_bpp[order]).tolist(), strict=True):
        pool = (score, rate, 1)
        while pools and pool[0] / pool[2] <= pools[-1][0] / pools[-1][2]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    sums, logs, levels = np.array(pools).T
    return sums / levels, logs / levels


def bd_rate_many(curves: Sequence[Points], others: Sequence[Points]) -> Floats:
    """BD-rate in percent of samples, each curve as `rising` returns it: -> (samples,).

    NaN for samples without shared scores.
    """
    found = np.full(len(curves), np.nan)
    sizes: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (curve, other) in enumerate(zip(curves, others, strict=True)):
        sizes[len(curve[0]), len(other[0])].append(place)
    for size, places in sizes.items():
        if min(size) >= 2:
            mine, theirs = (
                [np.stack([group[place][axis] for place in places]) for axis in (0, 1)]
                for group in (curves, others)
            )
            found[places] = _rate_percent(*mine, *theirs)
    return found


def _rate_percent(x: Floats, y: Floats, other_x: Floats, other_y: Floats) -> Floats:
    """Of scores and log rates, (..., n) and (..., m): -> (...). NaN: no shared scores."""
    low = np.maximum(x[..., 0], other_x[..., 0])
    high = np.minimum(x[..., -1], other_x[..., -1])
    usable = high > low
    area = integral(x, y, low, high) - integral(other_x, other_y, low, high)
    change = 100 * np.expm1(np.where(usable, area / np.where(usable, high - low, 1.0), np.nan))
    return _exact_zeros(change)


def bd_metric_many(rates_bpp: Floats, scores: Floats, anchors: float | Floats) -> Floats:
    """BD-Metric of samples: (..., n), (..., n), (...) -> (...).

    NaN for samples with equal rates or with NaN scores.
    """
    rates, values, usable = _sorted(rates_bpp, scores)
    low, high = rates[..., 0], rates[..., -1]
    mean = integral(rates, values, low, high) / (high - low)
    return np.where(usable, _exact_zeros(mean - anchors), np.nan)


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
    return np.where(usable, _exact_zeros(mean), np.nan)


def _exact_zeros(values: Floats) -> Floats:
    """Values with 0 in place of rounding errors, so that no loss is a loss of exactly 0."""
    return np.where(np.abs(values) < _ROUNDING, 0.0, values)


def overlap(rates_bpp: Floats, against_bpp: Floats) -> float:
    """Shared bpp range over the wider curve's range, 0..1."""
    low = max(rates_bpp.min(), against_bpp.min())
    high = min(rates_bpp.max(), against_bpp.max())
    return float(max(0.0, high - low) / max(np.ptp(rates_bpp), np.ptp(against_bpp)))


def checked_points(
    rates_bpp: npt.ArrayLike, scores: npt.ArrayLike, unit: str = "bpp"
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """The points of one curve as arrays, (n,) and (n,), and flags. Points of equal rate become one.

    Raises InputError.
    """
    rates = np.asarray(rates_bpp, dtype=np.float64)
    values = np.asarray(scores, dtype=np.float64)
    if rates.ndim != 1 or rates.shape != values.shape:
        raise InputError(f"{rates.size} rates but {values.size} scores; one score a rate is needed")
    if rates.size < 2:
        raise InputError(f"{counted(rates.size, 'point')}; a curve needs at least 2")
    if not (np.isfinite(rates).all() and np.isfinite(values).all()):
        raise InputError("a rate or score is NaN or infinite; every point needs finite numbers")
    if rates.min() <= 0:
        raise InputError(f"rate {rates.min():g} {unit}; rates must be above 0")
    groups = equal_rates(rates)
    if len(groups) < 2:
        raise InputError(f"all points are at {rates[0]:g} {unit}; a curve needs at least 2 rates")
    flags = merge_flags(rates, groups, unit)
    rates, values = (np.array([axis[group].mean() for group in groups]) for axis in (rates, values))
    return rates, values, (*flags, *_order_flags(rates))


def equal_rates(rates_bpp: Floats) -> list[list[int]]:
    """Places of the points, those of equal rate together, in the order of their first ones."""
    groups: dict[float, list[int]] = {}
    for place, rate in enumerate(rates_bpp.tolist()):
        groups.setdefault(rate, []).append(place)
    return list(groups.values())


def merge_flags(
    rates_bpp: Floats, groups: Sequence[Sequence[int]], unit: str = "bpp"
) -> tuple[str, ...]:
    """What `equal_rates` found, as flags."""
    return tuple(
        f"{len(group)} levels at {rates_bpp[group[0]]:.4g} {unit} were averaged"
        for group in groups
        if len(group) > 1
    )


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


def _order_flags(rates: Floats) -> tuple[str, ...]:
    """A flag if the rates, in order of levels, do not rise: then a level is not as declared."""
    steps = np.diff(rates)
    return () if (steps > 0).all() or (steps < 0).all() else ("non-monotone rates",)


def _shared(values: Floats, others: Floats) -> tuple[float, float]:
    """The ends of the range that two curves share."""
    return float(max(values.min(), others.min())), float(min(values.max(), others.max()))


def _span(values: Floats) -> str:
    return f"{values.min():.4g} to {values.max():.4g}"
