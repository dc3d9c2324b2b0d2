"""Decoded images for the run: made in workers, before they are needed.

    work items -> source image, stored results -> job of one codec and level -> decoded images
                  main process                    executor                      main process

The order of the items is kept. If a codec works in batches, neighbours of one level share a job, so
that a worker loads the level once for all of them. Workers read and write no file of the run
directory: a job holds what is stored, and its results are stored by the main process as soon as it
starts another job or needs them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eyechart.codecs.opening import open_spec
from eyechart.codecs.reconstruct import (
    BATCH_IMAGES,
    DecodedImage,
    Reconstructor,
    SourceImage,
)
from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import WorkerDiedError
from eyechart.core.identity import digest
from eyechart.core.plugins import name_of
from eyechart.core.pool import WorkerPool
from eyechart.core.remote_arrays import ArrayToMake
from eyechart.core.types import (
    Bitstream,
    Codec,
    CodecSpec,
    Level,
    Rgb8,
    is_neural,
)
from eyechart.core.workers import (
    CPU,
    DEVICE,
    Executor,
    KeepsArrays,
    OpenWorkers,
    Resources,
    SerialExecutor,
    usable_cores,
    worker_device,
)
from eyechart.runner.work import WorkItem
from eyechart.store import Store, StoredImage

_SOURCES_BYTES = 512 << 20  # source images of the current block that stay in memory
AHEAD_BYTES = 512 << 20
_NETWORK_BYTES_S = 125e6  # 1 Gbit/s: a faster one loses at most a few ms of the VLM's core
_NO_PIXELS = np.zeros((0, 0, 3), np.uint8)  # sent for an image whose bitstream is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedItem:
    """A work item with its decoded image, or the failure.

    again: makes the image again in this process; None if its pixels cannot be lost.
    """

    item: WorkItem
    image: DecodedImage | Failed
    again: Callable[[], DecodedImage | Failed] | None = None

    @property
    def size_bytes(self) -> int:
        """Of the pixels."""
        return self.image.rgb8.nbytes if isinstance(self.image, DecodedImage) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A call of a worker. found: what is stored of each image. keep: return files of decoded
    images that are worth storing. remote: the images are for another node."""

    spec: CodecSpec
    level: Level
    images: tuple[SourceImage, ...]
    found: tuple[StoredImage, ...]
    batch_images: int
    keep: bool
    remote: bool

    def single(self, place: int) -> _Job:
        """The job of one of its images."""
        return replace(self, images=(self.images[place],), found=(self.found[place],))


