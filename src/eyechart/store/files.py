"""Crash-safe writing: replacing whole files, and appending lines.

A replaced file is either the old or the new one. A file with appended lines may end in a torn line
after a kill or a full disk; readers ignore that line and the next writer cuts it off.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from eyechart.core.errors import StoreError
from eyechart.core.files import is_device

# What `parse_json`, and building a value from its result, raise on a damaged file.
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@contextmanager
def store_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an OSError into one line that names the file and the reason."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot {doing} ({error.strerror or error})") from error


def write_atomic(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace a file in one step; a reader sees the old bytes or the new ones, never a part.

    sync: wait for the disk, so that a power cut cannot leave an empty file under the new name.
    Raises:
        StoreError: the folder cannot be written, the disk is full.
    """
    with open_atomic(path, sync=sync) as file:
        file.write(data)


@contextmanager
def open_atomic(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """A file that gets its name, in one step, when the block ends without an error.

    A device or a pipe, such as /dev/stdout, is written to and not replaced.
    Raises:
        StoreError: the folder cannot be written, the disk is full.
    """
    if is_device(path):
        with store_errors(path, "be written"), path.open("wb") as file:
            yield file
        return
    # Threads of one process may write the same file: each has its own until the last step.
    writer = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{writer}.tmp")
    with store_errors(path, "be written"):
        try:
            with temporary.open("wb") as file:
                yield file
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append lines with one write. All of them, or none after an error.

    They survive a kill of this process at once, and a power cut after `sync_file`, because waiting
    for the disk at every line would take longer than the answers.

    Raises:
        StoreError: the file cannot be written, the disk is full.
    """
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    if not data:
        return
    with store_errors(path, "be appended to"):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size_bytes = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
            except OSError:
                _cut(descriptor, size_bytes)
                raise
        finally:
            os.close(descriptor)


def sync_file(path: Path) -> None:
    """Wait until a file, if it exists, is on the disk. Raises StoreError."""
    with store_errors(path, "be written"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_lines(path: Path) -> list[str]:
    """All complete lines; none for a file that does not exist. A torn last line is left out."""
    with store_errors(path, "be read"):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return []
    return whole_lines(path, data)


def whole_lines(path: Path, data: bytes) -> list[str]:
    """All complete lines of a file's bytes; path: for the message. Raises StoreError."""
    whole = data[: data.rfind(b"\n") + 1]
    try:
        return whole.decode().split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: damaged, not text at byte {error.start}") from error


def file_sha256(path: Path) -> bytes:
    """sha256 of a file, read in pieces; that of no bytes if the file does not exist."""
    with store_errors(path, "be read"):
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        except FileNotFoundError:
            return hashlib.sha256().digest()


def has_line(path: Path) -> bool:
    """Whether a file has a complete line. Raises StoreError."""
    with store_errors(path, "be read"):
        try:
            with path.open("rb") as file:
                return file.readline().endswith(b"\n")
        except FileNotFoundError:
            return False


def cut_torn_line(path: Path) -> int:
    """Remove a torn last line before appending; returns the number of removed bytes."""
    with store_errors(path, "be repaired"):
        try:
            with path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(max(0, size_bytes - 1))
                if file.read(1) in (b"\n", b""):
                    return 0
                file.seek(0)
                keep = file.read().rfind(b"\n") + 1
        except FileNotFoundError:
            return 0
        os.truncate(path, keep)
        return size_bytes - keep


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:  # a signal or a nearly full disk may cut one write short
        view = view[os.write(descriptor, view) :]


def _cut(descriptor: int, size_bytes: int) -> None:
    # If this fails too, the next run cuts the torn line off; the first error is reported.
    with suppress(OSError):
        os.ftruncate(descriptor, size_bytes)
