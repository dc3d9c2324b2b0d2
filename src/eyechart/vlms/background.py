"""An event loop in a separate thread, for cancellable work that waits for a network.

A thread that waits for a socket cannot be interrupted, but a task in an event loop can be
cancelled, which Ctrl-C and deadlines need.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class EventLoopThread:
    """Runs coroutines until it is garbage collected. at_end: closes resources then.

    The thread is a daemon, so that waiting for a server does not keep the program from ending.
    """

    def __init__(self, at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=(self._loop, at_end), daemon=True).start()
        stop = weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
        stop.atexit = False

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Start a coroutine. Cancelling the future cancels it."""
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
