"""A setting of the whole process that blocks in several threads need."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class SharedSetting:
    """A setting that is made when the first block begins, and undone when the last one ends.

    make: makes the setting and returns what undoes it. Blocks may be nested and may run in several
    threads.
    """

    def __init__(self, make: Callable[[], Callable[[], None]]) -> None:
        self._make = make
        self._undo: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._blocks = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that needs the setting."""
        with self._lock:
            if not self._blocks:
                self._undo = self._make()
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if not self._blocks and self._undo is not None:
                    self._undo()
