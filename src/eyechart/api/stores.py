"""Run directories: merge several, drop cells of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eyechart.store.remote import reading, writing

if TYPE_CHECKING:
    from eyechart.runner.combine import MergeResult


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedCells:
    """Cells that were deleted, or would be, and the number of their answers."""

    cells: tuple[str, ...]
    answers: int


def merge_runs(
    run_directories: Sequence[str | Path], *, out: str | Path, data: str | Path | None = None
) -> MergeResult:
    """Merge the cells of run directories into one; answers that it has are kept.

    out: a new directory, or a run directory. data: folder with the tasks' files; None: that of the
    first directory.

    Returns the numbers of `cells`, of `records` added, and of those that were `known`.

    Raises:
        InputError: not a run directory, `out` among the others, two versions of a task's data or
            of a cell.
        StoreError: a damaged or locked directory, a full disk.

    Examples:
        >>> plan = {"vlms": "eyechart-mini", "tasks": "POPE", "codecs": "source", "max_images": 1}
        >>> for directory, task in (("out/a", "POPE"), ("out/b", "GQA")):
        ...     _ = eyechart.run(plan, out=directory, tasks=task, workers=0)
        >>> eyechart.merge_runs(["out/a", "out/b"], out="out/both").cells
        2
    """
    from eyechart.runner.combine import merge
    from eyechart.store import Store

    with ExitStack() as stack:
        stores = [
            Store(stack.enter_context(reading(path, images=lambda folder: True)))
            for path in run_directories
        ]
        target = Store(stack.enter_context(writing(out)))
        return merge(stores, target, data=None if data is None else str(data))


def drop_cells(
    run_directory: str | Path,
    *,
    vlm: str | None = None,
    adapter: str | None = None,
    task: str | None = None,
    codec: str | None = None,
    level: str | None = None,
    dry_run: bool = False,
    wait: bool = False,
) -> DroppedCells:
    """Delete the cells that match all given names, with their answers.

    adapter: `none` is the VLM without an adapter. dry_run: only say what would be deleted.
    wait: wait while a run writes to the directory, instead of raising.

    Raises:
        InputError: not a run directory, no name given, no such cell.
        StoreError: a run writes to the directory, a cell cannot be deleted.

    Examples:
        >>> plan = {"vlms": "eyechart-mini", "tasks": "POPE", "codecs": "source", "max_images": 1}
        >>> _ = eyechart.run(plan, out="out/c", workers=0)
        >>> eyechart.drop_cells("out/c", codec="source", dry_run=True).cells
        ('eyechart-mini none POPE source lossless',)
    """
    from eyechart.runner.combine import CellFilter, drop, names_of
    from eyechart.store import Store

    choice = CellFilter(vlm=vlm, adapter=adapter, task=task, codec=codec, level=level)
    with ExitStack() as stack:
        store = Store(stack.enter_context(writing(run_directory, wait=wait, images=False)))
        store.require()
        stack.enter_context(store.rewriting(wait=wait))
        chosen = choice.of(store.cells())
        answers = sum(len(stored.records()) for stored in chosen)
        if not dry_run:
            drop(store, chosen)
    cells = tuple(" ".join(filter(None, names_of(stored.cell).values())) for stored in chosen)
    return DroppedCells(cells=cells, answers=answers)
