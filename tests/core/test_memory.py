"""Freed memory is used again inside the block, and that of a large array belongs to the system
after it. The collector is paused inside its block."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
from threading import Barrier, Thread

import pytest

from eyechart.core.memory import collector_paused, freed_memory_kept

# A process of its own: what others have freed before changes what the library does.
CHILD = """
import resource
from eyechart.core.memory import freed_memory_kept

SIZE_BYTES = 320 << 20
PAGES = SIZE_BYTES // resource.getpagesize()

def new_pages():
    # Pages that the system gives for one large array, written once.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    assert len(b"1" * SIZE_BYTES) == SIZE_BYTES
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with freed_memory_kept():
    new_pages()
    with freed_memory_kept():
        assert new_pages() < PAGES / 10
    assert new_pages() < PAGES / 10
new_pages()
assert new_pages() > PAGES / 2
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_the_second_array_needs_no_new_pages() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_it_ends_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), freed_memory_kept():
        _ = 1 / 0
    with freed_memory_kept():
        pass


def test_the_collector_is_paused_in_the_block_alone() -> None:
    assert gc.isenabled()
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    with pytest.raises(ZeroDivisionError), collector_paused():
        _ = 1 / 0
    assert gc.isenabled()


def test_the_collector_is_paused_until_the_last_thread_leaves() -> None:
    entered, left = Barrier(2, timeout=60), Barrier(2, timeout=60)
    both = Barrier(2, timeout=60)

    def first() -> None:
        with collector_paused():
            entered.wait()
            both.wait()
        left.wait()

    thread = Thread(target=first)
    thread.start()
    entered.wait()
    with collector_paused():
        both.wait()
        left.wait()
        alone = gc.isenabled()
    thread.join()
    assert not alone
    assert gc.isenabled()
