"""Correlation of quality metrics with scores (paper Fig. 6), over all cells and for codecs apart.

    cells of a VLM and a task --> (mean quality, score) --> all cells
                                                        --> within codecs: levels of one codec
                                                        --> between codecs: means of codecs

Within codecs, each codec's mean is taken away from its levels (Bland and Altman, "Calculating
correlation coefficients with repeated observations", part 1, BMJ 310, 1995; codecs are the
subjects). Between codecs, each codec counts once. A metric can follow the score well as the rate of
one codec changes, and still order codecs wrongly, so the three often disagree.

Images are resampled as everywhere, the same ones for a cell's quality and its score, so that an
interval says how much depends on the images that were asked about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from eyechart.analysis.bootstrap import interval
from eyechart.analysis.measure import Measured
from eyechart.analysis.result import CorrelationResult, CorrelationScope, Interval, QualityResult
from eyechart.core.types import UNCOMPRESSED, Floats
from eyechart.store import StoredMetric

LEAST_CELLS = 3  # points of a correlation
LEAST_IMAGES = 2  # of one image, nothing can be resampled


def quality_means(cells: Sequence[Measured]) -> list[QualityResult]:
    """The mean quality at each level, over the images of a task, each once."""
    found: dict[tuple[str, str, str, str], QualityResult] = {}
    for cell in cells:
        for name, quality in cell.quality.items():
            key = (cell.data.task, cell.data.codec, cell.data.cell.level.name, name)
            found.setdefault(
                key,
                QualityResult(
                    task=key[0],
                    codec=key[1],
                    level=key[2],
                    metric=name,
                    quality=interval(quality.value, quality.draws),
                    images=quality.images,
                ),
            )
    return list(found.values())


def correlations(
    cells: Sequence[Measured], metrics: Mapping[str, StoredMetric]
) -> list[CorrelationResult]:
    """Every correlation that the cells give; without those with an adapter or a choice set.

    A metric of which less is better is negated, so that a positive correlation always says: better
    quality, higher score.
    """
    groups: defaultdict[tuple[str, str], list[Measured]] = defaultdict(list)
    for cell in cells:
        data = cell.data
        if data.codec != UNCOMPRESSED and not data.adapter and not data.cell.decoding.choice_set:
            groups[data.vlm, data.task].append(cell)
    return [
        result
        for (vlm, task), own in groups.items()
        for name, metric in metrics.items()
        for result in _of_metric(vlm, task, metric, [cell for cell in own if name in cell.quality])
    ]


def _of_metric(
    vlm: str, task: str, metric: StoredMetric, cells: Sequence[Measured]
) -> Iterator[CorrelationResult]:
    cells = [cell for cell in cells if cell.quality[metric.name].images >= LEAST_IMAGES]
    if len(cells) < LEAST_CELLS:
        return
    sign = 1.0 if metric.higher_is_better else -1.0
    # The first row is the run itself, the others are resamplings.
    x, y = (
        np.stack([np.concatenate([[value], draws]) for value, draws in side], axis=-1)
        for side in (
            [
                (sign * cell.quality[metric.name].value, sign * cell.quality[metric.name].draws)
                for cell in cells
            ],
            [(cell.score, cell.score_draws) for cell in cells],
        )
    )
    codecs: defaultdict[str, list[int]] = defaultdict(list)
    for place, cell in enumerate(cells):
        codecs[cell.data.codec].append(place)
    scopes: tuple[tuple[CorrelationScope, int, tuple[Floats | None, Floats | None]], ...] = (
        ("all cells", len(cells), (_pearson(x, y), _pearson(_ranks(x), _ranks(y)))),
        ("within codecs", *_within(x, y, list(codecs.values()))),
        ("between codecs", *_between(x, y, list(codecs.values()))),
    )
    for scope, points, (pearson, spearman) in scopes:
        found = [_interval(one) for one in (pearson, spearman)]
        if any(one is not None for one in found):
            yield CorrelationResult(
                vlm=vlm,
                task=task,
                metric=metric.name,
                negated=not metric.higher_is_better,
                scope=scope,
                points=points,
                pearson=found[0],
                spearman=found[1],
            )


def _within(
    x: Floats, y: Floats, codecs: Sequence[Sequence[int]]
) -> tuple[int, tuple[Floats | None, Floats | None]]:
    """Over the levels of codecs with several, each codec's mean taken away; of ranks, within each
    codec."""
    several = [places for places in codecs if len(places) > 1]
    points = sum(map(len, several))
    if points < LEAST_CELLS:
        return points, (None, None)
    values, ranks = (
        [np.concatenate([_centred(each(side[:, at])) for at in several], -1) for side in (x, y)]
        for each in (_same, _ranks)
    )
    return points, (_cosine(*values), _cosine(*ranks))


def _between(
    x: Floats, y: Floats, codecs: Sequence[Sequence[int]]
) -> tuple[int, tuple[Floats | None, Floats | None]]:
    """Over codecs: the mean of each codec's levels is a point."""
    if len(codecs) < LEAST_CELLS:
        return len(codecs), (None, None)
    means = [np.stack([side[:, at].mean(-1) for at in codecs], axis=-1) for side in (x, y)]
    return len(codecs), (_pearson(*means), _pearson(*map(_ranks, means)))


def _same(x: Floats) -> Floats:
    return x


def _interval(found: Floats | None) -> Interval | None:
    """The value with its interval; None if it is not defined (all values of one side are equal)."""
    if found is None or not np.isfinite(found[0]):
        return None
    return interval(float(found[0]), found[1:])


def _pearson(x: Floats, y: Floats) -> Floats:
    """Pearson's correlation of each row, (rows,); NaN where one side is constant."""
    return _cosine(_centred(x), _centred(y))


def _cosine(x: Floats, y: Floats) -> Floats:
    norm = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    # Sides that differ by rounding only have no correlation.
    norm[norm < 1e-12] = np.nan
    found: Floats = np.clip((x * y).sum(-1) / norm, -1, 1)
    return found


def _centred(x: Floats) -> Floats:
    centred: Floats = x - x.mean(-1, keepdims=True)
    return centred


def _ranks(x: Floats) -> Floats:
    """Ranks within each row, from 0; equal values share the mean of their ranks."""
    below = (x[:, :, None] > x[:, None, :]).sum(-1)
    equal = (x[:, :, None] == x[:, None, :]).sum(-1)
    ranks: Floats = below + (equal - 1) / 2
    ranks[np.isnan(x).any(-1)] = np.nan
    return ranks
