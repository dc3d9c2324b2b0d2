"""Score and rate of one cell from its sums, for all images and for each resampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from eyechart.analysis.bootstrap import Resampling
from eyechart.analysis.cells import CellData
from eyechart.analysis.quality import CellQuality
from eyechart.analysis.sums import CellSums
from eyechart.core.types import Floats, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Score (headline metric) and rate of one cell. rate: over the axis of the analysis. Draws:
    (samples,), NaN if a resampling contains none of the cell's images (cells with failures lack
    some images)."""

    data: CellData
    metrics: dict[str, float]
    score: float
    score_draws: Floats
    rate: float  # mean over the images: that of a curve point
    rate_draws: Floats
    bpp: float  # mean of per-image bpp
    total_bpp: float  # all bits over all pixels
    unparsed_share: float
    caution: str = ""  # why its intervals are unreliable
    at_chance: str = ""  # of an uncompressed cell: that its VLM does not answer better than a guess
    quality: Mapping[str, CellQuality] = field(default_factory=dict)  # by metric


def measure(
    task: Task,
    data: CellData,
    sums: CellSums,
    resampling: Resampling,
    *,
    rates: Mapping[str, float] | None = None,
) -> Measured:
    """Resample the images of one cell. rates: image -> rate; None: in bpp."""
    found = sums.rates_bpp if rates is None else rates
    row_of = {image: row for row, image in enumerate(resampling.images)}
    statistics = np.zeros((len(row_of), sums.statistics.sums.shape[1]))
    statistics[[row_of[image] for image in sums.statistics.images]] = sums.statistics.sums
    of_images = np.zeros((len(row_of), 2))  # rate, present
    for image, rate in found.items():
        of_images[row_of[image]] = rate, 1

    drawn = resampling.weights @ of_images
    present = drawn[:, 1] > 0
    score_draws, rate_draws = np.full((2, len(drawn)), np.nan)
    score_draws[present] = task.headline(resampling.weights[present] @ statistics)
    rate_draws[present] = drawn[present, 0] / drawn[present, 1]
    mean_rate = float(of_images[:, 0].sum() / len(found))
    return Measured(
        data=data,
        metrics=sums.metrics,
        score=sums.metrics[task.headline_metric],
        score_draws=score_draws,
        rate=mean_rate,
        rate_draws=rate_draws,
        bpp=mean_rate if found is sums.rates_bpp else fmean(sums.rates_bpp.values()),
        total_bpp=8 * sums.payload_bytes / sums.pixels,
        unparsed_share=sums.unparsed_share,
        caution=resampling.caution,
    )
