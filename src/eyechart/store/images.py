"""Compressed and decoded images of a folder, found by codec, level and uncompressed image.

root / bitstreams, decoded / codec-0123456789ab / level / <image digest>.bin
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eyechart.core.types import Component, Level
from eyechart.store.blobs import Blobs


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image at a level: its bitstream, and its decoded image as a PNG file; None: not there."""

    payload: bytes | None = None
    png: bytes | None = None


class StoredImages:
    """Images at `root`. The constructor opens nothing."""

    def __init__(self, root: Path) -> None:
        self.bitstreams = Blobs(root / "bitstreams")
        self.decoded = Blobs(root / "decoded")

    def get(self, codec: Component, level: Level, image: str) -> StoredImage:
        """What is stored. image: `core.identity.image_digest`. Raises StoreError."""
        return StoredImage(
            payload=self.bitstreams.get(self.bitstreams.path(codec, level, image)),
            png=self.decoded.get(self.decoded.path(codec, level, image)),
        )

    def add(self, codec: Component, level: Level, image: str, new: StoredImage) -> None:
        """Store the parts that are not None. Raises StoreError."""
        for blobs, body in ((self.bitstreams, new.payload), (self.decoded, new.png)):
            if body is not None:
                blobs.put(blobs.path(codec, level, image), body)
