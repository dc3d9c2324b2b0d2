"""Worker processes on this machine: each has its own pipe and runs one call at a time.

    submit -> queue -> thread of a free worker -> pipe -> worker process
                                               <- pipe <- result, or the end of the process

A worker that dies affects only its own call. No thread waits for a worker without limit: it waits
for the reply or for the end of the process, whichever comes first. The threads are daemons, so the
interpreter's exit does not wait for them.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from eyechart.core.errors import WorkerDiedError, one_line
from eyechart.core.workers import CPU, DEVICE, Resources, set_worker_device

_P = ParamSpec("_P")
_T = TypeVar("_T")
_JOIN_S = 5.0  # a killed process is gone within milliseconds
# Not forked: neither threads (torch) nor CUDA survive that.
_SPAWN = multiprocessing.get_context("spawn")
_STARTING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class _QueuedCall:
    message: bytes
    future: Future[Any]


class WorkerPool:
    """`cpu_workers` processes for calls that need a core, one process a device for the others.

    Processes start at the first call that they make. They ignore Ctrl-C, because the main process
    decides what to finish, and end when the main process does.

    nice: added to the priority number of CPU workers.
    """

    def __init__(
        self, cpu_workers: int, devices: Sequence[str] = ("cpu",), *, nice: int = 0
    ) -> None:
        self._queues: dict[Resources, queue.SimpleQueue[_QueuedCall | None]] = {
            CPU: queue.SimpleQueue(),
            DEVICE: queue.SimpleQueue(),
        }
        self._closed = threading.Event()
        self._workers = {
            CPU: [_Worker("cpu", nice) for _ in range(cpu_workers)],
            DEVICE: [_Worker(device, nice) for device in devices],
        }
        self._end = weakref.finalize(self, _close, self._workers, self._queues, self._closed)
        self._started: set[Resources] = set()

    def workers(self, resources: Resources) -> int:
        """How many calls with these needs run at a time."""
        return len(self._workers[resources])

    def submit(
        self, resources: Resources, call: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs
    ) -> Future[_T]:
        """Submit a call. Raises pickle's error for arguments that cannot be pickled."""
        future: Future[_T] = Future()
        message = pickle.dumps((call, args, named), protocol=pickle.HIGHEST_PROTOCOL)
        if self._closed.is_set():
            future.set_exception(WorkerDiedError("the workers are closed"))
        else:
            self._start(resources)
            self._queues[resources].put(_QueuedCall(message=message, future=future))
        return future

    def _start(self, resources: Resources) -> None:
        if resources in self._started:
            return
        self._started.add(resources)
        for worker in self._workers[resources]:
            threading.Thread(
                target=_serve, args=(worker, self._queues[resources], self._closed), daemon=True
            ).start()

    def close(self) -> None:
        """End the workers at once and wait until they have ended. Also called when the pool is
        garbage collected."""
        self._end()


def _close(
    workers: Mapping[Resources, Sequence[_Worker]],
    queues: Mapping[Resources, queue.SimpleQueue[_QueuedCall | None]],
    closed: threading.Event,
) -> None:
    closed.set()
    for resources, group in workers.items():
        for worker in group:
            worker.kill()
            queues[resources].put(None)  # wakes an idle thread
    for waiting in queues.values():
        with suppress(queue.Empty):
            while True:
                task = waiting.get_nowait()
                if task is None:
                    waiting.put(None)
                    break
                _settle(task.future, None, WorkerDiedError("the workers are closed"))


def _serve(
    worker: _Worker, tasks: queue.SimpleQueue[_QueuedCall | None], closed: threading.Event
) -> None:
    """A thread of the main process: hands calls to one worker and sets their futures."""
    while (task := tasks.get()) is not None:
        result: object = None
        error: BaseException | None = None
        if closed.is_set():
            error = WorkerDiedError("the workers are closed")
        elif task.future.set_running_or_notify_cancel():
            result, error = worker.call(task.message, closed)
        else:
            continue
        _settle(task.future, result, error)
        del task, result, error  # a waiting thread must not keep images in memory


