"""Leases: advisory file locks, which the kernel releases when their process ends.

A run holds a shared lease on the directory and an exclusive one on its model (one VLM with one
adapter), so that two runs with different VLMs may fill one directory, each on its own GPU. A
process that rewrites stored records holds an exclusive lease on the directory. A SIGKILL leaves no
lock behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eyechart.core.errors import StoreError
from eyechart.store.files import store_errors


class HeldError(StoreError):
    """Another process holds the lease."""


@contextmanager
def lease(path: Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs.

    shared: others may hold it shared too. wait: wait until it is free instead of raising.

    Raises:
        HeldError: held by another process (which is named if it holds it exclusively).
        StoreError: the file cannot be opened.
    """
    with store_errors(path, "be locked"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, mode if wait else mode | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            raise HeldError(
                f"{path.parent}: in use by {holder or 'another eyechart run'}; "
                "wait for it to end (wait) or choose another directory"
            ) from None
        except OSError as error:  # a file system without locks
            raise StoreError(f"{path}: cannot be locked ({error.strerror})") from error
        # On a full disk the lock is still held, but other processes cannot read who holds it.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            if not shared:
                os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
        yield
    finally:
        os.close(descriptor)
