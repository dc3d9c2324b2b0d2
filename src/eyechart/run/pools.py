"""Where pictures are made: here, or in worker processes beside the VLM.

Workers ignore Ctrl-C (the main process decides what to finish) and end when a pipe from the main
process closes: when it is done, when it gives up, and when it is killed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Protocol, TypeAlias

from eyechart.core.children import serve_only
from eyechart.core.types import Codec
from eyechart.run.attempt import Failed
from eyechart.run.pictures import Picture, PictureJob, PictureMaker
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
        self._executor: ProcessPoolExecutor | None = None
        self._stop: Connection | None = None

    def submit(self, job: PictureJob) -> Awaited:
        first = self._submit(job)
        return lambda: self._result(job, *first)

    def close(self) -> None:
        if self._stop is not None:
            self._stop.close()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._stop = None

    def _submit(self, job: PictureJob) -> tuple[ProcessPoolExecutor, Future[Picture | Failed]]:
        executor = self._start()
        try:
            return executor, executor.submit(_make, job)
        except BrokenProcessPool:
            self._leave(executor)
            executor = self._start()
            return executor, executor.submit(_make, job)

    def _start(self) -> ProcessPoolExecutor:
        if self._executor is None:
            context = multiprocessing.get_context("spawn")  # fork and threads (torch) do not mix
            reader, self._stop = context.Pipe(duplex=False)
            self._executor = ProcessPoolExecutor(
                self.workers,
                mp_context=context,
                initializer=_prepare,
                initargs=(self._codecs, str(self._store.root), reader),
            )
        return self._executor

    def _leave(self, broken: ProcessPoolExecutor) -> None:
        if self._executor is broken:  # else another job has noticed before
            self.close()

    def _result(
        self, job: PictureJob, executor: ProcessPoolExecutor, future: Future[Picture | Failed]
    ) -> Picture | Failed:
        for _ in range(2):
            try:
                return future.result()
            except BrokenProcessPool:
                self._leave(executor)
                executor, future = self._submit(job)
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


def _prepare(codecs: Sequence[Codec], root: str, stop: Connection) -> None:
    global _maker
    serve_only(stop)
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
