"""Upper bounds of a mean loss, from few images.

The bound is one-sided (Student's t over images).

Two images with a total loss are added to the data, because a few images without a loss would
otherwise show that there is none; Agresti and Coull (The American Statistician 52, 1998) add
successes and failures to a proportion for the same reason. With them the bound covers the true loss
of right or wrong answers in at least 95 % of all samples of 5 to 1,000 images (one image would be
too few: 93.8 % at worst).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from eyechart.core.types import Floats

LEAST_IMAGES = 5  # with fewer nothing is recommended
_MOST_IMAGES = 100_000


def upper_bound(losses: Floats, error_rate: float) -> float:
    """Upper bound of the mean of losses (n,), each -1..1; at most 1. Two losses of 1 are added to
    them."""
    values = np.append(losses, (1.0, 1.0))
    bound = _bound(len(values), float(values.mean()), float(values.std(ddof=1)), error_rate)
    return min(1.0, bound)


def _bound(count: int, mean: float, deviation: float, error_rate: float) -> float:
    return mean + _t_quantile(1 - error_rate, count - 1) * deviation / math.sqrt(count)


def images_needed(losses: Floats, tolerance: float, error_rate: float) -> int | None:
    """About how many more images with these losses would bring the bound to the tolerance, 0 if
    it is there; None if no number would."""
    if losses.mean() >= tolerance:
        return None
    count, share = max(len(losses), LEAST_IMAGES), float(np.square(losses).mean())
    while count <= _MOST_IMAGES:
        whole = count + 2  # with the two losses of 1
        mean = (count * float(losses.mean()) + 2) / whole
        variance = (count * share + 2 - whole * mean**2) / (whole - 1)
        if _bound(whole, mean, math.sqrt(max(0.0, variance)), error_rate) <= tolerance:
            return count - len(losses)
        count = math.ceil(count * 1.1) + 1
    return None


def _t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t by its expansion around the normal one (Abramowitz and Stegun,
    26.7.5): within 1 % from 4 degrees of freedom on, for probabilities up to 0.999."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))
