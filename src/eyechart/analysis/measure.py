"""Score and rate of one cell from its sums, for all images and for each resampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from eyechart.analysis.bootstrap import Resampling
from eyechart.analysis.cells import CellData
from eyechart.analysis.quality import CellQuality
from eyechart.analysis.sums import CellSums
from eyechart.core.types import Floats, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Score (headline metric) and rate of one cell. Draws: (samples,), NaN if a resampling contains
    none of the cell's images (cells with failures lack some images)."""

    data: CellData
    metrics: dict[str, float]
    score: float
    score_draws: Floats
    bpp: float  # mean of per-image bpp: the rate of a curve point
    bpp_draws: Floats
    total_bpp: float  # all bits over all pixels
    unparsed_share: float
    caution: str = ""  # why its intervals are unreliable
    at_chance: str = ""  # of an uncompressed cell: that its VLM does not answer better than a guess
    quality: Mapping[str, CellQuality] = field(default_factory=dict)  # by metric


def measure(task: Task, data: CellData, sums: CellSums, resampling: Resampling) -> Measured:
    """Resample the images of one cell."""
    row_of = {image: row for row, image in enumerate(resampling.images)}
    statistics = np.zeros((len(row_of), sums.statistics.sums.shape[1]))
    statistics[[row_of[image] for image in sums.statistics.images]] = sums.statistics.sums
    rates = np.zeros((len(row_of), 2))  # bpp, present
    for image, bpp in sums.rates_bpp.items():
        rates[row_of[image]] = bpp, 1

    drawn = resampling.weights @ rates
    present = drawn[:, 1] > 0
    score_draws, bpp_draws = np.full((2, len(drawn)), np.nan)
    score_draws[present] = task.headline(resampling.weights[present] @ statistics)
    bpp_draws[present] = drawn[present, 0] / drawn[present, 1]
    return Measured(
        data=data,
        metrics=sums.metrics,
        score=sums.metrics[task.headline_metric],
        score_draws=score_draws,
        bpp=float(rates[:, 0].sum() / len(sums.rates_bpp)),
        bpp_draws=bpp_draws,
        total_bpp=8 * sums.payload_bytes / sums.pixels,
        unparsed_share=sums.unparsed_share,
        caution=resampling.caution,
    )
