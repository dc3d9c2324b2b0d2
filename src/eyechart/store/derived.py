"""Files that are derived from a cell's files: they may be deleted, and are then made again.

A file is one line of JSON and the sha256 of that line. It holds the state of the files that it was
made from. That state is compared first by size, times and inode, and only then by content, so that
nothing is read while nothing has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from os import fstat, stat_result
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from eyechart.core.errors import StoreError
from eyechart.core.types import Json
from eyechart.store.files import DAMAGED, file_sha256, store_errors, write_atomic

_T = TypeVar("_T")
# A file that was changed so shortly before may have been changed once more with the same times.
_CLOCK_STEP_NS = 50_000_000
_CHECK_BYTES = 64 + 2  # at the end: the digest in a line of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The bytes of a file, and its state before they were read. state: as JSON; None: no file."""

    data: bytes
    state: Json


def read_snapshot(path: Path) -> Snapshot:
    """Read a file; no bytes if it does not exist. Raises StoreError."""
    with store_errors(path, "be read"):
        try:
            with path.open("rb") as file:
                before = fstat(file.fileno())
                data = file.read(before.st_size)  # what is appended meanwhile is read another time
        except FileNotFoundError:
            return Snapshot(data=b"", state=None)
    return Snapshot(data=data, state=[*_stamp(before), sha256(data).hexdigest()])


def write_derived(path: Path, value: Mapping[str, Json]) -> None:
    """Write a derived file; without it everything works, so a failure is no error."""
    with suppress(StoreError, TypeError, ValueError):  # no JSON, such as a lone surrogate
        body = msgspec.json.encode(value)
        write_atomic(path, body + b"\n" + sha256(body).hexdigest().encode() + b"\n", sync=False)


def read_derived(path: Path, kind: type[_T]) -> tuple[_T, int] | None:
    """The value of a derived file and when it was written (ns); None if it is not there, damaged,
    or of another kind."""
    try:
        with path.open("rb") as file:
            written_ns, data = fstat(file.fileno()).st_mtime_ns, file.read()
    except OSError:
        return None
    body = memoryview(data)[:-_CHECK_BYTES]  # not copied
    if b"\n%b\n" % sha256(body).hexdigest().encode() != data[-_CHECK_BYTES:]:
        return None
    try:
        value: _T = _decoder(cast("Any", kind)).decode(body)
        return value, written_ns
    except DAMAGED:
        return None


def unchanged(path: Path, state: Any, since_ns: int) -> bool:
    """Whether a file has the content it had in a `Snapshot`. since_ns: when the derived file was
    written. Raises StoreError."""
    with store_errors(path, "be read"):
        try:
            now = path.stat()
        except FileNotFoundError:
            return state is None
    if not isinstance(state, list) or state[:1] != [now.st_size]:
        return False
    if state[:-1] == _stamp(now) and since_ns - now.st_ctime_ns > _CLOCK_STEP_NS:
        return True
    return bool(state[-1] == file_sha256(path).hex())


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _stamp(found: stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
