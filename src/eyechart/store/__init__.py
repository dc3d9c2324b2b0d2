"""The run directory: crash-safe records, bitstreams, leases, queries."""

from eyechart.store.answered import AnsweredQuestion
from eyechart.store.blobs import Blobs
from eyechart.store.cells import CellIndex, StoredCell, TaskSize
from eyechart.store.images import StoredImage, StoredImages
from eyechart.store.lease import HeldError
from eyechart.store.quality import QualityValue, StoredMetric, StoredQuality
from eyechart.store.rundir import RunDirError, RunInfo, Store

__all__ = [
    "AnsweredQuestion",
    "Blobs",
    "CellIndex",
    "HeldError",
    "QualityValue",
    "RunDirError",
    "RunInfo",
    "Store",
    "StoredCell",
    "StoredImage",
    "StoredImages",
    "StoredMetric",
    "StoredQuality",
    "TaskSize",
]
