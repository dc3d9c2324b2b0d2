"""Score and rate of one cell from its records, for all images and for each resampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from eyechart.analysis.bootstrap import Resampling
from eyechart.analysis.cells import CellData
from eyechart.analysis.quality import CellQuality
from eyechart.core.types import Floats, ImageSums, Record, Task


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


def image_sums(task: Task, records: Sequence[Record]) -> ImageSums:
    """Sums per image for the headline metric of one cell's records."""
    return task.image_sums([record.score for record in records])


def measure(
    task: Task,
    data: CellData,
    statistics: ImageSums,
    resampling: Resampling,
) -> Measured:
    """Resample the records of one cell, at least one; statistics: their `image_sums`."""
    records = data.records
    scores = [record.score for record in records]
    metrics = {name: float(value) for name, value in task.summarize(scores).items()}
    by_image = {record.image: record for record in records}  # all records of an image share a rate
    row_of = {image: row for row, image in enumerate(resampling.images)}

    sums = np.zeros((len(row_of), statistics.sums.shape[1]))
    sums[[row_of[image] for image in statistics.images]] = statistics.sums
    rates = np.zeros((len(row_of), 2))  # bpp, present
    for image, record in by_image.items():
        rates[row_of[image]] = record.bpp, 1

    drawn = resampling.weights @ rates
    present = drawn[:, 1] > 0
    score_draws, bpp_draws = np.full((2, len(drawn)), np.nan)
    score_draws[present] = task.headline(resampling.weights[present] @ sums)
    bpp_draws[present] = drawn[present, 0] / drawn[present, 1]
    payload_bytes = sum(record.payload_bytes for record in by_image.values())
    pixels = sum(record.height_px * record.width_px for record in by_image.values())
    return Measured(
        data=data,
        metrics=metrics,
        score=metrics[task.headline_metric],
        score_draws=score_draws,
        bpp=float(rates[:, 0].sum() / len(by_image)),
        bpp_draws=bpp_draws,
        total_bpp=8 * payload_bytes / pixels,
        unparsed_share=sum(not record.parsed for record in records) / len(records),
        caution=resampling.caution,
    )
