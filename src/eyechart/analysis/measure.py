"""Score and rate of one cell from its sums, for all images and for each resampling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from eyechart.analysis.bootstrap import Resampling
from eyechart.analysis.cells import CellData
from eyechart.analysis.quality import CellQuality
from eyechart.analysis.sums import CellSums
from eyechart.core.types import Floats, Task

_MOST_BYTES = 64 << 20  # of the columns of the cells that are resampled together


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
    rates: Floats | None = None,
) -> Measured:
    """Resample the images of one cell. rates: of `CellSums.images`; None: in bpp."""
    cell = (data, sums, sums.rates_bpp if rates is None else rates)
    (measured,) = measure_cells(task, [cell], resampling)
    return measured


def measure_cells(
    task: Task, cells: Iterable[tuple[CellData, CellSums, Floats]], resampling: Resampling
) -> Iterator[Measured]:
    """Resample the images of some cells with the rates of their `CellSums.images`.

    Many cells are one matrix product: each product reads all weights.
    """
    waiting: list[tuple[CellData, CellSums, Floats, Floats]] = []
    for data, sums, rates in cells:
        waiting.append((data, sums, rates, _columns(sums, rates, resampling)))
        if sum(columns.nbytes for *_, columns in waiting) >= _MOST_BYTES:
            yield from _measured(task, waiting, resampling)
            waiting = []
    yield from _measured(task, waiting, resampling)


def _columns(sums: CellSums, rates: Floats, resampling: Resampling) -> Floats:
    """What is summed of each image of a resampling: rate, 1 if it is there, statistics."""
    columns = np.zeros((len(resampling.images), 2 + sums.statistics.sums.shape[1]))
    columns[resampling.rows(sums.statistics.images), 2:] = sums.statistics.sums
    rows = resampling.rows(sums.images)
    columns[rows, 0], columns[rows, 1] = rates, 1
    return columns


def _measured(
    task: Task,
    cells: Sequence[tuple[CellData, CellSums, Floats, Floats]],
    resampling: Resampling,
) -> Iterator[Measured]:
    if not cells:
        return
    ends = np.cumsum([columns.shape[1] for *_, columns in cells])
    of_all = resampling.sums(np.concatenate([columns for *_, columns in cells], axis=1))
    parts = np.split(of_all, ends[:-1], axis=1)
    for (data, sums, rates, columns), drawn in zip(cells, parts, strict=True):
        present = drawn[:, 1] > 0
        score_draws, rate_draws = np.full((2, len(drawn)), np.nan)
        score_draws[present] = task.headline(np.ascontiguousarray(drawn[present, 2:]))
        rate_draws[present] = drawn[present, 0] / drawn[present, 1]
        mean_rate = float(columns[:, 0].sum() / len(rates))
        yield Measured(
            data=data,
            metrics=sums.metrics,
            score=sums.metrics[task.headline_metric],
            score_draws=score_draws,
            rate=mean_rate,
            rate_draws=rate_draws,
            bpp=mean_rate if rates is sums.rates_bpp else fmean(sums.rates_bpp.tolist()),
            total_bpp=8 * int(sums.payload_bytes.sum()) / sums.pixels,
            unparsed_share=sums.unparsed_share,
            caution=resampling.caution,
        )
