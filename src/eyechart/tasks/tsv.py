"""Records of a tab-separated file, one at a time, each with its position in the file.

Rows hold images of megabytes, so lines are split as bytes and not kept. The csv module parses only
records with quotes, which may span several lines.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from eyechart.core.errors import InputError

MAX_ROW_BYTES = 1 << 26  # 64 MiB: a 48 MB image in base64. Bounds memory on a broken file.

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvRecord:
    """The cells of one record, as bytes, and where it starts in the file."""

    cells: list[bytes]
    offset: int


class TsvLines:
    """A file's lines, counted and hashed while they are read."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.offset = file.tell()
        self.row = -1  # the header is row 0
        self.ended = False
        self.sha256 = hashlib.sha256()
        self._file = file

    def next(self) -> bytes:
        """The next line with its ending, b"" at the end of the file. Raises InputError."""
        line = self._file.readline(MAX_ROW_BYTES + 1)
        if len(line) > MAX_ROW_BYTES:
            raise self.error(f"longer than {MAX_ROW_BYTES >> 20} MiB, the limit")
        self.ended = not line
        self.offset += len(line)
        self.sha256.update(line)
        return line

    def text(self, first: bytes) -> Iterator[str]:
        """`first` and the lines after it, for the csv module."""
        line = first
        while line:
            yield decoded(line, self)
            line = self.next()

    def error(self, what: str) -> InputError:
        """An error that names the file and the row."""
        return row_error(self.name, self.row, what)


def row_error(name: str, row: int, what: str) -> InputError:
    """An error about one row; rows count from 1 after the header."""
    return InputError(
        f"{name}, row {row} after the header: {what}" if row > 0 else f"{name}: {what}"
    )


def decoded(cell: bytes, lines: TsvLines) -> str:
    """A cell as text. Raises InputError if it is not UTF-8."""
    try:
        return cell.decode()
    except UnicodeDecodeError as error:
        raise lines.error(f"not UTF-8 ({error.reason})") from error


def records(lines: TsvLines) -> Iterator[TsvRecord]:
    """All records from the position of `lines` on, without empty lines.

    Raises:
        InputError: a row over the size limit, a quote never closed, text that is not UTF-8.
    """
    while True:
        offset = lines.offset
        line = lines.next()
        if not line:
            return
        if offset == 0:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        bare = line.rstrip(b"\r\n")
        if not bare:
            continue
        lines.row += 1
        cells = _quoted(line, lines) if b'"' in bare else bare.split(b"\t")
        yield TsvRecord(cells=cells, offset=offset)


def _quoted(line: bytes, lines: TsvLines) -> list[bytes]:
    csv.field_size_limit(MAX_ROW_BYTES)  # the module's own limit is 128 KiB, a small image
    try:
        cells = next(csv.reader(lines.text(line), delimiter="\t"))
    except csv.Error as error:
        raise lines.error(f"not a TSV row ({error}); is a quote left open?") from error
    if lines.ended:
        raise lines.error("a quote is never closed")
    return [cell.encode() for cell in cells]
