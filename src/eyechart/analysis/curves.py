"""Rate-metric curves from measured cells, and their BD-Metrics with intervals and flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.analysis.bd import (
    Bd,
    NothingSharedError,
    Points,
    bd_between,
    bd_between_many,
    bd_metric,
    bd_metric_many,
    bd_rate,
    bd_rate_many,
    equal_rates,
    merge_flags,
    rising,
)
from eyechart.analysis.bootstrap import COVERAGE, interval
from eyechart.analysis.measure import Measured
from eyechart.analysis.result import Interval
from eyechart.core.errors import InputError
from eyechart.core.types import Floats

BdOutcome = tuple[Interval | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One task x codec x VLM x adapter: points by rising rate, (n,), and draws, (samples, n)."""

    rates: Floats
    scores: Floats
    rate_draws: Floats
    score_draws: Floats
    flags: tuple[str, ...] = ()  # missing levels or answers
    unit: str = "bpp"  # of the rates

    def rising_draws(self) -> list[Points]:
        """Every draw as BD-rate uses it; a single point for one that is not usable."""
        nothing = np.zeros(1), np.zeros(1)
        return [
            rising(rates, scores) if np.isfinite(scores).all() else nothing
            for rates, scores in zip(self.rate_draws, self.score_draws, strict=True)
        ]


def curve_of(cells: Sequence[Measured], *, flags: tuple[str, ...] = (), unit: str = "bpp") -> Curve:
    """Join the levels of one codec, at least one, into a curve. Levels of equal rate become one
    point, with the mean of their scores. unit: of the rates."""
    points = sorted(cells, key=lambda measured: measured.rate)
    rates = np.array([point.rate for point in points])
    groups = equal_rates(rates)

    def merged(values: Sequence[Floats] | Sequence[float]) -> Floats:
        axis = np.stack([np.asarray(value) for value in values], axis=-1)
        return np.stack([axis[..., group].mean(axis=-1) for group in groups], axis=-1)

    return Curve(
        rates=merged([point.rate for point in points]),
        scores=merged([point.score for point in points]),
        rate_draws=merged([point.rate_draws for point in points]),
        score_draws=merged([point.score_draws for point in points]),
        flags=(*flags, *merge_flags(rates, groups, unit)),
        unit=unit,
    )


def bd_from_uncompressed(curve: Curve, uncompressed: Measured | None) -> BdOutcome:
    """BD-Metric against the uncompressed score; (None, reason) if it cannot be computed."""
    if uncompressed is None:
        return None, (*curve.flags, "no uncompressed score")
    try:
        bd = bd_metric(curve.rates, curve.scores, uncompressed.score, unit=curve.unit)
    except InputError as error:
        return None, (*curve.flags, str(error))
    draws = bd_metric_many(curve.rate_draws, curve.score_draws, uncompressed.score_draws)
    return _with_interval(bd, draws, curve.flags)


def bd_from_curve(curve: Curve, base: Curve | None) -> BdOutcome:
    """BD-Metric against another curve (with an adapter against without); (None, reason) if it
    cannot be computed."""
    if base is None:
        return None, (*curve.flags, "no curve to compare with")
    flags = tuple(dict.fromkeys((*curve.flags, *base.flags)))
    try:
        bd = bd_between(curve.rates, curve.scores, base.rates, base.scores, unit=curve.unit)
    except NothingSharedError:
        return None, (*flags, "no shared rates")
    except InputError as error:
        return None, (*flags, str(error))
    draws = bd_between_many(curve.rate_draws, curve.score_draws, base.rate_draws, base.score_draws)
    return _with_interval(bd, draws, flags)


def bd_rate_from_curve(
    curve: Curve, base: Curve, curve_draws: Sequence[Points], base_draws: Sequence[Points]
) -> BdOutcome:
    """BD-rate in percent against another curve; (None, reason) if it cannot be computed.

    curve_draws, base_draws: their `rising_draws`.
    """
    flags = tuple(dict.fromkeys((*curve.flags, *base.flags)))
    try:
        bd = bd_rate(curve.rates, curve.scores, base.rates, base.scores)
    except NothingSharedError:
        return None, (*flags, "no shared scores")
    except InputError as error:
        return None, (*flags, str(error))
    return _with_interval(bd, bd_rate_many(curve_draws, base_draws), flags)


def _with_interval(bd: Bd, draws: Floats, flags: tuple[str, ...]) -> BdOutcome:
    """Without an interval if over 5 % of the draws have no value: it could not be a 95 % one."""
    lost = np.count_nonzero(~np.isfinite(draws)) / draws.size if draws.size else 0.0
    if lost > 1 - COVERAGE:
        flag = "no interval: many resamplings have no shared range"
        return Interval(value=bd.value, low=bd.value, high=bd.value), (*flags, flag, *bd.flags)
    return interval(bd.value, draws), (*flags, *bd.flags)
