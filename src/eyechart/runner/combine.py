"""Merging run directories, and deleting cells."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.records import Cell
from eyechart.runner.same_data import refuse_other_data
from eyechart.store import RunInfo, Store, StoredCell
from eyechart.store.files import append_lines, read_lines, store_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeResult:
    """Numbers of merged cells and answers. known: answers that the directory already had."""

    cells: int
    records: int
    known: int


def merge(sources: Sequence[Store], out: Store, *, data: str | None = None) -> MergeResult:
    """Merge the cells of several run directories into `out`, a run directory or a new one.

    A question with an answer in `out` keeps it. Bitstreams and quality values are copied; decoded
    images are not, because they can be made again. After an interruption, the same call continues.

    data: the folder with the tasks' files; None: that of the first directory.
    Raises:
        InputError: not a run directory, `out` among the sources, two versions of a task's data or
            of a cell.
        StoreError: a damaged or locked directory, a full disk.
    """
    for source in sources:
        source.require()
        if source.root.resolve() == out.root.resolve():
            raise InputError(f"{out.root}: is one of the directories to merge; choose another")
    info = sources[0].info()
    place = data or info.data
    stores = [*([out] if out.is_run() else []), *sources]
    cells = {store.root: store.cells() for store in stores}
    _refuse_two_versions(cells)
    for store in stores:
        refuse_other_data(store, [], place)
    out.create()
    brought = known = 0
    counting: dict[str, StoredCell] = {}
    with out.rewriting():
        title = out.info().title or info.title
        out.write_info(RunInfo(title=title, data=place))
        for store in sources:
            for cell in _as_planned(store, cells[store.root]):
                into = counting[cell.key] = out.add(cell.cell, cell.facts)
                new, old = _copy_answers(cell, into)
                brought, known = brought + new, known + old
            _copy_bitstreams(store, out)
            store.quality.copy_to(out.quality)
            for name in (
                *("costs.jsonl", "servers.jsonl", "timings.jsonl", "vlms.jsonl"),
                "commands.txt",
            ):
                append_lines(out.root / name, _new_lines(store, out, name))
        out.make_current(counting.values())
    return MergeResult(cells=len(counting), records=brought, known=known)


def _as_planned(store: Store, cells: Sequence[StoredCell]) -> list[StoredCell]:
    order = store.plan_order()
    return sorted(cells, key=lambda cell: order.get(cell.key, len(order)))


def _refuse_two_versions(cells: dict[Path, list[StoredCell]]) -> None:
    """Refuse two versions of a cell that a table would show as one. Raises InputError."""
    first: dict[str, tuple[Path, StoredCell]] = {}
    for root, own in cells.items():
        for stored in own:
            where, other = first.setdefault(stored.label, (root, stored))
            if other.key != stored.key:
                raise InputError(
                    f"{where} and {root}: two versions of one cell ({_differing(other, stored)}); "
                    "keep them in two directories"
                )


def _differing(one: StoredCell, other: StoredCell) -> str:
    for kind in ("task", "codec", "vlm", "adapter"):
        versions = [getattr(cell.cell, kind) for cell in (one, other)]
        if versions[0] != versions[1]:
            named = versions[0] or versions[1]
            return f"{kind} {named.name} {versions[0].version} and {versions[1].version}"
    if one.cell.level.identity != other.cell.level.identity:
        return f"{one.cell.codec.name} level {one.cell.level.name} with other settings or weights"
    limits = [str(cell.cell.decoding.max_new_tokens) for cell in (one, other)]
    return f"token limits {' and '.join(limits)}"


def _copy_answers(cell: StoredCell, into: StoredCell) -> tuple[int, int]:
    """Copy a cell's answers; -> number of answers added, number of those that existed."""
    into.recover()
    held = {record.question_id for record in into.records()}
    records = cell.records()
    new = [record for record in records if record.question_id not in held]
    noted = set(into.failures())
    into.append_failures(failure for failure in cell.failures() if failure not in noted)
    into.append_records(new)
    if (asked := cell.asked()) is not None:
        into.ask(asked)
    into.sync()
    return len(new), len(records) - len(new)


def _copy_bitstreams(source: Store, out: Store) -> None:
    for path in sorted(source.images.bitstreams.root.glob("*/*/*.bin")):
        target = out.images.bitstreams.root / path.relative_to(source.images.bitstreams.root)
        if target.exists() or (payload := source.images.bitstreams.get(path)) is None:
            continue
        out.images.bitstreams.put(target, payload)


def _new_lines(source: Store, out: Store, name: str) -> list[str]:
    held = set(read_lines(out.root / name))
    return [line for line in read_lines(source.root / name) if line not in held]


_KINDS = ("vlm", "adapter", "task", "codec", "level")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFilter:
    """A choice of cells by all given names. adapter: `none` is the VLM without an adapter."""

    vlm: str | None = None
    adapter: str | None = None
    task: str | None = None
    codec: str | None = None
    level: str | None = None

    def fits(self, cell: Cell) -> bool:
        """Whether a cell is chosen."""
        return all(
            wanted is None or wanted == name
            for wanted, name in zip(self._wanted, names_of(cell).values(), strict=True)
        )

    @property
    def _wanted(self) -> tuple[str | None, ...]:
        return (self.vlm, self.adapter, self.task, self.codec, self.level)

    def of(self, cells: Sequence[StoredCell]) -> list[StoredCell]:
        """The chosen cells. Raises InputError: no name given, an unknown name, no such cell."""
        if not any(wanted is not None for wanted in self._wanted):
            raise InputError("name a vlm, adapter, task, codec or level")
        for kind, wanted in zip(_KINDS, self._wanted, strict=True):
            known = sorted({names_of(stored.cell)[kind] for stored in cells})
            if wanted is not None and wanted not in known:
                raise InputError(f"no cell of {kind} {wanted!r}; {plugins.near(wanted, known)}")
        found = [stored for stored in cells if self.fits(stored.cell)]
        if not found:
            raise InputError("no cell fits all of these names")
        return found


def names_of(cell: Cell) -> dict[str, str]:
    """The names of a cell that a `CellFilter` compares."""
    return {
        "vlm": cell.vlm.name,
        "adapter": "none" if cell.adapter is None else cell.adapter.name,
        "task": cell.task.name,
        "codec": cell.codec.name,
        "level": cell.level.name,
    }


def drop(store: Store, cells: Sequence[StoredCell]) -> None:
    """Delete cells with their answers, inside `store.rewriting()`; each in one step.

    Bitstreams are kept, because cells share them. Raises StoreError.
    """
    for stored in cells:
        aside = store.root / f".dropped-{stored.path.name}"
        with store_errors(stored.path, "be deleted"):
            stored.path.rename(aside)
            shutil.rmtree(aside)