def _settle(future: Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class _Worker:
    """One process and the main process's end of its pipe. A dead process is started again."""

    def __init__(self, device: str, nice: int) -> None:
        self._device, self._nice = device, nice
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def call(self, message: bytes, closed: threading.Event) -> tuple[object, BaseException | None]:
        """Send a call and wait for its result, or for the end of the process."""
        try:
            process, pipe = self._started(closed)
            pipe.send_bytes(message)
            wait([pipe, process.sentinel])
            reply = pipe.recv_bytes()  # EOFError: the process ended in the middle of the message
        except Exception as cause:  # noqa: BLE001 - OSError, EOFError, MemoryError: no future stays open
            self.kill()
            died = WorkerDiedError("the worker process died")
            died.__cause__ = cause
            return None, died
        try:
            ok, value = pickle.loads(reply)
        except Exception as error:  # noqa: BLE001 - a class that this process cannot build
            return None, WorkerDiedError(f"the result cannot be read: {one_line(error)}")
        return (value, None) if ok else (None, value)

    def kill(self) -> None:
        """End the process at once and wait a limited time for its end."""
        with self._lock:
            process, self._process, self._pipe = self._process, None, None
        if process is not None:
            process.kill()
            process.join(_JOIN_S)

    def _started(self, closed: threading.Event) -> tuple[SpawnProcess, Connection]:
        with self._lock:
            if closed.is_set():
                raise OSError("closed")
            if self._process is None or self._pipe is None:
                ours, theirs = _SPAWN.Pipe()
                self._process = _SPAWN.Process(
                    target=_work, args=(theirs, self._device, self._nice), daemon=True
                )
                with ctrl_c_blocked(), _without_main():
                    self._process.start()
                theirs.close()  # otherwise the end of the process would not close the pipe
                self._pipe = ours
            return self._process, self._pipe


@contextmanager
def ctrl_c_blocked() -> Iterator[None]:
    """Context for the start of processes, which get no Ctrl-C until they call `ignore_ctrl_c`: it
    would print a traceback of what they import. The caller's own Ctrl-C comes after the block."""
    # The processes inherit this thread's signal mask. The tracker is started first, because its
    # start removes SIGINT from the mask.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_ctrl_c() -> None:
    """In a process started in `ctrl_c_blocked`: leave Ctrl-C to the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def _without_main() -> Iterator[None]:
    """While a process is started, hide which file is the main module: the process would run it
    again, and with it the user's script that called us. Calls name what they need by import."""
    with _STARTING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _work(pipe: Connection, device: str, nice: int) -> None:
    """The main function of a worker process."""
    ignore_ctrl_c()
    set_worker_device(device)
    if device == "cpu":
        os.nice(nice)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, calls), daemon=True).start()
    while True:
        reply = answer_call(calls.get())
        try:
            pipe.send_bytes(reply)
        except OSError:  # the main process is gone
            os._exit(1)
        del reply


def _dumps(value: object) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def answer_call(
    message: bytes,
    loads: Callable[[bytes], Any] = pickle.loads,
    dumps: Callable[[object], bytes] = _dumps,
) -> bytes:
    """In a worker: make a pickled (call, arguments, named arguments); -> its pickled (True, result)
    or (False, error)."""
    try:
        call, args, named = loads(message)
        return _pickled((True, call(*args, **named)), dumps)
    except Exception as error:  # noqa: BLE001 - the future of the call carries it
        return _pickled((False, error), dumps)
    except BaseException as error:  # noqa: BLE001 - sys.exit in a plug-in must not end a run
        return _pickled((False, RuntimeError(one_line(error))), dumps)


def _receive(pipe: Connection, calls: queue.SimpleQueue[bytes]) -> None:
    """Ends the process when the main process is gone, also in the middle of a call."""
    with suppress(OSError, EOFError):
        while True:
            calls.put(pipe.recv_bytes())
    os._exit(1)


def _pickled(reply: tuple[bool, object], dumps: Callable[[object], bytes]) -> bytes:
    try:
        return dumps(reply)
    except Exception as error:  # noqa: BLE001 - whatever the value's class raises
        if not reply[0] and isinstance(reply[1], BaseException):
            return pickle.dumps((False, RuntimeError(one_line(reply[1]))))
        return pickle.dumps((False, RuntimeError(f"the result cannot be pickled: {error}")))
