"""Where pictures are made: here, or in worker processes beside the VLM.

Workers ignore Ctrl-C (the main process decides what to finish) and end when a pipe from the main
process closes: when it is done, when it gives up, and when it is killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeAlias

from eyechart.core.children import Children
from eyechart.core.types import Codec
from eyechart.runner.attempt import Failed
from eyechart.runner.pictures import Picture, PictureJob, PictureMaker
from eyechart.store import Store

Awaited: TypeAlias = Callable[[], Picture | Failed]  # waits for the picture; raises StoreError


class Pool(Protocol):
    """Takes jobs at once, gives pictures later."""

    @property
    def workers(self) -> int:
        """How many pictures are made at a time."""
        ...

    def submit(self, job: PictureJob) -> Awaited: ...

    def close(self) -> None:
        """End all work at once, finished or not."""
        ...


class Here:
    """Makes a picture when it is asked for, in this process: for tests and debugging."""

    workers = 1

    def __init__(self, codecs: Sequence[Codec], store: Store) -> None:
        self._maker = PictureMaker(codecs, store)

    def submit(self, job: PictureJob) -> Awaited:
        return lambda: self._maker.make(job)

    def close(self) -> None:
        pass


class Processes:
    """Makes pictures in `workers` processes, started at the first job.

    A worker that dies (out of memory, a crash in a native library) breaks all jobs in flight.
    They are made again; the one that breaks a worker that it has to itself is the culprit.
    """

    def __init__(self, codecs: Sequence[Codec], store: Store, workers: int) -> None:
        self._codecs, self._store, self.workers = tuple(codecs), store, workers
        self._children: Children | None = None

    def submit(self, job: PictureJob) -> Awaited:
        first = self._submit(job)
        return lambda: self._result(job, *first)

    def close(self) -> None:
        if self._children is not None:
            self._children.close()
        self._children = None

    def _submit(self, job: PictureJob) -> tuple[Children, Future[Picture | Failed]]:
        children = self._start()
        try:
            return children, children.submit(_make, job)
        except BrokenProcessPool:
            self._leave(children)
            children = self._start()
            return children, children.submit(_make, job)

    def _start(self) -> Children:
        if self._children is None:
            root = str(self._store.root)
            self._children = Children(self.workers, _prepare, self._codecs, root)
        return self._children

    def _leave(self, broken: Children) -> None:
        if self._children is broken:  # else another job has noticed before
            self.close()

    def _result(
        self, job: PictureJob, children: Children, future: Future[Picture | Failed]
    ) -> Picture | Failed:
        for _ in range(2):
            try:
                return future.result()
            except BrokenProcessPool:
                self._leave(children)
                children, future = self._submit(job)
        alone = Processes(self._codecs, self._store, workers=1)
        try:
            return alone._submit(job)[1].result()
        except BrokenProcessPool:
            name = self._codecs[job.codec].name
            return Failed(
                stage="encode",
                kind="WorkerDied",
                message=f"{name} level {job.level.name} image {job.image}: the worker process died",
                retryable=True,
            )
        finally:
            alone.close()


# One maker a worker process: its codecs keep their weights and tables loaded between jobs.
_maker: PictureMaker | None = None


def _prepare(codecs: Sequence[Codec], root: str) -> None:
    global _maker
    os.nice(5)  # the VLM's threads wait for one another: none of them should lose its core to us
    _maker = PictureMaker(codecs, Store(root))


def _make(job: PictureJob) -> Picture | Failed:
    assert _maker is not None
    return _maker.make(job)


def open_pool(codecs: Sequence[Codec], store: Store, workers: int | None) -> Pool:
    """A pool of so many processes; none of them for 0, one a core for None."""
    if workers == 0:
        return Here(codecs, store)
    return Processes(codecs, store, workers or len(os.sched_getaffinity(0)))
