"""The cells of a run directory, read once, with the names that tables show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eyechart.analysis.labels import Labels
from eyechart.core.types import Cell, Failure, Record, Reproducible
from eyechart.store import Store, TaskSize

SOURCE = "source"  # the codec that stands for "uncompressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellData:
    """A cell, its names in tables, and everything that is stored for it."""

    cell: Cell
    key: str
    vlm: str
    adapter: str  # "" without
    task: str
    codec: str
    records: Sequence[Record]
    failures: Sequence[Failure]
    asked: TaskSize | None  # how many questions and images were planned, where that is stored
    reproducible: Reproducible = "bitwise"  # whether the codec's images are equal on all devices


def read_cells(store: Store) -> list[CellData]:
    """All cells in the store's order, codecs by name with `source` first. Raises StoreError."""
    stored = store.cells()
    cells = [item.cell for item in stored]
    vlms = Labels(cell.vlm for cell in cells)
    adapters = Labels(cell.adapter for cell in cells if cell.adapter)
    tasks, codecs = Labels(cell.task for cell in cells), Labels(cell.codec for cell in cells)
    return [
        CellData(
            cell=item.cell,
            key=item.key,
            # Answers from a choice set are a separate protocol: never in one row with free ones.
            vlm=vlms.of(item.cell.vlm) + (" (choice set)" if item.cell.decoding.choice_set else ""),
            adapter=adapters.of(item.cell.adapter),
            task=tasks.of(item.cell.task),
            codec=codecs.of(item.cell.codec),
            records=item.records(),
            failures=item.failures(),
            asked=item.asked(),
            reproducible=item.reproducible,
        )
        for item in stored
    ]


def failure_counts(cells: Iterable[CellData]) -> tuple[tuple[str, int], ...]:
    """What failed and how often, the most frequent first; includes cells without any answer."""
    counts = Counter(
        f"{read.codec} {failure.stage}: {failure.kind}"
        for read in cells
        for failure in read.failures
    )
    return tuple(counts.most_common())
