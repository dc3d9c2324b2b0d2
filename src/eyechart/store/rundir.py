"""A run directory: the results of one or several runs, and queries for them.

docs/architecture.md lists all files; these are the ones of this package:

DIR/run.json      format, title, data
    current.json  the cells of the last plan, which count if there are several versions
    cells/        one folder for each cell (store.cells)
    bitstreams/   every compressed image once (store.blobs)
    decoded/      decoded images of slow codecs, lossless, up to a budget
    commands.txt  what was typed to run
    vlms.jsonl    numbers of weights of VLMs
    quality/      quality of decoded images (store.quality)
    leases/       lock files of the writing processes (store.lease)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from eyechart.core.errors import InputError, StoreError, one_line
from eyechart.core.files import is_dir, is_file
from eyechart.core.foreign import parse_json
from eyechart.core.identity import canonical_json, cell_key, digest
from eyechart.core.kinds import fits
from eyechart.core.records import USUAL_FACTS, Cell, CodecFacts
from eyechart.core.types import Component
from eyechart.store.cells import StoredCell, cell_from_json, facts_from_json, facts_json
from eyechart.store.files import (
    DAMAGED,
    append_lines,
    file_sha256,
    read_lines,
    store_errors,
    write_atomic,
)
from eyechart.store.images import StoredImages
from eyechart.store.lease import lease
from eyechart.store.quality import StoredQuality

FORMAT = 2


class RunDirError(StoreError, InputError):
    """The directory that the user named cannot be used (command line: exit code 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Title and data of the last run. data: the user's data folder, "" for the built-in."""

    title: str
    data: str = ""


class Store:
    """The run directory at `root`. The constructor opens nothing."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    @property
    def images(self) -> StoredImages:
        """Compressed and decoded images."""
        return StoredImages(self.root)

    @property
    def quality(self) -> StoredQuality:
        """Quality of decoded images."""
        return StoredQuality(self.root)

    def create(self) -> None:
        """Make the directory, or check that it is a run's. Raises RunDirError."""
        if is_dir(self.root) and not self.is_run() and any(self.root.iterdir()):
            raise RunDirError(f"{self.root}: not empty and not an eyechart run; choose another")
        try:
            for folder in ("cells", "bitstreams", "decoded", "leases"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            if not (self.root / "run.json").exists():
                self.write_info(RunInfo(title=""))
        except OSError as error:
            raise RunDirError(f"{self.root}: cannot be written ({error.strerror})") from error
        except StoreError as error:
            raise RunDirError(str(error)) from error
        self.info()

    def require(self) -> None:
        """Check that the directory is a run's. Raises RunDirError."""
        if not self.is_run():
            raise RunDirError(
                f"{self.root}: no eyechart run here; make one with eyechart run --out {self.root}"
            )
        self.info()

    def is_run(self) -> bool:
        """Whether the directory is a run's, also that of a run killed at its start."""
        return is_file(self.root / "run.json") or is_dir(self.root / "cells")

    # --- title and data -----------------------------------------------------------------------

    def info(self) -> RunInfo:
        """Title and data. Raises StoreError, RunDirError for another format."""
        path = self.root / "run.json"
        if not is_file(path):
            raise StoreError(f"{path}: missing; run the last plan again")
        try:
            value = parse_json("\n".join(read_lines(path)))
            if value["format"] != FORMAT:
                raise RunDirError(
                    f"{path}: written in format {value['format']}, this version reads format "
                    f"{FORMAT}; run into a new directory"
                )
            if not (isinstance(value["title"], str) and isinstance(value["data"], str)):
                raise ValueError("title and data are not text")
            return RunInfo(title=value["title"], data=value["data"])
        except DAMAGED as error:
            why = one_line(error, 100)
            raise StoreError(f"{path}: damaged ({why}); delete it and run again") from error

    def write_info(self, info: RunInfo) -> None:
        """Replace title and data. Raises StoreError."""
        fields = {"format": FORMAT, "title": info.title, "data": info.data}
        write_atomic(self.root / "run.json", f"{canonical_json(fields)}\n".encode())

    # --- cells --------------------------------------------------------------------------------

    def add(self, cell: Cell, facts: CodecFacts = USUAL_FACTS) -> StoredCell:
        """The stored cell of this identity, made if it is new. Raises StoreError.

        A new one is on the disk after `StoredCell.sync`: to wait for the disk for each cell would
        take minutes for a plan of 10,000. After a power cut its file may be empty; it is then
        written again, and no other cell's records count, because of their checks.
        """
        key = cell_key(cell)
        folder = self.root / "cells" / key[:16]
        if read_lines(folder / "cell.json"):
            stored = self._read_cell(folder)
            if stored.key != key:
                raise StoreError(f"{folder}: holds another cell; move it away and run again")
            return stored
        with store_errors(folder, "be made"):
            folder.mkdir(exist_ok=True)
        fields = {"cell": cell, **facts_json(facts)}
        write_atomic(folder / "cell.json", f"{canonical_json(fields)}\n".encode(), sync=False)
        return StoredCell(folder, cell, facts, new=True)

    def find(self, cell: Cell) -> StoredCell:
        """A cell to read, without records if nothing is stored. Writes nothing."""
        return StoredCell(self.root / "cells" / cell_key(cell)[:16], cell)

    def make_current(self, cells: Iterable[StoredCell]) -> None:
        """Store the cells of a plan as current: from now on they count instead of cells of other
        versions. Raises StoreError."""
        with self.updating("current"):
            new = {one.label: one.key for one in cells}
            before = {label: key for label, key in self._current().items() if label not in new}
            # Not canonical, which would sort: the order is that of the plan.
            write_atomic(self.root / "current.json", f"{json.dumps(before | new)}\n".encode())

    def plan_order(self) -> dict[str, int]:
        """Place of each current cell in its plan, by key; cells of the last plan come last. Raises
        StoreError."""
        return {str(key): place for place, key in enumerate(self._current().values())}

    def cells(self, *, skip_empty: bool = False) -> list[StoredCell]:
        """All cells that count, in a fixed order (VLM, adapter, task, codec, rank as first stored).

        skip_empty: leave out cells whose file is empty, as after a power cut; else they are an
        error. A plan that is about to run makes them again.

        If a task, codec, VLM or adapter was run in several versions, or with several token limits,
        only the cells of the last plan count, so that a table never mixes versions.
        Raises StoreError.
        """
        with store_errors(self.root, "be read"):
            folders = sorted(path.parent for path in (self.root / "cells").glob("*/cell.json"))
            holding = {path.parent for path in (self.root / "cells").glob("*/records.jsonl")}
        if lost := sorted(holding.difference(folders)):
            raise StoreError(
                f"{lost[0]}: has records but no cell.json; restore the file, or move the folder "
                "away and run again"
            )
        if skip_empty:
            folders = [folder for folder in folders if read_lines(folder / "cell.json")]
        current = self._current()
        counting: dict[str, StoredCell] = {}
        for stored in map(self._read_cell, folders):
            label = stored.label
            if current.get(label, stored.key) != stored.key:
                continue
            if label in counting:
                raise StoreError(
                    f"{stored.path} and {counting[label].path.name}: two versions of one cell; "
                    "run the plan again, so that it is known which one counts"
                )
            counting[label] = stored
        return sorted(counting.values(), key=_order)

    # --- VLMs -----------------------------------------------------------------------------------

    def note_size(self, vlm: Component, parameters: int) -> None:
        """Note a VLM's number of weights, once. Raises StoreError."""
        path = self.root / "vlms.jsonl"
        line = canonical_json({"vlm": vlm.name, "version": vlm.version, "parameters": parameters})
        append_lines(path, {line}.difference(read_lines(path)))

    def note_command(self, command: str) -> None:
        """Note what was typed to run, once, without passwords. Raises StoreError."""
        path = self.root / "commands.txt"
        line = re.sub(r"//[^/\s@]+@", "//", " ".join(command.split()))
        line = re.sub(r"(?i)(key|token|password)=[^,\s'\"]+", r"\1=...", line)
        append_lines(path, {line}.difference(read_lines(path)))

    def commands(self) -> tuple[str, ...]:
        """What was typed to run, in order. Raises StoreError."""
        return tuple(read_lines(self.root / "commands.txt"))

    def sizes(self) -> dict[tuple[str, str], int]:
        """(name, version) of a VLM -> its number of weights, where a run noted it.

        Raises StoreError.
        """
        path = self.root / "vlms.jsonl"
        try:
            rows = [parse_json(line) for line in read_lines(path)]
            return {
                (str(row["vlm"]), str(row["version"])): count
                for row in rows
                if fits(count := row["parameters"], int) and count > 0
            }
        except DAMAGED as error:
            why = one_line(error, 100)
            raise StoreError(f"{path}: damaged ({why}); delete it and run again") from error

    def _current(self) -> dict[str, str]:
        path = self.root / "current.json"
        try:
            value = parse_json("\n".join(read_lines(path)) or "{}")
        except DAMAGED as error:
            value = error
        if not isinstance(value, dict):
            raise StoreError(f"{path}: damaged; delete it and run the last plan again")
        return value

    def _read_cell(self, folder: Path) -> StoredCell:
        path = folder / "cell.json"
        lines = read_lines(path)
        if not lines and is_file(path):
            raise StoreError(f"{path}: empty, as after a power cut; run the plan again")
        try:
            value = parse_json("\n".join(lines))
            stored = StoredCell(folder, cell_from_json(value["cell"]), facts_from_json(value))
            key = stored.key
        except DAMAGED as error:
            why = one_line(error, 100)
            raise StoreError(f"{path}: damaged ({why}); delete {folder} to redo it") from error
        if key[:16] != folder.name:
            raise StoreError(f"{path}: describes another cell than its folder; restore the file")
        return stored

    def fingerprint(self) -> str:
        """sha256 (hex) of everything that an analysis reads: records, failures, planned sizes,
        scores, quality and commands. Reads the files of cells that have changed.

        Raises StoreError.
        """
        whole = sha256(b"\0".join(line.encode() for line in read_lines(self.root / "run.json")))
        for stored in self.cells():
            whole.update(stored.key.encode())
            whole.update(file_sha256(stored.path / "asked.json"))
            whole.update(stored.content().encode())
        for name in ("vlms.jsonl", "commands.txt"):
            whole.update("".join(read_lines(self.root / name)).encode())
        for path in self.quality.files():
            whole.update(file_sha256(path))
        return whole.hexdigest()

    # --- leases -------------------------------------------------------------------------------

    @contextmanager
    def writing(
        self, models: Sequence[tuple[Component, Component | None]], *, wait: bool = False
    ) -> Iterator[None]:
        """Hold the right to append to the cells of these (VLM, adapter) pairs. Raises HeldError."""
        names = sorted(
            {
                f"{re.sub('[^A-Za-z0-9.-]+', '_', vlm.name)[:40]}-{digest([vlm, adapter])[:12]}"
                for vlm, adapter in models
            }
        )  # sorted, so that two waiting runs take their leases in one order and cannot deadlock
        with ExitStack() as stack:
            leases = self._leases()
            stack.enter_context(lease(leases / "directory", shared=True, wait=wait))
            for name in names:
                stack.enter_context(lease(leases / name, wait=wait))
            yield

    @contextmanager
    def encoding(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the right to add bitstreams and decoded images, beside runs. Raises HeldError."""
        with lease(self._leases() / "directory", shared=True, wait=wait):
            yield

    @contextmanager
    def measuring(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the right to add quality values, beside runs. Raises HeldError."""
        leases = self._leases()
        with (
            lease(leases / "directory", shared=True, wait=wait),
            lease(leases / "quality", wait=wait),
        ):
            yield

    @contextmanager
    def updating(self, name: str) -> Iterator[None]:
        """Hold an exclusive lease on one file while it is read and rewritten, because runs of other
        models rewrite it too. Waits for them. Raises StoreError."""
        with lease(self._leases() / f"updating-{name}", wait=True):
            yield

    @contextmanager
    def rewriting(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the right to change stored records, which excludes all runs. Raises HeldError."""
        with lease(self._leases() / "directory", wait=wait):
            yield

    def _leases(self) -> Path:
        """The folder of the leases, which a copy of a run directory may lack."""
        folder = self.root / "leases"
        with store_errors(folder, "be made"):
            folder.mkdir(exist_ok=True)
        return folder


def _order(stored: StoredCell) -> tuple[str, str, str, str, int, str]:
    cell = stored.cell
    adapter = "" if cell.adapter is None else cell.adapter.name
    return (cell.vlm.name, adapter, cell.task.name, cell.codec.name, cell.level.rank, stored.key)
