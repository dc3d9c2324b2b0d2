"""Rate, quality and time of one codec level on images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from eyechart.codecs.reconstruct import Reconstructor, SourceImage
from eyechart.core.attempt import Failed
from eyechart.core.types import Codec, Level
from eyechart.quality import QualityMetric, label


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One image through one codec at one level. quality: by the metric's label."""

    size_bytes: int
    rate_bpp: float
    quality: Mapping[str, float]
    encode_s: float
    decode_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecMeans:
    """Means over images.

    quality: by the metric's label; None where it is not finite for one of the images (PSNR of an
    unchanged image).
    """

    codec: str
    level: str
    images: int
    mean_bytes: float
    mean_bpp: float
    quality: Mapping[str, float | None]
    encode_ms: float
    decode_ms: float


def try_codec(
    reconstructor: Reconstructor,
    codec: Codec,
    level: Level,
    images: Sequence[SourceImage],
    metrics: Sequence[QualityMetric],
) -> list[Trial]:
    """Encode and decode images. Raises CodecError, which names the level and the image."""
    trials = []
    for image, made in zip(images, reconstructor.reconstruct(codec, level, images), strict=True):
        if isinstance(made, Failed):
            made.raise_error()
        trials.append(
            Trial(
                size_bytes=made.payload_bytes,
                rate_bpp=made.bitstream.bpp,
                quality={
                    label(metric): metric.measure(image.rgb8, made.rgb8) for metric in metrics
                },
                encode_s=made.encode_s,
                decode_s=made.decode_s,
            )
        )
    return trials


def means_of(codec: Codec, level: Level, trials: Sequence[Trial]) -> CodecMeans:
    """The means of one codec level over at least one trial."""
    quality = {name: [trial.quality[name] for trial in trials] for name in trials[0].quality}
    return CodecMeans(
        codec=codec.name,
        level=level.name,
        images=len(trials),
        mean_bytes=fmean(trial.size_bytes for trial in trials),
        mean_bpp=fmean(trial.rate_bpp for trial in trials),
        quality={
            name: fmean(values) if all(map(isfinite, values)) else None
            for name, values in quality.items()
        },
        encode_ms=1e3 * fmean(trial.encode_s for trial in trials),
        decode_ms=1e3 * fmean(trial.decode_s for trial in trials),
    )
