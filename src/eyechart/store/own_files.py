"""What the user's own files of a check are: DIR/own_files.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from eyechart.core.files import is_file
from eyechart.core.foreign import parse_json
from eyechart.core.identity import canonical_json
from eyechart.core.kinds import fits
from eyechart.core.units import counted
from eyechart.store.files import DAMAGED, read_lines, write_atomic

FILE_NAME = "own_files.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFiles:
    """Files of a check. mean_bytes: mean size. jpeg_qualities: of the JPEG files among them, from
    their tables, sorted. sizes: bytes by the image's path; older checks have none.
    read_s: mean seconds to read and decode a file, None if unknown."""

    files: int
    mean_bytes: float
    jpeg_qualities: Sequence[int] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    read_s: float | None = None

    def __str__(self) -> str:
        """`12 files of 840.2 kB on average, 10 of them JPEG at quality 85 to 95`."""
        text = f"{counted(self.files, 'file')} of {self.mean_bytes / 1000:.1f} kB on average"
        if not self.jpeg_qualities:
            return text
        quality = quality_range(self.jpeg_qualities)
        return f"{text}, {len(self.jpeg_qualities):,} of them JPEG at quality {quality}"

    @property
    def format(self) -> str:
        """`JPEG 85 to 95` if all are JPEG files, else ""."""
        alike = len(self.jpeg_qualities) == self.files
        return f"JPEG {quality_range(self.jpeg_qualities)}" if alike else ""


def quality_range(qualities: Sequence[int]) -> str:
    """`85 to 95`, or `85`."""
    low, high = min(qualities), max(qualities)
    return f"{low}" if low == high else f"{low} to {high}"


def write_own_files(root: Path, own: OwnFiles) -> None:
    """Store it in a run directory. Raises StoreError."""
    write_atomic(root / FILE_NAME, f"{canonical_json(asdict(own))}\n".encode())


def read_own_files(root: Path) -> OwnFiles | None:
    """That of a run directory; None without one, or with a damaged one. Raises StoreError."""
    path = root / FILE_NAME
    if not is_file(path):
        return None
    try:
        own = OwnFiles(**parse_json("\n".join(read_lines(path))))
        whole = all(fits(one, int) for one in [*own.jpeg_qualities, *own.sizes.values()])
        timed = own.read_s is None or (fits(own.read_s, float) and own.read_s >= 0)
        return own if own.files > 0 and own.mean_bytes > 0 and whole and timed else None
    except DAMAGED:
        return None
