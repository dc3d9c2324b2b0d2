"""Freed memory is used again inside the block, and belongs to the system after it."""

from __future__ import annotations

import platform
import resource

import pytest

from eyechart.core.memory import freed_memory_kept

SIZE_BYTES = 64 << 20


def new_pages() -> int:
    """Pages that the system gave for one large array, written once."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    assert len(b"\1" * SIZE_BYTES) == SIZE_BYTES
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_the_second_array_needs_no_new_pages() -> None:
    pages = SIZE_BYTES // resource.getpagesize()
    with freed_memory_kept():
        new_pages()
        with freed_memory_kept():
            assert new_pages() < pages / 10
        assert new_pages() < pages / 10
    new_pages()
    assert new_pages() > pages / 2


def test_it_ends_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), freed_memory_kept():
        _ = 1 / 0
    with freed_memory_kept():
        pass
