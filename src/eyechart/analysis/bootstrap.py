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
from functools import cached_property

import numpy as np
import numpy.typing as npt

from eyechart.analysis.result import Interval
from eyechart.core.errors import InputError
from eyechart.core.types import Floats

COVERAGE = 0.95  # of every interval
_BLOCK_BYTES = 16 << 20  # of weights that are made at once


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """Weights of the images in each sample; those of a sample sum to the number of images.

    counts: (samples, images), how often each image was drawn. scale: (images,), by which a count is
    multiplied to give a weight. caution: why there are no intervals, or "".
    """

    images: tuple[str, ...]
    counts: npt.NDArray[np.unsignedinteger]
    scale: Floats
    caution: str = ""

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(self.counts)

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Image -> its place in `images`."""
        return {image: row for row, image in enumerate(self.images)}

    def rows(self, images: tuple[str, ...]) -> npt.NDArray[np.intp]:
        """The places of some images. Raises KeyError."""
        if images not in self._rows:  # those of most cells are the same
            self._rows[images] = np.array([self.row_of[image] for image in images], dtype=np.intp)
        return self._rows[images]

    @cached_property
    def _rows(self) -> dict[tuple[str, ...], npt.NDArray[np.intp]]:
        return {}

    def weights_of(self, rows: Sequence[int], *, most: int) -> Floats:
        """The weights of some images in the first samples, at most `most`: (samples, images)."""
        return self.counts[:most, rows] * self.scale[rows]

    def sums(self, values: Floats) -> Floats:
        """Weighted sums over the images: (images, k) -> (samples, k).

        Of many columns at once, because the weights are made anew for each call.
        """
        sums = np.empty((self.samples, values.shape[1]))
        step = max(1, _BLOCK_BYTES // (8 * max(1, len(self.images))))
        for start in range(0, self.samples, step):
            block = slice(start, start + step)
            np.matmul(self.counts[block] * self.scale, values, out=sums[block])
        return sums


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
    scale = np.ones(len(images))
    if lone and samples:
        return Resampling(
            images=tuple(images),
            counts=np.zeros((0, len(images)), np.uint8),
            scale=scale,
            caution=f"no interval: {lone} of {len(groups)} strata have one image",
        )
    rng = np.random.default_rng(seed)
    counts = np.zeros((samples, len(images)), np.min_scalar_type(len(images)))
    for members in groups.values():
        count = len(members)
        places = slice(None) if count == len(images) else np.array(members)
        drawn = count - 1 if strata and count > 1 else count
        for row in counts:
            row[places] = np.bincount(rng.integers(count, size=drawn), minlength=count)
        scale[places] = count / drawn
    return Resampling(images=tuple(images), counts=counts, scale=scale)


def interval(value: float, draws: Floats) -> Interval:
    """`value` with the central 95 % of its draws; without usable draws both bounds are `value`."""
    usable = draws[np.isfinite(draws)]
    if not usable.size:
        return Interval(value=value, low=value, high=value)
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(usable, (tail, 1 - tail))
    return Interval(value=value, low=float(low), high=float(high))