class Reconstruction:
    """Turns work items into prepared items, in their order.

    batch_images: images in one call of a codec with weights. ahead: images made in advance, per
    worker. ahead_bytes: pixels of the source images of all jobs that are not used yet; one job of
    several images has at most a quarter. decoded_budget_bytes: disk space for decoded images.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        *,
        batch_images: int = BATCH_IMAGES,
        ahead: int = 16,
        ahead_bytes: int = AHEAD_BYTES,
        decoded_budget_bytes: int = 2 << 30,
    ) -> None:
        self._stored, self._executor = store.images, executor
        self._batch_images, self._ahead, self._ahead_bytes = batch_images, ahead, ahead_bytes
        stored_bytes = self._stored.decoded.size_bytes() if decoded_budget_bytes else 0
        self._left_bytes = decoded_budget_bytes - stored_bytes
        self._sources: OrderedDict[tuple[int, str], SourceImage | Failed] = OrderedDict()
        self._sources_bytes = 0

    def prepared(
        self, items: Iterable[WorkItem], *, remote: bool = False
    ) -> Iterator[PreparedItem]:
        """Every item with its decoded image. Raises StoreError.

        remote: pixels may stay on the node of a cluster that made them, as a RemoteArray, or be
        decoded by the VLM's worker, as an ArrayToMake.
        """
        window: deque[_Pending] = deque()
        images = size_bytes = 0
        for group in self._groups(items):
            pending = self._start(group, window, remote=remote)
            window.append(pending)
            images, size_bytes = images + len(group), size_bytes + pending.size_bytes
            limit = self._ahead * self._executor.workers(_resources(group[0][0]))
            while len(window) > 1 and (images > limit or size_bytes > self._ahead_bytes):
                first = window.popleft()
                images, size_bytes = images - len(first.items), size_bytes - first.size_bytes
                yield from self._finish(first)
        while window:
            yield from self._finish(window.popleft())

    def _groups(
        self, items: Iterable[WorkItem]
    ) -> Iterator[list[tuple[WorkItem, SourceImage | Failed]]]:
        """Neighbours of one codec and level with their source images, up to a batch, for one
        job."""
        group: list[tuple[WorkItem, SourceImage | Failed]] = []
        size_bytes = 0
        for item in items:
            source = self._source(item)
            size = self._batch_images if item.codec.neural else 1
            same = group and group[0][0].codec is item.codec and group[0][0].level == item.level
            fits = len(group) < size and size_bytes + _size(source) <= self._ahead_bytes // 4
            if group and not (same and fits):
                yield group
                group, size_bytes = [], 0
            group.append((item, source))
            size_bytes += _size(source)
        if group:
            yield group

    def _start(
        self,
        group: Sequence[tuple[WorkItem, SourceImage | Failed]],
        earlier: Iterable[_Pending] = (),
        *,
        remote: bool = False,
    ) -> _Pending:
        items, sources = zip(*group, strict=True)
        images = tuple(source for source in sources if isinstance(source, SourceImage))
        spec, level, bitstreams = items[0].codec.spec, items[0].level, self._stored.bitstreams
        wanted = {bitstreams.path(spec.component, level, image.digest) for image in images}
        for pending in earlier:  # so that no image is made twice for two tasks
            if pending.is_done or not wanted.isdisjoint(pending.wanted):
                self._collect(pending)
        found = [self._stored.get(spec.component, level, image.digest) for image in images]
        job = _Job(
            spec=spec,
            level=level,
            images=tuple(
                image if stored.payload is None else replace(image, rgb8=_NO_PIXELS)
                for image, stored in zip(images, found, strict=True)
            ),
            found=tuple(found),
            batch_images=self._batch_images,
            keep=self._left_bytes > 0,
            remote=remote and isinstance(self._executor, KeepsArrays),
        )
        pending = _Pending(items=items, sources=sources, job=job, wanted=wanted)
        submit = self._executor.submit
        if remote and isinstance(self._executor, KeepsArrays):
            submit = partial(self._executor.submit_keeping, len(images))
        if images:
            pending.future = submit(_resources(items[0]), _reconstruct, job)
        return pending

    def _collect(self, pending: _Pending) -> None:
        """Wait for a job and store what is new of its results."""
        if pending.future is None:
            return
        job, component = pending.job, pending.job.spec.component
        made = self._result(job, pending.future, _resources(pending.items[0]))
        pending.future = None
        for image, before, result in zip(job.images, job.found, made, strict=True):
            if isinstance(result, DecodedImage):
                new = result.new(before)
                if self._left_bytes <= 0:
                    new = replace(new, png=None)
                self._stored.add(component, job.level, image.digest, new)
                self._left_bytes -= len(new.png or b"")
                result = replace(result, png=b"")  # not held in memory until the VLM's turn
            pending.made.append(result)

    def _finish(self, pending: _Pending) -> Iterator[PreparedItem]:
        self._collect(pending)
        made = iter(pending.made)
        for item, source in zip(pending.items, pending.sources, strict=True):
            yield PreparedItem(
                item=item,
                image=source if isinstance(source, Failed) else next(made),
                again=partial(self._again, item) if pending.job.remote else None,
            )

    def _again(self, item: WorkItem) -> DecodedImage | Failed:
        """The image of an item that was lost on the way: from its bitstream, which is stored."""
        (prepared,) = self._finish(self._start([(item, self._source(item))]))
        return prepared.image

    def _result(
        self, job: _Job, future: Future[list[DecodedImage | Failed]], resources: Resources
    ) -> list[DecodedImage | Failed]:
        """A job's result. If the worker died, the job is repeated, because other processes may have
        used up the memory. If there is no result then, or it cannot be sent to this process, the
        images are made one by one."""
        made = attempt("encode", future.result)
        if _died(made):
            made = attempt("encode", self._executor.submit(resources, _reconstruct, job).result)
        if not isinstance(made, Failed):
            return made
        if len(job.images) == 1:
            return [_death(job) if _died(made) else made]
        singles = [job.single(place) for place in range(len(job.images))]
        return [
            self._result(single, self._executor.submit(resources, _reconstruct, single), resources)[
                0
            ]
            for single in singles
        ]

    def _source(self, item: WorkItem) -> SourceImage | Failed:
        """The uncompressed image. Those of the current block stay in memory, because every codec
        and level uses them."""
        key = (id(item.task), item.image)
        if key not in self._sources:
            read = attempt(
                "load",
                lambda: SourceImage.of(item.task.image(item.image), item.image),
                f"{name_of(item.task)} image {item.image}",
            )
            self._sources[key] = read
            self._sources_bytes += _size(read)
            while self._sources_bytes > _SOURCES_BYTES and len(self._sources) > 1:
                self._sources_bytes -= _size(self._sources.popitem(last=False)[1])
        self._sources.move_to_end(key)
        return self._sources[key]


@dataclass(slots=True, kw_only=True)
class _Pending:
    """A job with its items. wanted: where its bitstreams are stored. future: None as soon as `made`
    has the results."""

    items: tuple[WorkItem, ...]
    sources: tuple[SourceImage | Failed, ...]
    job: _Job
    wanted: set[Path]
    future: Future[list[DecodedImage | Failed]] | None = None
    made: list[DecodedImage | Failed] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether its worker has finished and its results are not stored yet."""
        return self.future is not None and self.future.done()

    @property
    def size_bytes(self) -> int:
        return sum(map(_size, self.sources))


