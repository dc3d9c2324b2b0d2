"""Rate-metric curves from measured cells, and their BD-Metrics with intervals and flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.analysis.bd import Bd, bd_between, bd_between_many, bd_metric, bd_metric_many
from eyechart.analysis.bootstrap import interval
from eyechart.analysis.measure import Measured
from eyechart.analysis.result import Interval
from eyechart.core.errors import InputError
from eyechart.core.types import Floats

BdOutcome = tuple[Interval | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One task x codec x VLM x adapter: points by rising rate, (n,), and draws, (samples, n)."""

    rates_bpp: Floats
    scores: Floats
    rate_draws: Floats
    score_draws: Floats
    flags: tuple[str, ...] = ()  # missing levels or answers


def curve_of(cells: Sequence[Measured], *, flags: tuple[str, ...] = ()) -> Curve:
    """Join the levels of one codec, at least one, into a curve."""
    points = sorted(cells, key=lambda measured: measured.bpp)
    return Curve(
        rates_bpp=np.array([point.bpp for point in points]),
        scores=np.array([point.score for point in points]),
        rate_draws=np.stack([point.bpp_draws for point in points], axis=-1),
        score_draws=np.stack([point.score_draws for point in points], axis=-1),
        flags=flags,
    )


def bd_from_uncompressed(curve: Curve, uncompressed: Measured | None) -> BdOutcome:
    """BD-Metric against the uncompressed score; (None, reason) if it cannot be computed."""
    if uncompressed is None:
        return None, (*curve.flags, "no uncompressed score")
    try:
        bd = bd_metric(curve.rates_bpp, curve.scores, uncompressed.score)
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
        bd = bd_between(curve.rates_bpp, curve.scores, base.rates_bpp, base.scores)
    except InputError as error:
        return None, (*flags, str(error))
    draws = bd_between_many(curve.rate_draws, curve.score_draws, base.rate_draws, base.score_draws)
    return _with_interval(bd, draws, flags)


def _with_interval(bd: Bd, draws: Floats, flags: tuple[str, ...]) -> BdOutcome:
    lost = int(np.count_nonzero(~np.isfinite(draws)))
    if lost:
        flags = (*flags, f"{lost} of {draws.size} resamplings unusable")
    return interval(bd.value, draws), (*flags, *bd.flags)
