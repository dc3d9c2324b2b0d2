"""Rate, quality and time of codecs on the images of a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite, nan
from pathlib import Path
from statistics import fmean

import numpy as np

from eyechart.codecs import open_codec
from eyechart.codecs.reconstruct import BATCH_IMAGES, DecodedImage, Reconstructor, SourceImage
from eyechart.core import plugins
from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import ImageError, InputError
from eyechart.core.hooks import facts_of
from eyechart.core.images import find_images, read_image
from eyechart.core.types import Codec, Floats, Level, Reproducible, is_neural
from eyechart.quality import HasFeatures, QualityMetric, check_files, label
from eyechart.quality.frechet import frechet_distance

_BLOCK_IMAGES = 16  # in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCodec:
    """A codec, its plug-in name and options, and its label in the results."""

    spec: str
    label: str
    codec: Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One image, encoded and decoded by one codec at one level.

    rate_bpp: of the real bitstream. estimated_bpp: from the likelihoods; None for codecs that have
    none. quality: by the metric's label, not finite where it is not defined. encode_s,
    decode_s: of a codec with weights the mean of the batch that the image was in.
    """

    image: str
    width_px: int
    height_px: int
    size_bytes: int
    rate_bpp: float
    estimated_bpp: float | None
    quality: Mapping[str, float]
    encode_s: float
    decode_s: float

    @property
    def pixels(self) -> int:
        return self.width_px * self.height_px


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One codec at one level: means over its trials, of which there is at least one.

    mean_bpp, estimated_bpp: means over images. total_bpp: all bits over all pixels. quality: by the
    metric's label; None if it is not finite for one of the images (PSNR of an unchanged image).
    encode_s_per_mp, decode_s_per_mp: all seconds over all megapixels.
    """

    codec: str
    level: str
    images: int
    failed: int
    mean_bytes: float
    mean_bpp: float
    total_bpp: float
    estimated_bpp: float | None
    quality: Mapping[str, float | None]
    encode_s_per_mp: float
    decode_s_per_mp: float
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BdRate:
    """A codec's rate change at equal quality, in percent; None if there is none.

    reason: why there is none, or what was averaged.
    """

    codec: str
    metric: str
    percent: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The results of a measurement.

    versions: of the codecs, by label. reproducible: whether their decoded images are equal on all
    devices, by label. metrics: in order. rows: level by level, lowest rate first; a
    level at which all images failed has none. images, others: files of the folder that are images,
    as many as were asked for, and files that are none.
    left_out: one message for each unreadable image. failures: one for each image that a codec
    failed on. bd_rates: of the other codecs against the codec `against`, if one was named.
    """

    versions: Mapping[str, str]
    reproducible: Mapping[str, Reproducible]
    metrics: Sequence[QualityMetric]
    rows: Sequence[BenchRow]
    images: int
    others: int
    left_out: Sequence[str]
    failures: Sequence[str]
    against: str = ""
    bd_rates: Sequence[BdRate] = ()


def open_codecs(specs: Sequence[str]) -> list[BenchCodec]:
    """Codecs by name or `name:key=value,...`. Their label is the name, or the spec if two have one
    name.

    Raises:
        PluginError, InputError: one of them cannot be opened.
    """
    opened = [open_codec(spec) for spec in specs]
    names = []
    for spec, codec in zip(specs, opened, strict=True):
        with plugins.guarded(spec):
            names.append(codec.name)
    return [
        BenchCodec(spec=spec, label=name if names.count(name) == 1 else spec, codec=codec)
        for spec, name, codec in zip(specs, names, opened, strict=True)
    ]


def measure(
    codecs: Sequence[BenchCodec],
    folder: Path,
    metrics: Sequence[QualityMetric],
    *,
    max_images: int | None = None,
    device: str = "cpu",
    batch_images: int = BATCH_IMAGES,
    report: Callable[[str, int, int], None] = lambda doing, done, total: None,
) -> Bench:
    """Encode and decode the images below a folder with all levels of codecs.

    max_images: only the first ones by name. device, batch_images: for codecs with weights. report:
    gets a description, and how many of how many images are done.
    Raises:
        InputError: not a folder, or it holds no image that can be read.
        PluginError: a codec's program or weights are missing.
        EyechartError: nothing could be measured; the error of the first failure.
    """
    for metric in metrics:
        with plugins.guarded(plugins.name_of(metric)):
            check_files(metric)
    versions: dict[str, str] = {}
    reproducible: dict[str, Reproducible] = {}
    work: list[_LevelTrials] = []
    for one in codecs:
        with plugins.guarded(one.label):
            versions[one.label] = one.codec.version
            reproducible[one.label] = facts_of(one.codec).reproducible
            if is_neural(one.codec):
                one.codec.check()
            levels = sorted(one.codec.levels, key=lambda level: level.rank)
        work += [_LevelTrials(one, level) for level in levels]
    files, others = find_images(folder)
    files = files[:max_images]
    reconstructor = Reconstructor(device=device, batch_images=batch_images)
    try:
        left_out = _run(work, reconstructor, folder, files, metrics, report)
    finally:
        reconstructor.close()
    if len(left_out) == len(files):
        first = next(iter(left_out.values()))
        raise InputError(f"{folder}: none of its images can be read ({first})")
    failed = [failure for item in work for failure in item.failed]
    rows = [_row(item) for item in work if item.trials]
    if not rows:
        failed[0].raise_error()
    return Bench(
        versions=versions,
        reproducible=reproducible,
        metrics=metrics,
        rows=rows,
        images=len(files),
        others=len(others),
        left_out=list(left_out.values()),
        failures=[failure.message for failure in failed],
    )


