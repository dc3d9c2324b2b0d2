"""Bitstreams and decoded images in an object store: tar files with many of them.

An object each would cost a request each. A pack holds what was new since the last one; its members
are checked when they are used, as all files of `store.blobs`.
"""

from __future__ import annotations

import os
import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from eyechart.core.errors import StoreError, one_line
from eyechart.store.bucket import Bucket
from eyechart.store.files import store_errors, write_atomic
from eyechart.store.sync_state import SyncState

_MOST_BYTES = 256 << 20  # of a pack, about
_FOLDERS = ("bitstreams", "decoded")
_MEMBER = re.compile(r"(bitstreams|decoded)/[\w.-]+/[\w.-]+/[\w-][\w.-]*\.bin", re.ASCII)
_OVERLAP_NS = 10_000_000_000  # between the time of a file and the moment when it has its name


def packed_names(name: str) -> bool:
    """Whether an object is a pack."""
    return name.startswith("packs/")


def pack(bucket: Bucket, folder: Path, state: SyncState, place: Path) -> Iterator[str]:
    """Upload packs of the image files that are in no pack yet; -> their names. place: for a
    temporary file. Raises StoreError."""
    start_ns = time.time_ns()
    files = _new_files(folder, state.packed_ns)
    with TemporaryDirectory(dir=place) as temporary:
        path = Path(temporary) / "pack.tar"
        for number in range(1_000_000):
            size_bytes = 0
            with store_errors(path, "be written"), tarfile.open(path, "w") as tar:
                for file in files:
                    tar.add(file, file.relative_to(folder).as_posix(), recursive=False)
                    size_bytes += file.stat().st_size
                    if size_bytes > _MOST_BYTES:
                        break
            if not size_bytes:
                break
            name = f"packs/{start_ns:020}-{os.getpid()}-{number}.tar"
            bucket.upload(name, path)
            yield name
    state.packed_ns = start_ns - _OVERLAP_NS


def unpack(bucket: Bucket, name: str, folder: Path) -> None:
    """Download a pack and write its files, which get the time 0, so that they are not packed
    again. Raises StoreError."""
    with TemporaryDirectory(dir=folder.parent) as temporary:
        path = Path(temporary) / "pack.tar"
        bucket.download(name, path)
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    there = folder / member.name
                    if not (member.isfile() and _MEMBER.fullmatch(member.name)):
                        continue
                    body = tar.extractfile(member)
                    if body is None or there.exists():
                        continue
                    there.parent.mkdir(parents=True, exist_ok=True)
                    write_atomic(there, body.read(), sync=False)
                    os.utime(there, ns=(0, 0))
        except (tarfile.TarError, EOFError) as error:
            why = one_line(error)
            raise StoreError(f"{bucket.url}/{name}: damaged ({why}); delete it") from error


def _new_files(folder: Path, since_ns: int) -> Iterator[Path]:
    """Image files that are newer. A folder to which nothing was added is not read."""
    for level in (level for top in _FOLDERS for level in (folder / top).glob("*/*")):
        if level.stat().st_mtime_ns <= since_ns:
            continue
        with os.scandir(level) as entries:
            for entry in entries:
                if entry.name.endswith(".bin") and entry.stat().st_mtime_ns > since_ns:
                    yield Path(entry.path)
