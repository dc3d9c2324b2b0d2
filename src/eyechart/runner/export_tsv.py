"""Compressed copies of a task's TSV file, to run the same cells in another tool.

rows -> each image once -> executor (encode, decode) -> PNG -> base64 in `image`, or a file
                                                        that `image_path` names
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from eyechart.codecs.reconstruct import DecodedImage
from eyechart.core.attempt import Failed
from eyechart.core.images import encode_png
from eyechart.core.types import Level, Question
from eyechart.runner.reconstruction import CodecLevels, Reconstruction
from eyechart.runner.work import EncodeItem
from eyechart.store.files import open_atomic, store_errors, write_atomic
from eyechart.tasks.table import MAX_REFERENCE_CHARS, TsvRow
from eyechart.tasks.tsv_task import TsvTask

_OPTION = re.compile("[A-Z]")  # option columns of a multiple-choice question
_QUOTED = re.compile('[\t\r\n"]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
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
class Target:
    """A copy to make. name: of its file, without suffix."""

    name: str
    codec: CodecLevels
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A copy that was made. rate_bpp: mean over its images. size_bytes: of all its files."""

    path: Path
    rows: int
    pictures: int
    rate_bpp: float
    size_bytes: int


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
        form: Form,
        *,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self._out, self._reconstruction, self._form = out, reconstruction, form
        self._advance = advance

    def copy(self, task: TsvTask, target: Target) -> Copied:
        """Write one copy. It gets its name when it and all its images are complete.

        Raises:
            InputError: an image of the task cannot be read.
            EyechartError: an image cannot be compressed; nothing is written.
            StoreError: the folder cannot be written, the disk is full.
        """
        sheet = _CopiedRows(task, self._form)
        path = self._place(task, target)
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # of a copy that was killed
            left.unlink(missing_ok=True)
        folder = self._out / "images" / target.name
        if self._form.paths:
            with store_errors(folder, "be made"):
                folder.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)  # otherwise it would refer to old and new images
        pictures = self._pictures(task, target, sheet.keys)
        rates_bpp: list[float] = []
        files_bytes = 0
        with open_atomic(path) as file:
            file.write(_line(sheet.columns))
            for row in sheet.rows:
                image = sheet.reference(row)
                if not image:
                    picture = next(pictures)
                    png = encode_png(picture.rgb8)
                    if self._form.paths:
                        write_atomic(folder / sheet.names[row.image], png, sync=False)
                        files_bytes += len(png)
                    else:
                        image = base64.b64encode(png).decode()
                    rates_bpp.append(picture.bitstream.bpp)
                    self._advance()
                file.write(_line(sheet.cells(row, image, folder)))
        return Copied(
            path=path,
            rows=len(sheet.rows),
            pictures=len(rates_bpp),
            rate_bpp=fmean(rates_bpp),
            size_bytes=files_bytes + path.stat().st_size,
        )

    def _place(self, task: TsvTask, target: Target) -> Path:
        if not self._form.original_names:
            return self._out / f"{target.name}.tsv"
        folder = self._out / target.name
        with store_errors(folder, "be made"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / task.path.name

    def _pictures(
        self, task: TsvTask, target: Target, keys: Sequence[str]
    ) -> Iterator[DecodedImage]:
        """The images in this order. Raises InputError, EyechartError."""
        items = [
            EncodeItem(task=task, codec=target.codec, level=target.level, image=key) for key in keys
        ]
        for prepared in self._reconstruction.prepared(items):
            image = prepared.image
            yield image.raise_error() if isinstance(image, Failed) else image


class _CopiedRows:
    """A task's rows in the format of a copy. keys: its images in order of first appearance. names:
    their file names."""

    def __init__(self, task: TsvTask, form: Form) -> None:
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
