"""One cell on disk: its identity, its records, its failures.

cells/<first 16 digits of the key>/cell.json        the cell, canonical JSON
                                   asked.json       how much of its task it is to hold
                                   records.jsonl    one answered question a line
                                   failures.jsonl   one failed attempt a line
                                   index.json       derived: what is answered and what has failed

A line of records or failures ends in `"check"`, a CRC-32 of the cell's key and the rest of the
line: a line that was changed, or is another cell's, is noticed. Lines without it are read, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from eyechart.core.errors import StoreError, one_line
from eyechart.core.foreign import parse_json
from eyechart.core.hooks import checked_facts
from eyechart.core.identity import canonical_json, cell_key
from eyechart.core.kinds import fits
from eyechart.core.memory import collector_paused
from eyechart.core.records import USUAL_FACTS, Cell, CodecFacts, Failure, Record
from eyechart.core.types import Component, Decoding, Json, Level
from eyechart.store.answered import AnsweredQuestion
from eyechart.store.derived import (
    Snapshot,
    read_derived,
    read_snapshot,
    unchanged,
    write_derived,
)
from eyechart.store.files import (
    DAMAGED,
    append_lines,
    cut_torn_line,
    file_sha256,
    has_line,
    read_lines,
    sync_file,
    write_atomic,
)
from eyechart.store.lines import checked_values, damaged_line, parse_lines, with_check

_T = TypeVar("_T")
_R = TypeVar("_R", Record, AnsweredQuestion)
RECORDS, FAILURES = "records.jsonl", "failures.jsonl"
_INDEX_VERSION = 1  # raised when the meaning of `index.json` changes
_LONGEST_NUMBER = 18  # digits; Python refuses to read some thousands of them
# Fields of records that are left out where they are 0.
_UNKNOWN_IF_0 = (
    "shown_height_px",
    "shown_width_px",
    "visual_tokens",
    "answer_tokens",
    "input_tokens",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSize:
    """Number of questions and images that a run plans for a cell."""

    questions: int
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellIndex:
    """What a cell holds, without its answers.

    answered: ids of the answered questions. failures: the last failure of every question that has
    no answer. Both are ordered by question id.
    content: sha256 (hex) of the files of records and failures.
    """

    answered: tuple[str, ...]
    failures: tuple[Failure, ...]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredIndex:
    """The content of `index.json`. records, failures: states of the files that it was made from."""

    version: int
    records: Any
    failures: Any
    index: CellIndex


class StoredCell:
    """A cell with its folder. Reading is safe while a run appends.

    facts: of its codec; not part of the identity. new: its files may not be on the disk yet.
    """

    def __init__(
        self, path: Path, cell: Cell, facts: CodecFacts = USUAL_FACTS, *, new: bool = False
    ) -> None:
        self.path, self.cell, self.facts = path, cell, facts
        self._new = new

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
        """Store the planned size, under a lease. A smaller later run does not reduce it. It is on
        the disk after `sync`. Raises StoreError.
        """
        before = self.asked()
        if before is None or size.questions > before.questions:
            line = f"{canonical_json(size)}\n".encode()
            write_atomic(self.path / "asked.json", line, sync=False)
            self._new = True

    def records(self) -> list[Record]:
        """Every answered question once, ordered by question id. Raises StoreError."""
        return self._records(read_snapshot(self.path / RECORDS), Record)

    def records_of(self, question_ids: Collection[str]) -> list[Record]:
        """The records of some questions, without reading the others. Raises StoreError."""
        data = read_snapshot(self.path / RECORDS).data
        marks = [f'"question_id":{canonical_json(one)}'.encode() for one in question_ids]
        lines = [line for line in data.splitlines(True) if any(mark in line for mark in marks)]
        try:
            found = self._records(Snapshot(data=b"".join(lines), state=None), Record)
        except StoreError:
            found = self.records()  # names the line
        return [record for record in found if record.question_id in question_ids]

    def failures(self) -> list[Failure]:
        """The last failure of every question that has no answer, ordered by question id."""
        found = self._failures(read_snapshot(self.path / FAILURES))
        if found:
            for record in self.records():
                found.pop(record.question_id, None)
        return sorted(found.values(), key=lambda failure: _natural(failure.question_id))

    def read(self, kind: type[_R]) -> tuple[list[_R], CellIndex]:
        """The records, as `records`, whole or without answers, and the index, which is kept. Raises
        StoreError."""
        answers, lost = read_snapshot(self.path / RECORDS), read_snapshot(self.path / FAILURES)
        records, failures = self._records(answers, kind), self._failures(lost)
        for record in records:
            failures.pop(record.question_id, None)
        left = sorted(failures.values(), key=lambda failure: _natural(failure.question_id))
        index = CellIndex(
            answered=tuple(record.question_id for record in records),
            failures=tuple(left),
            content=_content(sha256(one.data).digest() for one in (answers, lost)),
        )
        if answers.state is not None or lost.state is not None:
            fields: dict[str, Json] = {
                "version": _INDEX_VERSION,
                "records": answers.state,
                "failures": lost.state,
                "index": {
                    "answered": index.answered,
                    "failures": [asdict(failure) for failure in index.failures],
                    "content": index.content,
                },
            }
            write_derived(self._index_path, fields)
        return records, index

    def index(self) -> CellIndex:
        """What the cell holds. The records are read only if they have changed. Raises
        StoreError."""
        return self._known_index() or self.read(AnsweredQuestion)[1]

    def content(self) -> str:
        """`CellIndex.content` of the present files. Raises StoreError."""
        known = self._known_index()
        if known is not None:
            return known.content
        return _content(file_sha256(self.path / name) for name in (RECORDS, FAILURES))

    def has_records(self) -> bool:
        """Whether any question is answered. Raises StoreError."""
        return has_line(self.path / RECORDS)

    @property
    def _index_path(self) -> Path:
        return self.path / "index.json"

    def _known_index(self) -> CellIndex | None:
        """The stored index, if the files that it was made from have not changed."""
        found = read_derived(self._index_path, _StoredIndex)
        if found is None:
            return None
        stored, written_ns = found
        if stored.version != _INDEX_VERSION:
            return None
        for name, state in ((RECORDS, stored.records), (FAILURES, stored.failures)):
            if not unchanged(self.path / name, state, written_ns):
                return None
        return stored.index

    def _records(self, snapshot: Snapshot, kind: type[_R]) -> list[_R]:
        with collector_paused():
            built = None if kind is Record else checked_values(snapshot.data, self.key, kind)
            if built is None:  # also if a line is damaged, which is named here
                whole = self._built_from(RECORDS, snapshot, Record, _check_record)
                built = msgspec.convert(whole, list[kind], from_attributes=True)  # type: ignore[valid-type]
            # The first one of a question counts.
            found = {record.question_id: record for record in reversed(built)}
            return [found[question_id] for question_id in sorted(found, key=_natural)]

    def _failures(self, snapshot: Snapshot) -> dict[str, Failure]:
        built = self._built_from(FAILURES, snapshot, Failure)
        return {failure.question_id: failure for failure in built}

    def recover(self) -> None:
        """Cut off a half-written last line. Call it once, under a lease, before appending."""
        cut_torn_line(self.path / RECORDS)
        cut_torn_line(self.path / FAILURES)

    def append_records(self, records: Iterable[Record]) -> None:
        """Append answered questions. They survive a kill at once, a power cut after `sync`.

        Raises StoreError.
        """
        append_lines(self.path / RECORDS, map(self._line, records))

    def append_failures(self, failures: Iterable[Failure]) -> None:
        """Add failed attempts. Raises StoreError."""
        append_lines(self.path / FAILURES, map(self._line, failures))

    def sync(self) -> None:
        """Wait until the cell and all appended lines are on the disk. Raises StoreError."""
        if self._new:
            sync_file(self.path / "cell.json")
            sync_file(self.path / "asked.json")
            self._new = False
        sync_file(self.path / RECORDS)
        sync_file(self.path / FAILURES)

    def replace_records(self, records: Sequence[Record]) -> None:
        """Put new records in place of all old ones, in one step. Raises StoreError."""
        lines = "".join(f"{self._line(record)}\n" for record in records)
        write_atomic(self.path / RECORDS, lines.encode())

    def _line(self, item: Record | Failure) -> str:
        # What cannot be written (a lone surrogate) is replaced before the check is computed.
        values = ((name, getattr(item, name)) for name in item.__slots__)  # all of them plain
        fields = {name: value for name, value in values if value or name not in _UNKNOWN_IF_0}
        line = canonical_json(fields).encode("utf-8", "replace").decode()
        return with_check(line, self.key)

    def _built_from(
        self,
        name: str,
        snapshot: Snapshot,
        kind: type[_T],
        check: Callable[[_T], None] = lambda value: None,
    ) -> list[_T]:
        path = self.path / name
        read = checked_values(snapshot.data, self.key, kind)
        rows = parse_lines(path, snapshot.data, self.key) if read is None else read
        built: list[_T] = []
        for number, row in enumerate(rows, start=1):
            try:
                value = _built(kind, row) if read is None else row
                check(value)
            except DAMAGED as error:
                raise damaged_line(path, number, error) from error
            built.append(value)
        return built


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
    """The facts as fields of `cell.json`; older cells have only `reproducible`."""
    known = {
        "adapted_from": facts.adapted_from,
        "category": facts.category,
        "chroma": facts.chroma,
    }
    return {"reproducible": facts.reproducible} | {key: v for key, v in known.items() if v}


def facts_from_json(value: Any) -> CodecFacts:
    """The facts from the fields of `cell.json`. Raises KeyError, TypeError, ValueError on other
    values."""
    return checked_facts(
        CodecFacts(
            reproducible=value["reproducible"],
            adapted_from=value.get("adapted_from", ""),
            category=value.get("category", ""),
            chroma=value.get("chroma", ""),
        )
    )


def _task_size(value: Any) -> TaskSize:
    size = TaskSize(**value)
    for count in (size.questions, size.images):
        if not fits(count, int) or count < 0:
            raise ValueError(f"{count!r} is not a count")
    return size


def _check_record(record: Record) -> None:
    if not isfinite(record.value):
        raise ValueError(f"value is {record.value}")
    # A loop over the names would take longer than reading the record.
    if (
        record.height_px < 1
        or record.width_px < 1
        or record.payload_bytes < 0
        or record.shown_height_px < 0
        or record.shown_width_px < 0
        or record.visual_tokens < 0
        or record.answer_tokens < 0
        or record.input_tokens < 0
    ):
        raise ValueError("a size is below its least value")


def _built(kind: type[_T], row: Any) -> _T:
    """A record or failure with values of the right kinds. Raises TypeError, ValueError."""
    kind(**row)  # refuses a name that is no field's, such as a changed "check"
    if isinstance(row.get("value"), bool):  # of a scorer that compares
        row = {**row, "value": float(row["value"])}
    return msgspec.convert(row, kind)


def _content(digests: Iterable[bytes]) -> str:
    return sha256(b"".join(digests)).hexdigest()


@lru_cache(maxsize=1 << 16)  # most cells ask the same questions
def _natural(question_id: str) -> tuple[int, str]:
    """Sort key of ids, which are usually row numbers as text: 9 before 10."""
    number = question_id.isdecimal() and len(question_id) <= _LONGEST_NUMBER
    return (int(question_id) if number else -1, question_id)
