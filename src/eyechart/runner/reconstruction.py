"""Decoded images for the run: made in workers, before they are needed.

    work items -> source image -> job of one codec and level -> executor -> decoded images
                  main process                                  workers

The order of the items is kept. If a codec works in batches, neighbours of one level share a job, so
that a worker loads the level once for all of them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from eyechart.codecs.reconstruct import (
    BATCH_IMAGES,
    DecodedImage,
    Reconstructor,
    SourceImage,
    open_spec,
)
from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import WorkerDiedError
from eyechart.core.identity import digest
from eyechart.core.pool import WorkerPool
from eyechart.core.types import (
    Codec,
    CodecSpec,
    Level,
)
from eyechart.core.workers import (
    CPU,
    DEVICE,
    Executor,
    Resources,
    SerialExecutor,
    usable_cores,
    worker_device,
)
from eyechart.runner.work import WorkItem
from eyechart.store import Store

_SOURCES_BYTES = 512 << 20  # source images of the current block that stay in memory
_AHEAD_BYTES = 512 << 20  # source images of jobs that are not finished


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedItem:
    """A work item with its decoded image, or the failure."""

    item: WorkItem
    image: DecodedImage | Failed

    @property
    def size_bytes(self) -> int:
        """Of the pixels."""
        return self.image.rgb8.nbytes if isinstance(self.image, DecodedImage) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A call of a worker. root: the run directory with the stored bitstreams."""

    root: str
    spec: CodecSpec
    level: Level
    images: tuple[SourceImage, ...]
    batch_images: int
    keep: bool


class Reconstruction:
    """Turns work items into prepared items, in their order.

    batch_images: images in one call of a codec with weights. ahead: images made in advance, per
    worker. decoded_budget_bytes: disk space for decoded images.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        *,
        batch_images: int = BATCH_IMAGES,
        ahead: int = 16,
        decoded_budget_bytes: int = 2 << 30,
    ) -> None:
        self._store, self._executor = store, executor
        self._batch_images, self._ahead = batch_images, ahead
        stored_bytes = store.decoded.size_bytes() if decoded_budget_bytes else 0
        self._left_bytes = decoded_budget_bytes - stored_bytes
        self._sources: OrderedDict[tuple[int, str], SourceImage | Failed] = OrderedDict()
        self._sources_bytes = 0

    def prepared(self, items: Iterable[WorkItem]) -> Iterator[PreparedItem]:
        """Every item with its decoded image. Raises StoreError."""
        window: deque[_Pending] = deque()
        images = size_bytes = 0
        for group in self._groups(items):
            pending = self._start(group)
            window.append(pending)
            images, size_bytes = images + len(group), size_bytes + pending.size_bytes
            limit = self._ahead * self._executor.workers(_resources(group[0]))
            while len(window) > 1 and (images > limit or size_bytes > _AHEAD_BYTES):
                first = window.popleft()
                images, size_bytes = images - len(first.items), size_bytes - first.size_bytes
                yield from self._finish(first)
        while window:
            yield from self._finish(window.popleft())

    def _groups(self, items: Iterable[WorkItem]) -> Iterator[list[WorkItem]]:
        """Neighbours of one codec and level, up to a batch, for one job."""
        group: list[WorkItem] = []
        for item in items:
            size = self._batch_images if item.codec.neural else 1
            same = group and group[0].codec is item.codec and group[0].level == item.level
            if group and not (same and len(group) < size):
                yield group
                group = []
            group.append(item)
        if group:
            yield group

    def _start(self, items: Sequence[WorkItem]) -> _Pending:
        sources = [self._source(item) for item in items]
        first = items[0]
        job = _Job(
            root=str(self._store.root),
            spec=first.codec.spec,
            level=first.level,
            images=tuple(source for source in sources if isinstance(source, SourceImage)),
            batch_images=self._batch_images,
            keep=self._left_bytes > 0,
        )
        future = self._executor.submit(_resources(first), _reconstruct, job) if job.images else None
        return _Pending(items=tuple(items), sources=tuple(sources), job=job, future=future)

    def _finish(self, pending: _Pending) -> Iterator[PreparedItem]:
        made: Iterator[DecodedImage | Failed] = iter(())
        if pending.future is not None:
            resources = _resources(pending.items[0])
            made = iter(self._result(pending.job, pending.future, resources))
        for item, source in zip(pending.items, pending.sources, strict=True):
            image = source if isinstance(source, Failed) else next(made)
            if isinstance(image, DecodedImage):
                self._left_bytes -= image.kept_bytes
            yield PreparedItem(item=item, image=image)

    def _result(
        self, job: _Job, future: Future[list[DecodedImage | Failed]], resources: Resources
    ) -> list[DecodedImage | Failed]:
        """A job's result. If the worker died, the job is repeated, because other processes may have
        used up the memory; after that its images are made one by one."""
        try:
            return future.result()
        except WorkerDiedError:
            pass
        try:
            return self._executor.submit(resources, _reconstruct, job).result()
        except WorkerDiedError:
            if len(job.images) == 1:
                return [_died(job)]
        singles = [replace(job, images=(image,)) for image in job.images]
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
            read = attempt("load", lambda: SourceImage.of(item.task.image(item.image), item.image))
            self._sources[key] = read
            self._sources_bytes += _size(read)
            while self._sources_bytes > _SOURCES_BYTES and len(self._sources) > 1:
                self._sources_bytes -= _size(self._sources.popitem(last=False)[1])
        self._sources.move_to_end(key)
        return self._sources[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A running job, with its items."""

    items: tuple[WorkItem, ...]
    sources: tuple[SourceImage | Failed, ...]
    job: _Job
    future: Future[list[DecodedImage | Failed]] | None

    @property
    def size_bytes(self) -> int:
        return sum(map(_size, self.sources))


