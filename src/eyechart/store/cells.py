"""One cell on disk: its identity, its records, its failures.

cells/<first 16 digits of the key>/cell.json        the cell, canonical JSON
                                   asked.json       how much of its task it is to hold
                                   records.jsonl    one answered question a line
                                   failures.jsonl   one failed attempt a line

A line of records or failures ends in `"check"`, a CRC-32 of the cell's key and the rest of the
line: a line that was changed, or is another cell's, is noticed. Lines without it are read, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from eyechart.core.errors import StoreError, one_line
from eyechart.core.foreign import parse_json
from eyechart.core.hooks import checked_facts
from eyechart.core.identity import canonical_json, cell_key
from eyechart.core.kinds import fits
from eyechart.core.types import (
    USUAL_FACTS,
    Cell,
    CodecFacts,
    Component,
    Decoding,
    Failure,
    Json,
    Level,
    Record,
)
from eyechart.store.files import (
    DAMAGED,
    append_lines,
    cut_torn_line,
    read_lines,
    sync_file,
    write_atomic,
)

_T = TypeVar("_T")
_CHECK = ',"check":'
_LONGEST_NUMBER = 18  # digits; Python refuses to read some thousands of them
# Fields of records that are left out where they are 0.
_UNKNOWN_IF_0 = ("shown_height_px", "shown_width_px", "visual_tokens", "answer_tokens")
_KINDS: dict[type, tuple[tuple[str, type | tuple[type, ...]], ...]] = {
    Record: (
        *((name, str) for name in ("question_id", "image", "answer", "parsed_answer")),
        *((name, int) for name in ("payload_bytes", "height_px", "width_px")),
        *((name, int) for name in _UNKNOWN_IF_0),
        *((name, bool) for name in ("parsed", "truncated")),
        ("value", (int, float)),
    ),
    Failure: (
        *((name, str) for name in ("question_id", "image", "stage", "kind", "message")),
        ("retryable", bool),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSize:
    """Number of questions and images that a run plans for a cell."""

    questions: int
    images: int


class StoredCell:
    """A cell with its folder. Reading is safe while a run appends.

    facts: of its codec; not part of the identity.
    """

    def __init__(self, path: Path, cell: Cell, facts: CodecFacts = USUAL_FACTS) -> None:
        self.path, self.cell, self.facts = path, cell, facts

    @cached_property
    def key(self) -> str:
        """The cell's full identity (64 hex digits)."""
        return cell_key(self.cell)

    @property
    def label(self) -> str:
        """What the cell is apart from versions and the token limit: cells of one label are not
        shown together."""
        cell = self.cell
        parts = (cell.vlm, cell.adapter, cell.task, cell.codec)
        named = [None if part is None else [part.name, part.options] for part in parts]
        return canonical_json([*named, cell.level.name, cell.decoding.choice_set])

    def asked(self) -> TaskSize | None:
        """The largest size that a run has planned; None without one. Raises StoreError."""
        path = self.path / "asked.json"
        lines = read_lines(path)
        try:
            return _task_size(parse_json(lines[0])) if lines else None
        except DAMAGED as error:
            why = one_line(error, 100)
            raise StoreError(f"{path}: damaged ({why}); delete it and run again") from error

    def check_asked(self, questions: int) -> None:
        """Check that the size is within the number of questions of the task. Raises StoreError."""
        asked = self.asked()
        if asked is not None and asked.questions > questions:
            raise StoreError(
                f"{self.path / 'asked.json'}: damaged (says {asked.questions:,} questions, the "
                f"task has {questions:,}); delete it and run again"
            )

    def ask(self, size: TaskSize) -> None:
        """Store the planned size, under a lease. A smaller later run does not reduce it.

        Raises StoreError.
        """
        before = self.asked()
        if before is None or size.questions > before.questions:
            write_atomic(self.path / "asked.json", f"{canonical_json(size)}\n".encode())

    def records(self) -> list[Record]:
        """Every answered question once, ordered by question id. Raises StoreError."""
        found: dict[str, Record] = {}
        for record in self._read("records.jsonl", _record):
            found.setdefault(record.question_id, record)
        return sorted(found.values(), key=lambda record: _natural(record.question_id))

    def failures(self) -> list[Failure]:
        """The last failure of every question that has no answer, ordered by question id."""
        found = {
            failure.question_id: failure
            for failure in self._read("failures.jsonl", lambda row: _built(Failure, row))
        }
        if found:
            for record in self.records():
                found.pop(record.question_id, None)
        return sorted(found.values(), key=lambda failure: _natural(failure.question_id))

    def recover(self) -> None:
        """Cut off a half-written last line. Call it once, under a lease, before appending."""
        cut_torn_line(self.path / "records.jsonl")
        cut_torn_line(self.path / "failures.jsonl")

    def append_records(self, records: Iterable[Record]) -> None:
        """Append answered questions. They survive a kill at once, a power cut after `sync`.

        Raises StoreError.
        """
        append_lines(self.path / "records.jsonl", map(self._line, records))

    def append_failures(self, failures: Iterable[Failure]) -> None:
        """Add failed attempts. Raises StoreError."""
        append_lines(self.path / "failures.jsonl", map(self._line, failures))

    def sync(self) -> None:
        """Wait until all appended lines are on the disk. Raises StoreError."""
        sync_file(self.path / "records.jsonl")
        sync_file(self.path / "failures.jsonl")

    def replace_records(self, records: Sequence[Record]) -> None:
        """Put new records in place of all old ones, in one step. Raises StoreError."""
        lines = "".join(f"{self._line(record)}\n" for record in records)
        write_atomic(self.path / "records.jsonl", lines.encode())

    def _line(self, item: Record | Failure) -> str:
        # What cannot be written (a lone surrogate) is replaced before the check is computed.
        fields = {key: v for key, v in asdict(item).items() if v or key not in _UNKNOWN_IF_0}
        line = canonical_json(fields).encode("utf-8", "replace").decode()
        return line[:-1] + self._check(line)

    def _check(self, line: str) -> str:
        return f'{_CHECK}"{crc32(f"{self.key}{line}".encode()):08x}"}}'

    def _read(self, name: str, build: Callable[[Any], _T]) -> Iterable[_T]:
        path = self.path / name
        for number, line in enumerate(read_lines(path), start=1):
            try:
                start = line.rfind(_CHECK)
                if start > 0:
                    line, check = f"{line[:start]}}}", line[start:]
                    if check != self._check(line):
                        raise ValueError("it was changed, or is another cell's")
                yield build(parse_json(line))
            except DAMAGED as error:
                raise StoreError(
                    f"{path}: line {number} is damaged ({one_line(error, 100)}); "
                    "delete that line and run again to ask its question again"
                ) from error


