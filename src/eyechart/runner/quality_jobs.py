"""What a worker does to measure the quality of decoded images: decode, then every metric."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import nan
from typing import TypeAlias

import numpy as np

from eyechart.codecs.opening import open_spec
from eyechart.codecs.reconstruct import Reconstructor, SourceImage
from eyechart.core import plugins
from eyechart.core.attempt import Failed, attempt
from eyechart.core.identity import digest
from eyechart.core.types import Codec, CodecSpec, Level, Rgb8
from eyechart.core.workers import worker_device
from eyechart.quality import HasFeatures, QualityMetric, open_metric
from eyechart.store import StoredImage

# For each image the values of its metrics in order; features as float32 bytes.
JobValues: TypeAlias = list[list[float | bytes] | Failed]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureJob:
    """Images of one codec and level. found: what is stored of each. wanted: the metrics of each, as
    places in `metrics`, which are specs."""

    spec: CodecSpec
    level: Level
    images: tuple[SourceImage, ...]
    found: tuple[StoredImage, ...]
    wanted: tuple[tuple[int, ...], ...]
    metrics: tuple[str, ...]


# Codecs and metrics stay open between jobs.
_codecs: dict[str, Codec] = {}
_metrics: dict[str, QualityMetric] = {}


def measure_job(job: MeasureJob, batch_images: int) -> JobValues:
    """Decode and measure the images of a job. Raises PluginError: the codec is not usable here."""
    key = digest(job.spec)
    if key not in _codecs:
        _codecs[key] = open_spec(job.spec)
    reconstructor = Reconstructor(device=worker_device(), batch_images=batch_images)
    try:
        decoded = reconstructor.make(
            _codecs[key],
            job.level,
            job.images,
            job.found,
            component=job.spec.component,
            encode=False,
        )
    finally:
        reconstructor.close()
    return [
        made
        if isinstance(made, Failed)
        else attempt("score", partial(_measure_image, job, place, made.rgb8))
        for place, made in enumerate(decoded)
    ]


def _measure_image(job: MeasureJob, place: int, decoded: Rgb8) -> list[float | bytes]:
    found: list[float | bytes] = []
    original = job.images[place].rgb8
    for spec in (job.metrics[n] for n in job.wanted[place]):
        if spec not in _metrics:
            _metrics[spec] = open_metric(spec)
        metric = _metrics[spec]
        with plugins.guarded(spec):
            if isinstance(metric, HasFeatures):
                found.append(np.asarray(metric.features(decoded), np.float32).tobytes())
            elif decoded.shape != original.shape:  # of a codec that makes images smaller
                found.append(nan)
            else:
                found.append(float(metric.measure(original, decoded)))
    return found
