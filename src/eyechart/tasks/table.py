"""A benchmark's TSV file: text in memory; images are read when they are needed.

    POPE.tsv --one pass--> rows of text + where each image's row starts + sha256 of the file
             <--seek------ TsvTable.image_bytes(key)

The format is VLMEvalKit's. An image is base64 in the column `image`. A short cell there is the
index of another row that holds the image. Without such a cell, `image_path` names a file. Every
text cell stays text: "None" and "NA" are possible options, not missing values.
"""

from __future__ import annotations

import ast
import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eyechart.core.errors import ImageError, InputError
from eyechart.core.files import is_file, read_limited
from eyechart.core.images import MAX_FILE_BYTES
from eyechart.core.units import counted
from eyechart.tasks.tsv import TsvLines, TsvRecord, decoded, records, row_error

_MAX_INDEX_CHARS = 256
MAX_REFERENCE_CHARS = 64  # a shorter image cell is another row's index (VLMEvalKit's rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvRow:
    """One row: its number after the header (from 1), its text cells, the key of its image."""

    number: int
    cells: Mapping[str, str]
    image: str

    def __getitem__(self, column: str) -> str:
        """The cell's text; "" where the column is missing or the cell is empty."""
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvTable:
    """A file's rows, and access to its images.

    without_image: number of rows left out because they have no image, as VLMEvalKit does.
    offsets: image key -> byte offset of the row that holds it. stamp: size and mtime of the file.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[TsvRow, ...]
    without_image: int
    sha256: str
    stamp: tuple[int, int]
    image_roots: tuple[Path, ...]
    offsets: Mapping[str, int] = field(repr=False)

    def image_bytes(self, key: str) -> bytes:
        """An image's bytes as stored in the file (PNG, JPEG), not re-encoded.

        Raises:
            ImageError: not base64, no such image file, or the table changed since it was read.
        """
        try:
            if key not in self.offsets:
                path = self._image_file(key)
                return read_limited(path, MAX_FILE_BYTES, error=ImageError)
            return self._image_cell(key)
        except OSError as error:
            raise ImageError(f"{self.path.name}: {error.filename}: {error.strerror}") from error
        except (binascii.Error, InputError, ValueError) as error:
            raise ImageError(f"{self.path.name}, image {key}: {error}") from error

    def check_files(self, keys: Iterable[str]) -> None:
        """Look for the image files of these keys; reads none.

        Raises:
            InputError: files are missing; names their number, the first, and the searched folders.
        """
        wanted = set(keys) - self.offsets.keys()
        names = [name for name in dict.fromkeys(row.image for row in self.rows) if name in wanted]
        missing = [name for name in names if self._find(name) is None]
        if missing:
            raise InputError(
                f"{self.path.name}: {len(missing)} of {len(names)} image files missing, "
                f"first {missing[0]}; looked in {self._looked}"
            )

    def identity(self) -> str:
        """sha256 (hex) of the file and of the image files that it refers to."""
        outside = sorted({row.image for row in self.rows} - self.offsets.keys())
        if not outside:
            return self.sha256
        whole = hashlib.sha256(self.sha256.encode())
        for name in outside:
            path = self._find(name)
            whole.update(f"\n{name}\n{_sha256_of(path) if path else 'absent'}".encode())
        return whole.hexdigest()

    def _image_cell(self, key: str) -> bytes:
        with self.path.open("rb") as file:
            if _stamp(self.path) != self.stamp:
                raise ImageError(f"{self.path}: changed while in use; start again")
            file.seek(self.offsets[key])
            record = next(records(TsvLines(file, self.path.name)))
        cell = record.cells[self.columns.index("image")]
        return base64.b64decode(b"".join(cell.split()), validate=True)

    def _image_file(self, name: str) -> Path:
        path = self._find(name)
        if path is None:
            raise ImageError(f"{self.path.name}: no image file {name} in {self._looked}")
        return path

    @property
    def _looked(self) -> str:
        return ", ".join(str(root) for root in self.image_roots)

    def _find(self, name: str) -> Path | None:
        places = (root / name for root in self.image_roots)  # an absolute path stays absolute
        return next((path for path in places if is_file(path)), None)


def read_table(path: Path, needed: Sequence[str] = (), image_folder: str = "") -> TsvTable:
    """Read a TSV file once, from start to end.

    needed: required columns beside `index`, and `image` or `image_path`.
    image_folder: the folder below images/ where VLMEvalKit keeps this benchmark's image files.

    Raises:
        InputError: no such file, a column missing, a row with too few or too many cells, text
            that is not UTF-8, an index twice, an image reference that leads nowhere.
    """
    try:
        stamp = _stamp(path)
        with path.open("rb") as file:
            lines = TsvLines(file, path.name)
            scan = _Scan(lines, needed)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    here = path.parent
    return TsvTable(
        path=path,
        columns=tuple(scan.columns),
        rows=tuple(scan.rows()),
        without_image=scan.without_image,
        sha256=lines.sha256.hexdigest(),
        stamp=stamp,
        image_roots=(here / "images" / image_folder, here / "images", here),
        offsets=scan.offsets,
    )


class _Scan:
    """One pass over a file, and its results."""

    def __init__(self, lines: TsvLines, needed: Sequence[str]) -> None:
        self.offsets: dict[str, int] = {}
        self.without_image = 0
        self._lines = lines
        self._found: list[tuple[int, dict[str, str], str]] = []  # number, cells, reference
        self._key_of: dict[str, str] = {}  # index -> image key
        self._first: dict[bytes, str] = {}  # digest of base64 -> key: equal images, one key
        reader = records(lines)
        header = next(reader, TsvRecord(cells=[], offset=0))
        self.columns = [decoded(cell, lines) for cell in header.cells]
        self._check_columns(needed)
        for record in reader:
            self._take(record)
        if not self._found:
            raise InputError(f"{lines.name}: has no rows with an image")

    def rows(self) -> list[TsvRow]:
        """All rows with their references resolved, which may point forward."""
        rows = []
        for number, cells, reference in self._found:
            image = self._key_of.get(reference or cells["index"], "")
            if not image:
                what = (
                    f"image {reference!r} is neither base64 nor the index of a row that holds one"
                )
                raise row_error(self._lines.name, number, what)
            rows.append(TsvRow(number=number, cells=cells, image=image))
        return rows

    def _check_columns(self, needed: Sequence[str]) -> None:
        name, there = self._lines.name, ", ".join(self.columns) or "none, the file is empty"
        for column in ("index", *needed):
            if column not in self.columns:
                own = name.lower().endswith(".csv")
                hint = f"; own images: eyechart check FOLDER --questions {name}" if own else ""
                raise InputError(f"{name}: no column {column!r}; its columns: {there}{hint}")
        if not {"image", "image_path"} & set(self.columns):
            raise InputError(f"{name}: no column 'image' or 'image_path'; its columns: {there}")
        if len(set(self.columns)) < len(self.columns):
            raise InputError(f"{name}: a column occurs twice; its columns: {there}")

    def _take(self, record: TsvRecord) -> None:
        lines = self._lines
        if len(record.cells) != len(self.columns):
            raise lines.error(
                f"{counted(len(record.cells), 'cell')}, but {counted(len(self.columns), 'column')}"
            )
        raw = dict(zip(self.columns, record.cells, strict=True))
        image = raw.pop("image", b"").strip()
        cells = {column: decoded(cell, lines) for column, cell in raw.items() if cell}
        index = cells["index"] = cells.get("index", "").strip()
        if len(index) > _MAX_INDEX_CHARS:
            raise lines.error(f"an index of {len(index):,} characters; allowed: {_MAX_INDEX_CHARS}")
        if not index or index in self._key_of:
            raise lines.error(f"index {index} occurs twice" if index else "no index")
        reference = ""
        if len(image) > MAX_REFERENCE_CHARS:
            digest = hashlib.blake2b(image, digest_size=16).digest()
            self._key_of[index] = key = self._first.setdefault(digest, index)
            self.offsets.setdefault(key, record.offset)
        elif image:
            self._key_of[index], reference = "", decoded(image, lines)
        elif path := cells.get("image_path"):
            self._key_of[index] = _one_path(path, lines)
        else:
            self.without_image += 1
            return
        self._found.append((lines.row, cells, reference))


def text_list(cell: str) -> list[str] | None:
    """A list of texts written in a cell, `['a', 'b']`; None if the cell is not such a list."""
    try:
        value = ast.literal_eval(cell.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return [str(item) for item in value] if isinstance(value, list) else None


def _one_path(cell: str, lines: TsvLines) -> str:
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell
    paths = text_list(cell)
    if paths is None or len(paths) != 1:
        raise lines.error(f"image_path {cell!r} is not one path")
    return paths[0]


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # its questions fail, and no others
        return "unreadable"
