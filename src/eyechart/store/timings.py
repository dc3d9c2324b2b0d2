"""Seconds that images and questions of a cell took, in DIR/timings.jsonl.

They differ between equal runs and are no part of a record. A line is a sum over one turn of a VLM;
those of a cell add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from eyechart.core.foreign import parse_json
from eyechart.core.identity import canonical_json
from eyechart.core.kinds import fits
from eyechart.store.files import DAMAGED, append_lines, read_lines

FILE_NAME = "timings.jsonl"


@dataclass(slots=True, kw_only=True)
class Timing:
    """Sums of seconds, and over how many images (encoded, decoded) and questions (answered)."""

    encode_s: float = 0.0
    encoded: int = 0
    decode_s: float = 0.0
    decoded: int = 0
    answer_s: float = 0.0
    answered: int = 0

    def add(self, other: Timing) -> None:
        """Add the sums of another one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def mean_encode_s(self) -> float | None:
        """Seconds to encode an image; None if none was encoded."""
        return self.encode_s / self.encoded if self.encoded else None

    @property
    def mean_decode_s(self) -> float | None:
        """Seconds to decode an image; None if none was decoded."""
        return self.decode_s / self.decoded if self.decoded else None

    @property
    def mean_answer_s(self) -> float | None:
        """Seconds to answer a question; None if none was timed."""
        return self.answer_s / self.answered if self.answered else None


def append_timings(root: Path, timings: Mapping[str, Timing]) -> None:
    """Add the timings of cells, by key, to those of a run directory. Raises StoreError."""
    lines = [canonical_json({"cell": key, **asdict(timing)}) for key, timing in timings.items()]
    append_lines(root / FILE_NAME, lines)


def read_timings(root: Path) -> dict[str, Timing]:
    """Timings by cell. A damaged line is left out, because results do not depend on it.

    Raises StoreError: the file cannot be read.
    """
    found: dict[str, Timing] = {}
    for line in read_lines(root / FILE_NAME):
        try:
            value = parse_json(line)
            numbers = {name: value[name] for name in asdict(Timing())}
            if all(fits(number, float) for number in numbers.values()):
                found.setdefault(str(value["cell"]), Timing()).add(Timing(**numbers))
        except DAMAGED:
            continue
    return found
