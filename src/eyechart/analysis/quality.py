"""The stored quality of a run's images, as means over the images of a cell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.analysis.bootstrap import Resampling
from eyechart.analysis.cells import CellData
from eyechart.core.identity import digest
from eyechart.core.types import UNCOMPRESSED, Floats
from eyechart.quality.frechet import LEAST_IMAGES, frechet_distance
from eyechart.store import QualityValue, Store

_SET_DRAWS = 200  # resamplings of a distance of sets of images, which takes longer than a mean
_MOST_RESAMPLED = 300  # images of a set that is resampled


@dataclass(frozen=True, slots=True, kw_only=True)
class CellQuality:
    """One metric over the images of a cell: the mean, and that of each resampling, (samples,).

    A metric that compares sets of images has their distance instead of a mean.
    """

    value: float
    draws: Floats  # NaN where it was not computed
    images: int  # that have a value


class RunQuality:
    """Reads each level's values once. cells: of the run, the uncompressed ones too."""

    def __init__(self, store: Store, cells: Sequence[CellData]) -> None:
        self._stored = store.quality
        self._originals = {
            digest(read.cell.task): read for read in cells if read.codec == UNCOMPRESSED
        }
        self.metrics = self._stored.metrics()
        self._digests: dict[str, dict[str, str]] = {}
        self._values: dict[tuple[str, str], dict[str, dict[str, QualityValue]]] = {}

    def of(
        self, read: CellData, asked: Collection[str], resampling: Resampling
    ) -> dict[str, CellQuality]:
        """The metrics of a cell by name; those without a value are left out. asked: the images of
        the cell's records. Raises StoreError."""
        if not self.metrics or read.codec == UNCOMPRESSED:
            return {}
        digests = self._digests_of(read)
        rows = [
            (row, digests[image])
            for row, image in enumerate(resampling.images)
            if image in asked and image in digests
        ]
        originals = self._originals.get(digest(read.cell.task))
        uncompressed = {} if originals is None else self._values_of(originals)
        found = {}
        for name, values in self._values_of(read).items():
            own = [(row, image, values[image]) for row, image in rows if image in values]
            if any(value.features for _, _, value in own):
                quality = _of_sets(own, uncompressed.get(name, {}), resampling)
            else:
                quality = _mean(own, resampling)
            if quality is not None and name in self.metrics:
                found[name] = quality
        return found

    def _digests_of(self, read: CellData) -> Mapping[str, str]:
        key = digest(read.cell.task)
        if key not in self._digests:
            self._digests[key] = self._stored.images(read.cell.task)
        return self._digests[key]

    def _values_of(self, read: CellData) -> Mapping[str, Mapping[str, QualityValue]]:
        codec, level = read.cell.codec, read.cell.level
        key = (digest(codec), digest(level.identity))
        if key not in self._values:
            self._values[key] = self._stored.values(codec, level)
        return self._values[key]


def _mean(
    measured: Sequence[tuple[int, str, QualityValue]], resampling: Resampling
) -> CellQuality | None:
    """measured: the row of each image in the resampling, its digest and its value."""
    defined = [(row, one.value) for row, _, one in measured if one.value is not None]
    if not defined:
        return None
    values = np.array([value for _, value in defined])
    columns = np.zeros((len(resampling.images), 2))  # value, present
    columns[[row for row, _ in defined]] = np.stack([values, np.ones(len(values))], axis=1)
    total, present = resampling.sums(columns).T
    draws = np.full(resampling.samples, np.nan)
    drawn = present > 0
    draws[drawn] = total[drawn] / present[drawn]
    return CellQuality(value=float(values.mean()), draws=draws, images=len(defined))


def _of_sets(
    measured: Sequence[tuple[int, str, QualityValue]],
    uncompressed: Mapping[str, QualityValue],
    resampling: Resampling,
) -> CellQuality | None:
    """The Frechet distance of the decoded images from the uncompressed ones."""
    both = [
        (row, uncompressed[image].features, one.features)
        for row, image, one in measured
        if image in uncompressed and one.features
    ]
    if len(both) < LEAST_IMAGES:
        return None
    reference = _vectors([original for _, original, _ in both])
    decoded = _vectors([made for _, _, made in both])
    draws = np.full(resampling.samples, np.nan)
    if len(both) <= _MOST_RESAMPLED:
        weights = resampling.weights_of([row for row, _, _ in both], most=_SET_DRAWS)
        for place, count in enumerate(weights):
            draws[place] = frechet_distance(reference, decoded, count)
    value = frechet_distance(reference, decoded)
    return CellQuality(value=value, draws=draws, images=len(both))


def _vectors(features: Sequence[bytes]) -> Floats:
    """(images, dimensions) of stored features."""
    return np.array([np.frombuffer(one, np.float32) for one in features], np.float64)
