"""A cache of reproducible bytes: bitstreams, and decoded images that are slow to make.

A file's name follows from what it was made from. A file ends with a digest of its own name and a
sha256 of everything before. So a torn or damaged file counts as missing, and a file under another
file's name is an error. For the same reason writing does not wait for the disk.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from eyechart.core.errors import StoreError
from eyechart.core.identity import digest
from eyechart.core.types import Component, Level
from eyechart.store.files import store_errors, write_atomic

_FOOTER_BYTES = 32
_NAMED = b"eyechart"  # start of the digest of the name, which the first versions did not write
_NAME_BYTES = len(_NAMED) + 32


class Blobs:
    """One folder of checked files, safe for many readers and writers at once.

    root / codec-0123456789ab / level / <image digest>.bin
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._last: tuple[Component, Level, Path] | None = None

    def path(self, codec: Component, level: Level, image: str) -> Path:
        """Path of the blob of an image. image: `core.identity.image_digest`."""
        # A run asks for many images of one level in succession. The digests in the folder's name
        # would take longer than everything else that a run does with an image.
        last = self._last  # read once: another thread may replace it
        if last is None or last[0] is not codec or last[1] is not level:
            last = self._last = (codec, level, self.root / level_folder(codec, level))
        return last[2] / f"{image}.bin"

    def get(self, path: Path) -> bytes | None:
        """The bytes stored at a path, or None if there are none or they are damaged.

        Raises:
            StoreError: they were stored under another name, or cannot be read.
        """
        with store_errors(path, "be read"):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
        content, footer = data[:-_FOOTER_BYTES], data[-_FOOTER_BYTES:]
        if hashlib.sha256(content).digest() != footer:
            return None
        body, name = content[:-_NAME_BYTES], content[-_NAME_BYTES:]
        if not name.startswith(_NAMED):
            return content
        if name != self._name_part(path):
            raise StoreError(
                f"{path}: was stored under another name, so it belongs to another image or level; "
                "delete it and run again"
            )
        return body

    def put(self, path: Path, body: bytes) -> None:
        """Store bytes at a path. Raises StoreError."""
        with store_errors(path.parent, "be made"):
            path.parent.mkdir(parents=True, exist_ok=True)
        content = body + self._name_part(path)
        write_atomic(path, content + hashlib.sha256(content).digest(), sync=False)

    def _name_part(self, path: Path) -> bytes:
        name = f"{self.root.name}/{path.relative_to(self.root).as_posix()}"
        return _NAMED + hashlib.sha256(name.encode()).digest()

    def size_bytes(self) -> int:
        """Disk space of all blobs. Raises StoreError."""
        with store_errors(self.root, "be read"):
            return sum(path.stat().st_size for path in self.root.glob("*/*/*.bin"))


def level_folder(codec: Component, level: Level) -> str:
    """`codec-0123456789ab/level`: the place of a level's images, below a folder of all codecs."""
    identity = digest([digest(codec), digest(level.identity)])[:12]
    return f"{_slug(codec.name)}-{identity}/{_slug(level.name)}"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:40].lstrip(".") or "_"
