"""Worker processes end when they are told to, and leave nothing that an exit could trip over."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

from eyechart.core.children import Children

_MEGABYTE = np.zeros(1 << 20, np.uint8)  # more than a pipe holds


def prepare(word: str) -> None:
    os.environ["WORD"] = word


def word(of: object = None) -> str:
    return os.environ["WORD"]


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_busy_workers_are_gone_when_they_are_closed_or_forgotten(how: str) -> None:
    threads = set(threading.enumerate())
    children = Children(2, prepare, "here")
    assert children.submit(word).result() == "here"
    waiting = [children.submit(time.sleep, 600) for _ in range(2)]
    waiting += [children.submit(word, _MEGABYTE) for _ in range(6)]
    if how == "closed":
        children.close()
        children.close()
    else:
        del children
        gc.collect()
    assert multiprocessing.active_children() == []
    # Their pipes are closed by a thread; one still at it would meet the interpreter's exit.
    assert {thread.name for thread in set(threading.enumerate()) - threads} == set()
    assert all(future.done() for future in waiting)