def _run(
    work: Sequence[_LevelTrials],
    reconstructor: Reconstructor,
    folder: Path,
    files: Sequence[Path],
    metrics: Sequence[QualityMetric],
    report: Callable[[str, int, int], None],
) -> dict[Path, str]:
    """Try all levels on all images, block by block; -> a message for each unreadable image."""
    left_out: dict[Path, str] = {}
    done, total = 0, len(work) * len(files)
    for together in _passes(work):
        for start in range(0, len(files), _BLOCK_IMAGES):
            paths = files[start : start + _BLOCK_IMAGES]
            images = _read(folder, paths, left_out)
            for item in together:
                report(f"{item.bench.label} {item.level.name}", done, total)
                _try(reconstructor, item, images, metrics)
                done += len(paths)
    report("", done, total)
    return left_out


class _LevelTrials:
    """One level of one codec, and the results of its images."""

    def __init__(self, bench: BenchCodec, level: Level) -> None:
        self.bench, self.level = bench, level
        self.trials: list[Trial] = []
        self.failed: list[Failed] = []
        # Of metrics that compare sets: features of originals and decoded images, by label.
        self.features: dict[str, list[tuple[Floats, Floats]]] = {}


def _passes(work: Sequence[_LevelTrials]) -> list[list[_LevelTrials]]:
    """Groups of levels that are measured in one pass over the images.

    A level with weights has a pass of its own, so that its weights are read once.
    """
    plain = [item for item in work if not is_neural(item.bench.codec)]
    alone = [[item] for item in work if is_neural(item.bench.codec)]
    return [plain, *alone] if plain else alone


def _read(folder: Path, paths: Sequence[Path], left_out: dict[Path, str]) -> list[SourceImage]:
    images = []
    for path in paths:
        try:
            images.append(SourceImage.of(read_image(path), path.relative_to(folder).as_posix()))
        except ImageError as error:
            left_out[path] = str(error)
    return images


def _try(
    reconstructor: Reconstructor,
    item: _LevelTrials,
    images: Sequence[SourceImage],
    metrics: Sequence[QualityMetric],
) -> None:
    codec, level = item.bench.codec, item.level
    made = reconstructor.reconstruct(codec, level, images)
    worked = [image for image, one in zip(images, made, strict=True) if not isinstance(one, Failed)]
    estimates = iter(reconstructor.estimate_bits(codec, level, worked))
    for image, one in zip(images, made, strict=True):
        if isinstance(one, Failed):
            item.failed.append(one)
            continue
        height_px, width_px, _ = image.rgb8.shape
        bits = next(estimates)
        quality = attempt("score", partial(_quality, metrics, image, one))
        if isinstance(quality, Failed):
            item.failed.append(quality)
            continue
        values, features = quality
        for name, pair in features.items():
            item.features.setdefault(name, []).append(pair)
        item.trials.append(
            Trial(
                image=image.name,
                width_px=width_px,
                height_px=height_px,
                size_bytes=one.payload_bytes,
                rate_bpp=one.bitstream.bpp,
                estimated_bpp=None if bits is None else bits / (height_px * width_px),
                quality=values,
                encode_s=one.encode_s,
                decode_s=one.decode_s,
            )
        )


def _quality(
    metrics: Sequence[QualityMetric], image: SourceImage, made: DecodedImage
) -> tuple[dict[str, float], dict[str, tuple[Floats, Floats]]]:
    """Values, and features of both images, by the metric's label."""
    values, features = {}, {}
    same_size = made.rgb8.shape == image.rgb8.shape
    for metric in metrics:
        with plugins.guarded(plugins.name_of(metric)):
            if isinstance(metric, HasFeatures):
                features[label(metric)] = (
                    metric.features(image.rgb8),
                    metric.features(made.rgb8),
                )
            comparable = same_size and label(metric) not in features
            value = metric.measure(image.rgb8, made.rgb8) if comparable else nan
            values[label(metric)] = float(value)
    return values, features


def _row(item: _LevelTrials) -> BenchRow:
    trials = item.trials
    quality = {name: [trial.quality[name] for trial in trials] for name in trials[0].quality}
    for name, pairs in item.features.items():
        originals, decoded = (np.array(side) for side in zip(*pairs, strict=True))
        quality[name] = [frechet_distance(originals, decoded)]
    estimates = [trial.estimated_bpp for trial in trials if trial.estimated_bpp is not None]
    pixels = sum(trial.pixels for trial in trials)
    return BenchRow(
        codec=item.bench.label,
        level=item.level.name,
        images=len(trials),
        failed=len(item.failed),
        mean_bytes=fmean(trial.size_bytes for trial in trials),
        mean_bpp=fmean(trial.rate_bpp for trial in trials),
        total_bpp=8 * sum(trial.size_bytes for trial in trials) / pixels,
        estimated_bpp=fmean(estimates) if len(estimates) == len(trials) else None,
        quality={
            name: fmean(values) if all(map(isfinite, values)) else None
            for name, values in quality.items()
        },
        encode_s_per_mp=1e6 * sum(trial.encode_s for trial in trials) / pixels,
        decode_s_per_mp=1e6 * sum(trial.decode_s for trial in trials) / pixels,
        trials=tuple(trials),
    )
