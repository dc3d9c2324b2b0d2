"""The psychometric function: how the share of right answers grows with the size.

    p(x) = guess + (1 - guess - LAPSE) / (1 + exp(-slope * ln(x / threshold)))

The threshold is the size at which p is halfway between `guess` and 1 - LAPSE. The form of p is that
of Wichmann and Hill ("The psychometric function: I", Perception & Psychophysics 63, 2001).
Threshold and slope have the greatest likelihood on a grid, with independent answers. The interval
of the threshold is that of the profile likelihood (Venzon and Moolgavkar, "A method for computing
profile-likelihood-based confidence intervals", Applied Statistics 37, 1988). With the few signs of
an acuity chart it covers the threshold of simulated observers less often than in 95 % of all cases:
in 88 to 94 % of 500 draws, for letters and rings, 6 and 12 rows, and thresholds of 9, 14 and 24 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LAPSE = 0.02  # share of errors at any size, from misprints and slips
_THRESHOLDS = 400
_SLOPES = np.geomspace(1.5, 40, 40)
_HALF_95 = 1.92  # half of the 95 % quantile of chi-square with one degree of freedom
_BEYOND = 1.5  # how far outside the tested sizes thresholds are looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The smallest size that is read, with its 95 % interval.

    size: None if it is outside the tested sizes. low, high: None for an open end.
    """

    size: float | None
    low: float | None
    high: float | None


def fit_threshold(
    sizes: Sequence[float], right: Sequence[float], asked: Sequence[int], *, guess: float
) -> Threshold:
    """Fit the function to the numbers of right answers at different sizes.

    sizes: different ones, at least one, over 0. right: 0 to `asked`. guess: probability (0 to 1,
    not 1) that a guess is right.
    """
    tested = np.asarray(sizes, dtype=np.float64)
    counts, totals = np.asarray(right, dtype=np.float64), np.asarray(asked, dtype=np.float64)
    low, high = tested.min() / _BEYOND, tested.max() * _BEYOND
    thresholds = np.geomspace(low, high, _THRESHOLDS)
    # (thresholds, slopes, sizes)
    distance = np.log(tested[None, None, :] / thresholds[:, None, None])
    chance = guess + (1 - guess - LAPSE) / (1 + np.exp(-_SLOPES[None, :, None] * distance))
    likelihood = (counts * np.log(chance) + (totals - counts) * np.log1p(-chance)).sum(axis=2)
    profile = likelihood.max(axis=1)
    best = int(profile.argmax())
    inside = np.flatnonzero(profile >= profile[best] - _HALF_95)
    found = float(thresholds[best])
    within = tested.min() <= found <= tested.max()
    return Threshold(
        size=found if within else None,
        low=None if inside[0] == 0 else float(thresholds[inside[0]]),
        high=None if inside[-1] == _THRESHOLDS - 1 else float(thresholds[inside[-1]]),
    )