def cell_from_json(value: Any) -> Cell:
    """The cell from the JSON of `canonical_json`. Raises KeyError, TypeError, ValueError on other
    values."""
    decoding = value["decoding"]
    cell = Cell(
        task=Component(**value["task"]),
        codec=Component(**value["codec"]),
        level=Level(**value["level"]),
        vlm=Component(**value["vlm"]),
        adapter=None if value["adapter"] is None else Component(**value["adapter"]),
        decoding=Decoding(
            max_new_tokens=decoding["max_new_tokens"],
            choice_set=decoding["choice_set"],
        ),
    )
    if not fits(cell.level.rank, int):  # the only field that is not part of the cell's key
        raise ValueError(f"rank is {cell.level.rank!r}")
    return cell


def facts_json(facts: CodecFacts) -> dict[str, Json]:
    """The facts as fields of `cell.json`; older cells have no `adapted_from` and no `category`."""
    known = {"adapted_from": facts.adapted_from, "category": facts.category}
    return {"reproducible": facts.reproducible} | {key: v for key, v in known.items() if v}


def facts_from_json(value: Any) -> CodecFacts:
    """The facts from the fields of `cell.json`. Raises KeyError, TypeError, ValueError on other
    values."""
    return checked_facts(
        CodecFacts(
            reproducible=value["reproducible"],
            adapted_from=value.get("adapted_from", ""),
            category=value.get("category", ""),
        )
    )


def _task_size(value: Any) -> TaskSize:
    size = TaskSize(**value)
    for count in (size.questions, size.images):
        if not fits(count, int) or count < 0:
            raise ValueError(f"{count!r} is not a count")
    return size


def _record(row: Any) -> Record:
    record = _built(Record, row)
    if not isfinite(record.value):
        raise ValueError(f"value is {record.value}")
    least = min(getattr(record, name) for name in ("payload_bytes", *_UNKNOWN_IF_0))
    if least < 0 or record.height_px < 1 or record.width_px < 1:
        raise ValueError("a size is below its least value")
    return record


def _built(kind: type[_T], row: Any) -> _T:
    """A record or failure with values of the right kinds. Raises TypeError, ValueError.

    `core.kinds.fits` would take longer than all the rest of an analysis.
    """
    value = kind(**row)
    for name, wanted in _KINDS[kind]:
        if not isinstance(getattr(value, name), wanted):
            raise ValueError(f"{name} is {getattr(value, name)!r}")
    return value


def _natural(question_id: str) -> tuple[int, str]:
    """Sort key of ids, which are usually row numbers as text: 9 before 10."""
    number = question_id.isdecimal() and len(question_id) <= _LONGEST_NUMBER
    return (int(question_id) if number else -1, question_id)
