"""Lines of JSON that end in a CRC-32 of their cell's key and of the rest of the line."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast
from zlib import crc32

import msgspec

from eyechart.core.errors import StoreError, one_line
from eyechart.core.foreign import parse_json
from eyechart.store.files import DAMAGED, whole_lines

_T = TypeVar("_T")
_CHECK = ',"check":'
_START = b',"check":"'
_TAIL_BYTES = len(_START) + 8 + len('"}')


def with_check(line: str, key: str) -> str:
    """A JSON object with its checksum as the last key."""
    return line[:-1] + _check(line, key)


def checked_values(data: bytes, key: str, kind: type[_T]) -> list[_T] | None:
    """The values of all complete lines as dataclasses of a kind, without their checksums.

    None if a line has no checksum or a wrong one, or a field of another kind: `parse_lines` then
    says which line it is.
    """
    lines = _checked(data, key)
    if lines is None:
        return None
    try:
        values: list[_T] = _decoder(cast("Any", kind)).decode(b"[%b]" % b",".join(lines))
    except DAMAGED:
        return None
    return values


def parse_lines(path: Path, data: bytes, key: str) -> list[Any]:
    """The values of all complete lines, without their checksums; path: for messages.

    Lines without a checksum are read, too.

    Raises:
        StoreError: a line that is no JSON, was changed, or is another cell's.
    """
    lines = enumerate(whole_lines(path, data), start=1)
    return [_parse_line(path, number, line, key) for number, line in lines]


def damaged_line(path: Path, number: int, error: Exception) -> StoreError:
    """The error about a line, with what to do."""
    return StoreError(
        f"{path}: line {number} is damaged ({one_line(error, 100)}); "
        "delete that line and run again to ask its question again"
    )


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(list[kind])


def _checked(data: bytes, key: str) -> list[bytes] | None:
    """All complete lines, if each has the right checksum; else None."""
    lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
    seed = crc32(key.encode())
    for line in lines:
        start = len(line) - _TAIL_BYTES
        check = b'%b%08x"}' % (_START, crc32(b"}", crc32(line[:start], seed)))
        if start < 1 or line[start:] != check:
            return None
    return lines


def _parse_line(path: Path, number: int, line: str, key: str) -> Any:
    try:
        start = line.rfind(_CHECK)
        if start > 0:
            line, check = f"{line[:start]}}}", line[start:]
            if check != _check(line, key):
                raise ValueError("it was changed, or is another cell's")
        return parse_json(line)
    except DAMAGED as error:
        raise damaged_line(path, number, error) from error


def _check(line: str, key: str) -> str:
    return f'{_CHECK}"{crc32(f"{key}{line}".encode()):08x}"}}'