def open_executor(
    workers: int | None, devices: Sequence[str] = ("cpu",), open_workers: OpenWorkers = WorkerPool
) -> Executor:
    """Workers for codecs: `workers` for those without weights (None: one per core; 0: all work in
    this process), and one per device for those with weights."""
    if workers == 0:
        return SerialExecutor(devices[0])
    # The VLM's threads wait for each other, so codecs must not take a core from one of them.
    return open_workers(workers or usable_cores(), devices, nice=5)


def _size(source: SourceImage | Failed) -> int:
    return source.rgb8.nbytes if isinstance(source, SourceImage) else 0


def _resources(item: WorkItem) -> Resources:
    return DEVICE if item.codec.neural else CPU


def _died(made: object) -> bool:
    return isinstance(made, Failed) and isinstance(made.error, WorkerDiedError)


def _death(job: _Job) -> Failed:
    name, image = job.spec.component.name, job.images[0].name
    return Failed(
        stage="encode",
        kind="WorkerDied",
        message=f"{name} level {job.level.name} image {image}: the worker process died",
        retryable=True,
    )


# --- in a worker: codecs and the level in memory stay there between jobs -----------------------

_codecs: dict[str, Codec] = {}
_reconstructor: tuple[tuple[str, int], Reconstructor] | None = None


def _codec_of(spec: CodecSpec) -> Codec:
    key = digest(spec)
    if key not in _codecs:
        _codecs[key] = open_spec(spec)
    return _codecs[key]


def _decoded(spec: CodecSpec, bitstream: Bitstream) -> Rgb8:
    return np.require(_codec_of(spec).decode(bitstream), requirements="W")


def _sent(job: _Job, made: DecodedImage | Failed) -> DecodedImage | Failed:
    """The image as it travels to the VLM: its bitstream, if decoding it there takes less time than
    sending the pixels over a slow network."""
    if isinstance(made, Failed) or not made.decode_s:
        return made
    saved_bytes = made.rgb8.nbytes - made.payload_bytes
    if made.decode_s >= saved_bytes / _NETWORK_BYTES_S:
        return made
    there: Any = ArrayToMake(
        make=_decoded,
        given=(job.spec, made.bitstream),
        shape=made.rgb8.shape,
        dtype=made.rgb8.dtype,
    )
    return replace(made, rgb8=there)


def _reconstruct(job: _Job) -> list[DecodedImage | Failed]:
    global _reconstructor
    codec = attempt("encode", lambda: _codec_of(job.spec))
    if isinstance(codec, Failed):
        return [codec] * len(job.images)
    settings = (worker_device(), job.batch_images)
    if _reconstructor is None or _reconstructor[0] != settings:
        if _reconstructor is not None:
            _reconstructor[1].close()
        made = Reconstructor(device=settings[0], batch_images=job.batch_images)
        _reconstructor = (settings, made)
    found = _reconstructor[1].make(
        codec,
        job.level,
        job.images,
        job.found,
        keep=job.keep,
        component=job.spec.component,
    )
    travels = job.remote and not is_neural(codec)
    return [_sent(job, made) for made in found] if travels else found
