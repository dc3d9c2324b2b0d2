"""The stored quality of a run's images, as means over the images of a cell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.analysis.bootstrap import Resampling
from eyechart.analysis.cells import CellData
from eyechart.core.identity import digest
from eyechart.core.types import UNCOMPRESSED, Floats
from eyechart.store import QualityValue, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class CellQuality:
    """One metric over the images of a cell: the mean, and that of each resampling, (samples,)."""

    value: float
    draws: Floats
    images: int  # that have a value


class RunQuality:
    """Reads each level's values once. The constructor opens nothing."""

    def __init__(self, store: Store) -> None:
        self._stored = store.quality
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
        found = {}
        for name, values in self._values_of(read).items():
            measured = [
                (row, value.value)
                for row, image in rows
                if (value := values.get(image)) is not None and value.value is not None
            ]
            if measured and name in self.metrics:
                found[name] = _mean(measured, resampling)
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


def _mean(measured: Sequence[tuple[int, float]], resampling: Resampling) -> CellQuality:
    """measured: the image's row in the resampling, and its value."""
    rows, values = [row for row, _ in measured], np.array([value for _, value in measured])
    weights = resampling.weights[:, rows]
    present = weights.sum(axis=1)
    draws = np.full(len(weights), np.nan)
    drawn = present > 0
    draws[drawn] = (weights @ values)[drawn] / present[drawn]
    return CellQuality(value=float(values.mean()), draws=draws, images=len(measured))
