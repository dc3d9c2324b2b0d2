"""Compressed copies of a task's TSV file, to run the same cells in another tool.

rows -> each image once -> executor (encode, decode) -> PNG -> base64 in `image`, or a file
                                                        that `image_path` names
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from eyechart.codecs.reconstruct import DecodedImage, check_batch
from eyechart.core.attempt import Failed
from eyechart.core.errors import EyechartError, InputError
from eyechart.core.images import encode_png
from eyechart.core.pool import WorkerPool
from eyechart.core.prompts import prompt_families
from eyechart.core.types import Level, Question
from eyechart.core.workers import OpenWorkers
from eyechart.runner.plan import CodecEntry
from eyechart.runner.reconstruction import Reconstruction, open_executor
from eyechart.runner.resolve import codec_levels
from eyechart.runner.work import CodecLevels, WorkItem
from eyechart.store import Store
from eyechart.store.files import open_atomic, store_errors, write_atomic
from eyechart.store.lease import lease
from eyechart.tasks import open_tasks
from eyechart.tasks.table import MAX_REFERENCE_CHARS, TsvRow
from eyechart.tasks.tsv_task import TsvTask
from eyechart.vlms.devices import codec_devices

_OPTION = re.compile("[A-Z]")  # option columns of a multiple-choice question
_UNPACKED_BYTES = 1 << 30  # VLMEvalKit unpacks larger tables into image files before it reads them
_QUOTED = re.compile('[\t\r\n"]')


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFormat:
    """The format of a copy.

    paths: image files, named in `image_path`, instead of base64 in `image`. prompts: a VLM family
    whose full prompt replaces the question; the columns that the prompt contains are left out.
    original_names: each copy in a folder of its own, under the name of the task's file, by which
    VLMEvalKit chooses prompts and settings.
    """

    paths: bool = False
    prompts: str | None = None
    original_names: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTarget:
    """A copy to make. name: of its file, without suffix."""

    name: str
    codec: CodecLevels
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvCopy:
    """A copy that was made. rate_bpp: mean over its images. size_bytes: of all its files."""

    name: str
    path: Path
    codec: str
    level: str
    rows: int
    images: int
    rate_bpp: float
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvExport:
    """Copies of a task's file. failures: one message for each copy that could not be made.
    folder: that holds them, here."""

    task: TsvTask
    folder: Path
    copies: tuple[TsvCopy, ...]
    failures: tuple[str, ...]

    @property
    def needs_paths(self) -> bool:
        """Whether VLMEvalKit would unpack a copy wrongly, because it is larger than 1 GiB."""
        return any(copied.path.stat().st_size > _UNPACKED_BYTES for copied in self.copies)


def export_tsv(
    task: str,
    codecs: Sequence[str],
    out: Path,
    *,
    levels: Sequence[str] | None = None,
    data: str | None = None,
    form: CopyFormat | None = None,
    run: Path | None = None,
    workers: int | None = None,
    codec_device: str = "auto",
    codec_batch: int | None = None,
    open_workers: OpenWorkers = WorkerPool,
    wait: bool = False,
    advance: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> TsvExport:
    """Copy a task's file once for each codec level, with all images compressed and decoded.

    task, codecs: names, with options. levels: names; None: all of each codec. data: folder with the
    task's file. run: a run directory whose bitstreams are used and added to; None: a folder in
    `out`. workers: see `open_executor`. codec_device, codec_batch: see `Options`.
    open_workers: opens them.
    wait: until another export to `out` has ended.
    advance: called after each image with the copy, the images done and those of all copies.

    Raises:
        InputError: something named is not there, an image of the task cannot be read, `out` cannot
            be written.
        HeldError: another export writes to `out`.
        StoreError: the disk is full.
    """
    chosen = form or CopyFormat()
    opened = _open_task(task, data, chosen)
    targets = _targets(opened, codecs, levels)
    batch_images = check_batch(codec_batch)
    neural = any(target.codec.neural for target in targets)
    devices = codec_devices(codec_device, needed=neural)
    if run is not None:
        Store(run).require()
    cache = Store(_cache_folder(out))
    with lease(cache.root / "lease", wait=wait):
        executor = open_executor(workers, devices, open_workers)
        try:
            made = Reconstruction(
                Store(run) if run else cache, executor, batch_images=batch_images, ahead=4
            )
            return _export(opened, targets, out, made, chosen, advance)
        finally:
            executor.close()


def _export(
    task: TsvTask,
    targets: Sequence[CopyTarget],
    out: Path,
    reconstruction: Reconstruction,
    form: CopyFormat,
    advance: Callable[[str, int, int], None],
) -> TsvExport:
    images = len({question.image for question in task.questions()})
    copies: list[TsvCopy] = []
    failures: list[str] = []
    for place, target in enumerate(targets):
        done = itertools.count(place * images + 1)
        exporter = Exporter(
            out,
            reconstruction,
            form,
            advance=lambda name=target.name, done=done: advance(  # type: ignore[misc]
                name, next(done), images * len(targets)
            ),
        )
        try:
            copies.append(exporter.copy(task, target))
        except InputError:
            raise
        except EyechartError as error:
            failures.append(f"{target.name}.tsv not written: {error}")
    return TsvExport(task=task, folder=out, copies=tuple(copies), failures=tuple(failures))


def _open_task(spec: str, data: str | None, form: CopyFormat) -> TsvTask:
    if form.prompts is not None and form.prompts not in prompt_families():
        raise InputError(f"prompts {form.prompts!r}: allowed: {', '.join(prompt_families())}")
    (opened,) = open_tasks([spec], data)
    if not isinstance(opened, TsvTask):
        raise InputError(f"{spec}: not a task over a TSV file, so there is nothing to copy")
    opened.check_images(question.image for question in opened.questions())
    return opened


def _targets(
    task: TsvTask, codecs: Sequence[str], levels: Sequence[str] | None
) -> list[CopyTarget]:
    if not codecs:
        raise InputError("no codec named; give one or more")
    chosen = None if levels is None else tuple(levels)
    entries = [codec_levels(CodecEntry(codec=spec, levels=chosen)) for spec in codecs]
    targets = [
        CopyTarget(name=copy_name(task, spec, level), codec=entry, level=level)
        for spec, entry in zip(codecs, entries, strict=True)
        for level in entry.levels
    ]
    names = [target.name.lower() for target in targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"codecs {','.join(codecs)}: {twice}.tsv would be written twice")
    return targets


def _cache_folder(out: Path) -> Path:
    folder = out / ".eyechart"
    for cached in ("bitstreams", "decoded"):
        try:
            (folder / cached).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror})") from error
    return folder


def copy_name(task: TsvTask, codec: str, level: Level) -> str:
    """`POPE_jpeg_1`, `POPE-max_images-50_vvc-preset-fast_42`: the file's name and sample size, the
    codec's spec, the level."""
    part = "" if task.max_images is None else f"-max_images-{task.max_images}"
    parts = (f"{task.path.stem}{part}", codec, level.name)
    return "_".join(re.sub(r"[^A-Za-z0-9._+-]+", "-", part) for part in parts)


