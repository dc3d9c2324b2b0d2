"""Worker processes: not ended by Ctrl-C, and never living longer than the process they serve."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_JOIN_S = 10.0  # a worker ends within milliseconds, unless it hangs where nothing can reach it


class Children:
    """Worker processes, started at the first call that they are to make.

    prepare(*args): called first in each of them; everything travels there by pickle.
    """

    def __init__(self, workers: int, prepare: Callable[..., None], *args: Any) -> None:
        # Not forked: neither threads (torch) nor CUDA survive that.
        context = multiprocessing.get_context("spawn")
        reader, hold = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_begin, initargs=(reader, prepare, args)
        )
        self._end = weakref.finalize(self, _end, hold, self._executor)

    def submit(self, call: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs) -> Future[_T]:
        """Have a worker make a call. Raises BrokenProcessPool where one has died before."""
        return self._executor.submit(call, *args, **named)

    def close(self) -> None:
        """End the workers at once, whatever they are doing, and wait until they are gone. Happens
        by itself when forgotten."""
        self._end()


def _end(hold: Connection, executor: ProcessPoolExecutor) -> None:
    """The wait is for the interpreter's end, which would meet pipes that are just being closed."""
    hold.close()
    ending = threading.Thread(
        target=executor.shutdown, kwargs={"cancel_futures": True}, daemon=True
    )
    ending.start()
    ending.join(_JOIN_S)


def _begin(parent: Connection, prepare: Callable[..., None], args: tuple[Any, ...]) -> None:
    _serve_only(parent)
    prepare(*args)


def _serve_only(parent: Connection) -> None:
    """parent: the reading end of a pipe whose other end the parent holds.

    Ctrl-C reaches the whole group of processes, and the parent decides what to finish. The pipe
    closes when the parent is done, when it gives up, and when it is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    """Nothing is ever sent: the pipe becomes readable when its other end is closed."""
    parent.poll(None)
    os._exit(1)
