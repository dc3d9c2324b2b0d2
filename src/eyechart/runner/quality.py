"""The quality of a run's decoded images, measured in workers and stored beside the bitstreams.

    cells -> images of each codec and level -> without a value? -> worker: decode, measure -> store
             main process                                                        main process

Images are decoded from the stored bitstreams and never encoded again. What has a value of the same
version of a metric is not measured again, so that the same call continues one that was stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any, TypeAlias

from eyechart.codecs.opening import open_spec
from eyechart.codecs.reconstruct import BATCH_IMAGES, SourceImage
from eyechart.core import plugins
from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import InputError
from eyechart.core.identity import digest
from eyechart.core.types import (
    UNCOMPRESSED,
    Codec,
    CodecSpec,
    Component,
    Level,
    Task,
    is_neural,
)
from eyechart.core.workers import CPU, DEVICE, Executor
from eyechart.quality import HasFeatures, QualityMetric, check_files, open_metric
from eyechart.runner.quality_jobs import JobValues, MeasureJob, measure_job
from eyechart.store import QualityValue, Store, StoredMetric
from eyechart.tasks import open_answered

_BLOCK_IMAGES = 16  # uncompressed images in memory, while all levels of them are measured
_AHEAD = 2  # jobs that wait for each worker

_LevelImages: TypeAlias = list[tuple[Component, Level, set[str]]]  # codec, level, names of images


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRun:
    """What `measure_quality` did, in images: each codec and level of an image counts.

    measured: with new values. stored: whose values were all there. failures: one line for each
    image, codec or task that could not be measured.
    """

    measured: int
    stored: int
    failures: tuple[str, ...] = ()


def open_metrics(specs: Sequence[str]) -> list[tuple[StoredMetric, QualityMetric]]:
    """Metrics by spec, with what is stored of them, checked to be usable here.

    Raises:
        InputError: none named, a metric whose weights are missing, two metrics of one name.
        PluginError: an unknown metric, a missing package.
    """
    if not specs:
        raise InputError(f"no metric named; known: {', '.join(plugins.names('eyechart.metrics'))}")
    opened: dict[str, tuple[StoredMetric, QualityMetric]] = {}
    for spec in dict.fromkeys(specs):
        metric = open_metric(spec)
        with plugins.guarded(spec):
            check_files(metric)
            stored = StoredMetric(
                name=metric.name,
                version=metric.version,
                unit=metric.unit,
                higher_is_better=metric.higher_is_better,
                spec=spec,
            )
        if stored.name in opened:
            other = opened[stored.name][0].spec
            raise InputError(f"{other} and {spec} are both named {stored.name}; choose one")
        opened[stored.name] = stored, metric
    return list(opened.values())


def measure_quality(
    store: Store,
    metrics: Sequence[tuple[StoredMetric, QualityMetric]],
    executor: Executor,
    *,
    data: str | None = None,
    batch_images: int = BATCH_IMAGES,
    advance: Callable[[str, int, int], None] = lambda doing, done, total: None,
    load: Callable[..., Any] = plugins.load,
) -> QualityRun:
    """Measure all images of a run that lack a value, inside `store.measuring()`.

    executor: closed at the end. data: folder with the tasks' files, if it has moved. batch_images:
    in one call of a codec with weights. advance: called with the codec and level, and how many of
    how many images are done. load: opens tasks.

    Raises:
        InputError: no cell with answers, or none of a codec.
        StoreError: a damaged file, a full disk.
    """
    try:
        groups = _by_task(store)
        codecs = (codec.name for _, levels in groups for codec, _, _ in levels)
        if set(codecs) <= {UNCOMPRESSED}:
            raise InputError(
                f"{store.root}: no answers about compressed images; nothing to measure"
            )
        store.quality.recover()
        store.quality.add_metrics(stored for stored, _ in metrics)
        measuring = _Measuring(store, metrics, executor, batch_images, advance)
        measuring.total = sum(len(names) for _, levels in groups for _, _, names in levels)
        place = data or store.info().data or None
        for task, levels in groups:
            measuring.measure(task, levels, partial(open_answered, data=place, load=load))
        store.quality.sync()
        return measuring.result()
    finally:
        executor.close()


def _by_task(store: Store) -> list[tuple[Component, _LevelImages]]:
    """Each task with its levels, the uncompressed one first, and the images asked about."""
    images: dict[str, dict[tuple[str, str], tuple[Component, Level, set[str]]]] = {}
    tasks: dict[str, Component] = {}
    for stored in store.cells():
        cell, task = stored.cell, digest(stored.cell.task)
        tasks[task] = cell.task
        key = (digest(cell.codec), digest(cell.level.identity))
        level = images.setdefault(task, {}).setdefault(key, (cell.codec, cell.level, set()))
        level[2].update(record.image for record in stored.records())

    def order(level: tuple[Component, Level, set[str]]) -> tuple[bool, str, int]:
        codec, one, _ = level
        return codec.name != UNCOMPRESSED, codec.name, one.rank

    return [
        (tasks[task], sorted((level for level in levels.values() if level[2]), key=order))
        for task, levels in images.items()
    ]


class _Measuring:
    """Measures one task after another, several jobs at a time."""

    def __init__(
        self,
        store: Store,
        metrics: Sequence[tuple[StoredMetric, QualityMetric]],
        executor: Executor,
        batch_images: int,
        advance: Callable[[str, int, int], None],
    ) -> None:
        self._store, self._executor, self._batch_images = store, executor, batch_images
        self._metrics = [stored for stored, _ in metrics]
        # The uncompressed images have no distance to themselves, but features.
        self._of_originals = [
            n for n, (_, one) in enumerate(metrics) if isinstance(one, HasFeatures)
        ]
        self._advance = advance
        # Versions of what is stored, by codec and level: metric -> image -> version.
        self._known: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
        self._codecs: dict[str, tuple[CodecSpec, Codec] | Failed] = {}
        self._jobs: deque[_Submitted] = deque()
        self._measured = self._stored = self._done = 0
        self._failures: list[str] = []
        self.total = 0

    def result(self) -> QualityRun:
        """What was done so far."""
        failures = tuple(dict.fromkeys(self._failures))
        return QualityRun(measured=self._measured, stored=self._stored, failures=failures)

    def measure(
        self, component: Component, levels: _LevelImages, open_task: Callable[[Component], Task]
    ) -> None:
        """Measure all images of a task. Raises StoreError."""
        task = attempt("load", partial(open_task, component), component.name)
        if isinstance(task, Failed):
            self._fail(task, sum(len(names) for _, _, names in levels), component.name)
            return
        names = sorted(set[str]().union(*(names for _, _, names in levels)))
        digests = self._store.quality.images(component)
        for start in range(0, len(names), _BLOCK_IMAGES):
            block = _ImageBlock(task, component, names[start : start + _BLOCK_IMAGES], digests)
            self._store.quality.add_images(component, block.find_digests())
            for codec, level, asked in levels:
                self._measure_level(block, codec, level, asked)
        while self._jobs:
            self._collect(self._jobs.popleft())

    def _measure_level(
        self, block: _ImageBlock, component: Component, level: Level, asked: set[str]
    ) -> None:
        label = f"{component.name} {level.name}"
        known = self._known_versions(component, level)
        lacking: list[tuple[SourceImage, tuple[int, ...]]] = []
        for name in block.names:
            if name not in asked:
                continue
            image = block.digests.get(name)
            wanted = () if image is None else self._lacking(known, image, component)
            if image is not None and not wanted:
                self._stored += 1
                self._step(label)
                continue
            source = block.source(name)
            if isinstance(source, Failed):
                self._fail(source, 1, label)
            else:
                lacking.append((source, wanted))
        if lacking:
            opened = self._opened(component)
            if isinstance(opened, Failed):
                self._fail(opened, len(lacking), component.name)
            else:
                self._submit(opened, level, lacking)

    def _lacking(
        self,
        known: Mapping[str, Mapping[str, str]],
        image: str,
        codec: Component,
    ) -> tuple[int, ...]:
        """Places of the metrics that have no value of this version."""
        places = self._of_originals if codec.name == UNCOMPRESSED else range(len(self._metrics))
        stored = [known.get(metric.name, {}).get(image) for metric in self._metrics]
        return tuple(place for place in places if stored[place] != self._metrics[place].version)

    def _known_versions(self, codec: Component, level: Level) -> dict[str, dict[str, str]]:
        key = (digest(codec), digest(level.identity))
        if key not in self._known:
            values = self._store.quality.values(codec, level)
            self._known[key] = {
                metric: {image: one.version for image, one in own.items()}
                for metric, own in values.items()
            }
        return self._known[key]

    def _opened(self, component: Component) -> tuple[CodecSpec, Codec] | Failed:
        key = digest(component)
        if key not in self._codecs:
            spec = CodecSpec(plugin=component.name, options=component.options, component=component)
            codec = attempt("decode", lambda: open_spec(spec), component.name)
            self._codecs[key] = codec if isinstance(codec, Failed) else (spec, codec)
        return self._codecs[key]

    def _submit(
        self,
        opened: tuple[CodecSpec, Codec],
        level: Level,
        lacking: Sequence[tuple[SourceImage, tuple[int, ...]]],
    ) -> None:
        spec, codec = opened
        stored = [self._store.images.get(spec.component, level, one.digest) for one, _ in lacking]
        # A decoded image that is stored needs no device.
        decodes = is_neural(codec) and any(one.png is None for one in stored)
        size = self._batch_images if decodes else 1
        resources = DEVICE if decodes else CPU
        for start in range(0, len(lacking), size):
            images, wanted = zip(*lacking[start : start + size], strict=True)
            job = MeasureJob(
                spec=spec,
                level=level,
                images=images,
                found=tuple(stored[start : start + size]),
                wanted=wanted,
                metrics=tuple(metric.spec for metric in self._metrics),
            )
            while len(self._jobs) > _AHEAD * self._executor.workers(resources):
                self._collect(self._jobs.popleft())
            future = self._executor.submit(resources, measure_job, job, self._batch_images)
            self._jobs.append(_Submitted(job=job, future=future))

    def _collect(self, submitted: _Submitted) -> None:
        """Wait for a job and store its values."""
        job = submitted.job
        label = f"{job.spec.component.name} {job.level.name}"
        made = attempt("score", submitted.future.result, label)
        if isinstance(made, Failed):
            self._fail(made, len(job.images), label)
            return
        values = []
        for image, places, found in zip(job.images, job.wanted, made, strict=True):
            if isinstance(found, Failed):
                self._fail(found, 1, label)
                continue
            values += [
                self._value(image.digest, place, one)
                for place, one in zip(places, found, strict=True)
            ]
            self._measured += 1
            self._step(label)
        self._store.quality.add(job.spec.component, job.level, values)
        known = self._known_versions(job.spec.component, job.level)
        for value in values:
            known.setdefault(value.metric, {})[value.image] = value.version

    def _value(self, image: str, place: int, found: float | bytes) -> QualityValue:
        metric = self._metrics[place]
        number = found if isinstance(found, float) and isfinite(found) else None
        return QualityValue(
            image=image,
            metric=metric.name,
            version=metric.version,
            value=number,
            features=found if isinstance(found, bytes) else b"",
        )

    def _fail(self, failed: Failed, images: int, label: str) -> None:
        message = failed.message
        self._failures.append(message if label in message else f"{label}: {message}")
        for _ in range(images):
            self._step(label)

    def _step(self, label: str) -> None:
        self._done += 1
        self._advance(label, self._done, self.total)


class _ImageBlock:
    """Some images of a task, read when they are needed. digests: of the images by name."""

    def __init__(
        self, task: Task, component: Component, names: Sequence[str], digests: dict[str, str]
    ) -> None:
        self.names, self.digests = names, digests
        self._task, self._component = task, component
        self._read: dict[str, SourceImage | Failed] = {}

    def find_digests(self) -> dict[str, str]:
        """The digests that were not known; adds them to `digests`."""
        new = {}
        for name in self.names:
            if name not in self.digests:
                source = self.source(name)
                if not isinstance(source, Failed):
                    new[name] = source.digest
        self.digests.update(new)
        return new

    def source(self, name: str) -> SourceImage | Failed:
        """An uncompressed image."""
        if name not in self._read:
            self._read[name] = attempt(
                "load",
                lambda: SourceImage.of(self._task.image(name), name),
                f"{self._component.name} image {name}",
            )
        return self._read[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submitted:
    job: MeasureJob
    future: Future[JobValues]
