"""The cells of a run directory with their names in tables. Records are read when they are used."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eyechart.analysis.labels import Labels
from eyechart.core.identity import canonical_json
from eyechart.core.records import USUAL_FACTS, Cell, CodecFacts, Failure, Record
from eyechart.core.types import LONG_SIDE, Json
from eyechart.store import AnsweredQuestion, CellIndex, Store, StoredCell, TaskSize

_RESTORED = " restored"  # after the label of a codec whose receiver restores the size


@dataclass(frozen=True, slots=True, kw_only=True)
class CellData:
    """A cell, its names in tables, and its stored records and failures."""

    cell: Cell
    key: str
    vlm: str
    adapter: str  # "" without
    task: str
    codec: str
    records: Sequence[Record]
    failures: Sequence[Failure]
    asked: TaskSize | None  # planned questions and images, if stored
    facts: CodecFacts = USUAL_FACTS  # of the codec


class StoredRecords(Sequence[Record]):
    """The records of a stored cell. Each iteration reads them from the disk, and holds those of
    one cell only. The count is known from the cell's index. Every use raises StoreError."""

    def __init__(self, stored: StoredCell) -> None:
        self._stored = stored
        self._count: int | None = None
        self._failures: tuple[Failure, ...] = ()

    def __bool__(self) -> bool:
        return self._stored.has_records() if self._count is None else self._count > 0

    def __len__(self) -> int:
        if self._count is None:
            self._note(self._stored.index())
        return self._count or 0

    def __iter__(self) -> Iterator[Record]:
        records, index = self._stored.read(Record)
        self._note(index)
        return iter(records)

    def __getitem__(self, place: Any) -> Any:
        return list(self)[place]

    def without_answers(self) -> list[AnsweredQuestion]:
        """What scores and rates are computed from."""
        records, index = self._stored.read(AnsweredQuestion)
        self._note(index)
        return records

    def of(self, question_ids: Collection[str]) -> list[Record]:
        """The records of some questions."""
        return self._stored.records_of(question_ids)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Of the questions without an answer."""
        len(self)
        return self._failures

    def _note(self, index: CellIndex) -> None:
        self._count, self._failures = len(index.answered), index.failures


class StoredFailures(Sequence[Failure]):
    """The failures of a stored cell, known from its index. Every use raises StoreError."""

    def __init__(self, records: StoredRecords) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records.failures)

    def __getitem__(self, place: Any) -> Any:
        return self._records.failures[place]


def read_cells(store: Store) -> list[CellData]:
    """All cells in the order of `Store.cells`, without their records. Raises StoreError."""
    stored = store.cells()
    cells = [item.cell for item in stored]
    vlms = Labels(cell.vlm for cell in cells)
    adapters = Labels(cell.adapter for cell in cells if cell.adapter)
    tasks = Labels(cell.task for cell in cells)
    codecs = Labels((cell.codec for cell in cells), quiet={"restore"})
    # Where all sizes are restored, or none is, the size in the label says enough.
    both = len({cell.codec.options.get("restore") for cell in cells} - {None}) > 1
    return [
        CellData(
            cell=item.cell,
            key=item.key,
            # Answers from a choice set are a separate protocol: never in one row with free ones.
            vlm=vlms.of(item.cell.vlm) + (" (choice set)" if item.cell.decoding.choice_set else ""),
            adapter=adapters.of(item.cell.adapter),
            task=tasks.of(item.cell.task),
            codec=_codec_label(codecs.of(item.cell.codec), item.cell, both=both),
            records=records,
            failures=StoredFailures(records),
            asked=item.asked(),
            facts=item.facts,
        )
        for item, records in ((item, StoredRecords(item)) for item in stored)
    ]


def without_answers(records: Sequence[Record]) -> Sequence[Record | AnsweredQuestion]:
    """What scores and rates of a cell's records are computed from. Raises StoreError."""
    return records.without_answers() if isinstance(records, StoredRecords) else list(records)


def records_of(read: CellData, question_ids: Collection[str]) -> list[Record]:
    """The records of some questions of a cell. Raises StoreError."""
    if isinstance(read.records, StoredRecords):
        return read.records.of(question_ids)
    return [record for record in read.records if record.question_id in question_ids]


def _codec_label(label: str, cell: Cell, *, both: bool) -> str:
    """The codec's label; `jpeg@768` for images with a longer side of 768 pixels, because each size
    has a curve of its own. both: restored sizes and others must be told apart."""
    size = cell.level.knobs.get(LONG_SIDE)
    sized = label if size is None else f"{label}@{size}"
    return f"{sized}{_RESTORED}" if both and cell.codec.options.get("restore") else sized


def joined_sizes(cells: Sequence[CellData]) -> list[CellData]:
    """The cells with a curve for each setting of a codec over its sizes (`jpeg q75`), instead of
    one for each size over its settings. A level of the original size belongs to the curve of its
    setting, if there is one."""
    curves: dict[str, str] = {}  # setting at any size -> curve
    for read in sorted(cells, key=lambda read: read.cell.codec.options.get("restore") is True):
        if LONG_SIDE in read.cell.level.knobs:
            codec = read.codec.replace(f"@{read.cell.level.knobs[LONG_SIDE]}", "")
            name = f"{codec} {read.cell.level.name.rpartition('@')[0]}"
            curves.setdefault(_setting(read, read.cell.codec.options), name)
            curves.setdefault(_setting(read, {}), name)
    return [
        replace(read, codec=curves.get(_setting(read, options)) or read.codec)
        for read in cells
        for options in [read.cell.codec.options if LONG_SIDE in read.cell.level.knobs else {}]
    ]


def _setting(read: CellData, options: Mapping[str, Json]) -> str:
    """The codec, its options as far as they are given, and the setting of a level without its
    size."""
    knobs = {name: value for name, value in read.cell.level.knobs.items() if name != LONG_SIDE}
    return canonical_json([read.cell.codec.name, options, knobs])


def cell_label(read: CellData) -> str:
    """A cell in messages: VLM, adapter, task, codec and level."""
    parts = (read.vlm, read.adapter, read.task, read.codec, read.cell.level.name)
    return " ".join(part for part in parts if part)


def planned_levels(cells: Iterable[CellData]) -> dict[str, int]:
    """Codec -> how many of its levels were answered or are to be asked."""
    levels: defaultdict[str, set[str]] = defaultdict(set)
    for read in cells:
        if read.records or read.asked is not None:
            levels[read.codec].add(read.cell.level.name)
    return {codec: len(names) for codec, names in levels.items()}


def failure_counts(cells: Iterable[CellData]) -> tuple[tuple[str, int], ...]:
    """Kinds of failures and their counts, most frequent first, also of cells without answers."""
    counts = Counter(
        f"{read.codec} {failure.stage}: {failure.kind}"
        for read in cells
        for failure in read.failures
    )
    return tuple(counts.most_common())