def open_executor(workers: int | None, devices: Sequence[str] = ("cpu",)) -> Executor:
    """Worker processes for codecs: `workers` for those without weights (None: one per core; 0: all
    work in this process), and one per device for those with weights."""
    if workers == 0:
        return SerialExecutor(devices[0])
    # The VLM's threads wait for each other, so codecs must not take a core from one of them.
    return WorkerPool(workers or usable_cores(), devices, nice=5)


def _size(source: SourceImage | Failed) -> int:
    return source.rgb8.nbytes if isinstance(source, SourceImage) else 0


def _resources(item: WorkItem) -> Resources:
    return DEVICE if item.codec.neural else CPU


def _died(job: _Job) -> Failed:
    name, image = job.spec.component.name, job.images[0].name
    return Failed(
        stage="encode",
        kind="WorkerDied",
        message=f"{name} level {job.level.name} image {image}: the worker process died",
        retryable=True,
    )


# --- in a worker: codecs and the level in memory stay there between jobs -----------------------

_codecs: dict[str, Codec] = {}
_reconstructor: tuple[tuple[str, str, int], Reconstructor] | None = None


def _reconstruct(job: _Job) -> list[DecodedImage | Failed]:
    global _reconstructor
    key = digest(job.spec)
    if key not in _codecs:
        opened = attempt("encode", lambda: open_spec(job.spec))
        if isinstance(opened, Failed):
            return [opened] * len(job.images)
        _codecs[key] = opened
    settings = (job.root, worker_device(), job.batch_images)
    if _reconstructor is None or _reconstructor[0] != settings:
        if _reconstructor is not None:
            _reconstructor[1].close()
        store = Store(job.root)
        made = Reconstructor(
            store.bitstreams,
            store.decoded,
            device=settings[1],
            batch_images=job.batch_images,
        )
        _reconstructor = (settings, made)
    return _reconstructor[1].reconstruct(
        _codecs[key], job.level, job.images, keep=job.keep, component=job.spec.component
    )