class Exporter:
    """Makes copies in a folder, one after another. The caller holds the folder's lease.

    advance: called after each image.
    """

    def __init__(
        self,
        out: Path,
        reconstruction: Reconstruction,
        form: CopyFormat,
        *,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self._out, self._reconstruction, self._form = out, reconstruction, form
        self._advance = advance

    def copy(self, task: TsvTask, target: CopyTarget) -> TsvCopy:
        """Write one copy. It gets its name when it and all its images are complete.

        Raises:
            InputError: an image of the task cannot be read.
            EyechartError: an image cannot be compressed; nothing is written.
            StoreError: the folder cannot be written, the disk is full.
        """
        copied = _CopiedRows(task, self._form)
        path = self._place(task, target)
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # of a copy that was killed
            left.unlink(missing_ok=True)
        folder = self._out / "images" / target.name
        if self._form.paths:
            with store_errors(folder, "be made"):
                folder.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)  # otherwise it would refer to old and new images
        decoded = self._decoded_images(task, target, copied.keys)
        rates_bpp: list[float] = []
        files_bytes = 0
        with open_atomic(path) as file:
            file.write(_line(copied.columns))
            for row in copied.rows:
                image = copied.reference(row)
                if not image:
                    made = next(decoded)
                    png = encode_png(made.rgb8)
                    if self._form.paths:
                        write_atomic(folder / copied.names[row.image], png, sync=False)
                        files_bytes += len(png)
                    else:
                        image = base64.b64encode(png).decode()
                    rates_bpp.append(made.bitstream.bpp)
                    self._advance()
                file.write(_line(copied.cells(row, image, folder)))
        return TsvCopy(
            name=target.name,
            path=path,
            codec=target.codec.codec.name,
            level=target.level.name,
            rows=len(copied.rows),
            images=len(rates_bpp),
            rate_bpp=fmean(rates_bpp),
            size_bytes=files_bytes + path.stat().st_size,
        )

    def _place(self, task: TsvTask, target: CopyTarget) -> Path:
        if not self._form.original_names:
            return self._out / f"{target.name}.tsv"
        folder = self._out / target.name
        with store_errors(folder, "be made"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / task.path.name

    def _decoded_images(
        self, task: TsvTask, target: CopyTarget, keys: Sequence[str]
    ) -> Iterator[DecodedImage]:
        """The images in this order. Raises InputError, EyechartError."""
        items = [
            WorkItem(task=task, codec=target.codec, level=target.level, image=key) for key in keys
        ]
        for prepared in self._reconstruction.prepared(items):
            image = prepared.image
            yield image.raise_error() if isinstance(image, Failed) else image


class _CopiedRows:
    """A task's rows in the format of a copy. keys: its images in order of first appearance. names:
    their file names."""

    def __init__(self, task: TsvTask, form: CopyFormat) -> None:
        self._task, self._form = task, form
        self._questions: Mapping[str, Question] = {q.id: q for q in task.questions()}
        self.rows = [row for row in task.table.rows if row["index"] in self._questions]
        self._shown_by: dict[str, str] = {}  # image -> index of the first row with it
        for row in self.rows:
            self._shown_by.setdefault(row.image, row["index"])
        self.names = _file_names(self._shown_by)
        self.keys = [row.image for row in self.rows if not self.reference(row)]
        self.columns = self._columns(task.table.columns)

    def reference(self, row: TsvRow) -> str:
        """Index of the row that holds this row's image; "" if it is this row."""
        first = self._shown_by[row.image]
        if first == row["index"] or (len(first) > MAX_REFERENCE_CHARS and not self._form.paths):
            return ""
        return first

    def cells(self, row: TsvRow, image: str, folder: Path) -> list[str]:
        """The cells of a row of the copy. image: base64 or a reference."""
        question, name = self._questions[row["index"]], self.names[row.image]
        made = {
            "image": image,
            # VLMEvalKit saves an image under this name, and would compress it again under a name in
            # .jpg. In a table without images it reads these paths unchanged.
            "image_path": str(folder.resolve() / name) if self._form.paths else name,
            "question": row["question"] or question.text,
        }
        if self._form.prompts is not None:
            made["question"] = self._task.prompt(question, self._form.prompts)
        return [made[column] if column in made else row[column] for column in self.columns]

    def _columns(self, there: Sequence[str]) -> list[str]:
        kept = [column for column in there if column not in ("image", "image_path")]
        if self._form.prompts is not None:
            kept = [name for name in kept if name != "hint" and not _OPTION.fullmatch(name)]
        if "question" not in kept:  # VLMEvalKit refuses a user's table without it
            kept.insert(1, "question")
        return [*kept, *([] if self._form.paths else ["image"]), "image_path"]


def _file_names(shown_by: Mapping[str, str]) -> dict[str, str]:
    """Image -> name of its PNG file, from the index of the first row with it."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for number, (image, index) in enumerate(shown_by.items()):
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", index)[:80].lstrip(".") or "_"
        stem = f"{stem}-row{number}" if stem.lower() in taken else stem
        taken.add(stem.lower())
        names[image] = f"{stem}.png"
    return names


def _line(cells: Sequence[str]) -> bytes:
    """A TSV line for pandas. (The csv module does not quote a lone carriage return.)"""
    quoted = [
        '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell for cell in cells
    ]
    return ("\t".join(quoted) + "\n").encode()
