"""An event loop in a thread of its own: work that waits for a network, and can be called off.

A thread that waits for a socket cannot be interrupted, a task in an event loop can: Ctrl-C and
deadlines need that.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class Background:
    """Runs coroutines until it is no longer referred to. at_end: what to close then.

    The thread is a daemon: no wait for a server keeps the program from ending.
    """

    def __init__(self, at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=(self._loop, at_end), daemon=True).start()
        stop = weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
        stop.atexit = False

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Start some work. Cancelling the future calls the work off."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _serve(
    loop: asyncio.AbstractEventLoop, at_end: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(at_end())
    finally:
        loop.close()
