"""Paired bootstrap over images: intervals of scores, rates and BD-Metrics.

Images are resampled, not questions, because answers about one image are correlated. One resampling
is used for every codec, level, VLM and adapter of a task, so that common effects (hard images)
cancel in the difference of two curves.

Within a stratum of n images (`ImageSums.strata`), n - 1 are drawn and weighted by n / (n - 1):
drawing n of few images would give too narrow intervals (Rao and Wu, "Resampling inference with
complex survey data", Journal of the American Statistical Association 83, 1988).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.analysis.result import Interval
from eyechart.core.errors import InputError
from eyechart.core.types import Floats

COVERAGE = 0.95  # of every interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """Weights (samples, images) of the images; each row sums to the number of images.

    caution: why there are no intervals, or "".
    """

    images: tuple[str, ...]
    weights: Floats
    caution: str = ""


def resample(
    images: Sequence[str], *, samples: int, seed: int, strata: Mapping[str, str] | None = None
) -> Resampling:
    """Draw as many images as there are, with replacement, `samples` times.

    strata: image -> stratum. Each stratum is resampled separately; images without one are a stratum
    too. A stratum of one image says nothing about the spread within it: there are no samples then,
    and `caution` says why.

    Raises:
        InputError: a negative number of samples.
    """
    if samples < 0:
        raise InputError(f"{samples} bootstrap samples; 0 (no intervals) or more are needed")
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        groups[(strata or {}).get(image, "")].append(place)
    lone = sum(len(places) == 1 for places in groups.values()) if strata else 0
    if lone and samples:
        return Resampling(
            images=tuple(images),
            weights=np.zeros((0, len(images))),
            caution=f"no interval: {lone} of {len(groups)} strata have one image",
        )
    rng = np.random.default_rng(seed)
    weights = np.zeros((samples, len(images)))
    for places in groups.values():
        count = len(places)
        drawn = count - 1 if strata and count > 1 else count
        for row in weights:
            row[places] = np.bincount(rng.integers(count, size=drawn), minlength=count)
        weights[:, places] *= count / drawn
    return Resampling(images=tuple(images), weights=weights)


def interval(value: float, draws: Floats) -> Interval:
    """`value` with the central 95 % of its draws; without usable draws both bounds are `value`."""
    usable = draws[np.isfinite(draws)]
    if not usable.size:
        return Interval(value=value, low=value, high=value)
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(usable, (tail, 1 - tail))
    return Interval(value=value, low=float(low), high=float(high))
