"""Two settings of the process's memory, for work that allocates much, and errors by lack of it.

`freed_memory_kept`, for computations on a CPU that allocate large arrays again and again: the GNU C
library returns large freed blocks to the system at once. Each new array then consists of new pages,
which the system clears one by one when they are first written. For the feature maps of a wide
network that is a sixth of the time. After the block at most 256 MB at the end of the heap are kept.

`collector_paused`, for code that makes many small objects without reference cycles: Python's
collector looks through all new objects after every few hundred of them, and finds nothing. For the
records of a large cell that is a third of the time.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from eyechart.core.shared_setting import SharedSetting

# Numbers of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_INSIDE = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1))
# What the library arrives at by itself after large blocks were freed, except that it would return
# all but 64 MB. The next image would take them again, page by page: 256 MB stay.
_AFTERWARDS = ((_MMAP_MAX, 65536), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 256 << 20))

# Of the RuntimeError of torch, whose own class is for GPUs alone.
_SHORTAGE = re.compile(r"out of memory|(not enough|can't|cannot) (allocate )?memory", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, as Python, NumPy and torch say it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _SHORTAGE.search(str(error)) is not None


def freed_memory_kept() -> AbstractContextManager[None]:
    """Keep freed memory in this process for its next allocations, within the block.

    Blocks may be nested and may run in several threads. Does nothing without the GNU C library.
    """
    return _kept.held()


def collector_paused() -> AbstractContextManager[None]:
    """Do not search for reference cycles within the block.

    Blocks may be nested and may run in several threads.
    """
    return _paused.held()


def _keep() -> Callable[[], None]:
    _set(_INSIDE)
    return partial(_set, _AFTERWARDS)


def _pause() -> Callable[[], None]:
    enabled = gc.isenabled()
    gc.disable()
    return gc.enable if enabled else gc.disable


_kept, _paused = SharedSetting(_keep), SharedSetting(_pause)


def _set(options: tuple[tuple[int, int], ...]) -> None:
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        for option, value in options:
            mallopt(option, value)
