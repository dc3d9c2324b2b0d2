"""Reading files that another program wrote: every error of a parser becomes one line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from eyechart.core.errors import EyechartError, InputError, one_line
from eyechart.core.files import read_text

_MOST_JSON_BYTES = 64 << 20  # the configuration of a tokenizer has up to 20 MB


@contextmanager
def foreign_file(
    name: object, wanted: str, *, error: type[EyechartError] = InputError
) -> Iterator[None]:
    """Turn every exception of the block into one error that names the file.

    Parsers raise exceptions of many kinds on damaged bytes (RecursionError on deep nesting,
    ValueError on long numbers, zlib and XML errors), so no list of them is complete. Errors of
    this package pass unchanged.

    name: the file, for the message. wanted: what it should be, for example "an xlsx workbook".
    Raises:
        error: the block failed.
    """
    try:
        yield
    except EyechartError:
        raise
    except UnicodeDecodeError as cause:
        raise error(f"{one_line(str(name))}: not UTF-8 ({cause.reason})") from cause
    except OSError as cause:
        reason = one_line(cause.strerror or str(cause))
        raise error(f"{one_line(str(name))}: cannot be read ({reason})") from cause
    except Exception as cause:
        reason = one_line(cause)
        raise error(f"{one_line(str(name))}: not {wanted} ({reason})") from cause


def parse_json(text: str | bytes, *, nan: bool = False) -> Any:
    """The value of JSON. nan: accept NaN and infinities, which Python writes.

    Raises:
        ValueError: not JSON, a key twice in one object, NaN.
        RecursionError: nested too deeply.
    """
    refused = None if nan else _refuse_constant
    return json.loads(text, object_pairs_hook=_object, parse_constant=refused)


def read_json(path: str | Path) -> Any:
    """The value of a JSON file of at most 64 MiB.

    Raises:
        OSError: cannot be read.
        InputError: too large.
        ValueError, RecursionError: as `parse_json`, or not UTF-8.
    """
    return parse_json(read_text(path, _MOST_JSON_BYTES))


def read_csv(
    path: Path, columns: Sequence[str], most_bytes: int, *, optional: Sequence[str] = ()
) -> list[tuple[int, dict[str, str | None]]]:
    """The rows of a CSV file with a header, each with its line number.

    Columns are separated by commas, or else by semicolons or tabs, as spreadsheets of some
    languages write them.

    columns: those that must be there, each once, in any case. most_bytes: of the file. optional:
        others whose case does not matter.

    Raises:
        InputError: cannot be read, not CSV, too large, a missing or a repeated column.
    """
    try:
        text = read_text(path, most_bytes, encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
        known = {name.lower(): name for name in (*columns, *optional)}
        given = [(name or "").strip() for name in reader.fieldnames or ()]
        names = [known.get(name.lower(), name) for name in given]
        for column in columns:
            if names.count(column) != 1:
                problem = "more than one column" if column in names else "no column"
                there = one_line(", ".join(given)) or "none"
                raise InputError(f"{path}: {problem} {column!r}; its columns: {there}")
        reader.fieldnames = names
        return [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from error


def _delimiter(text: str) -> str:
    """What separates the columns in the first line."""
    head = text.lstrip("\r\n").partition("\n")[0]
    return next((sign for sign in ",;\t" if sign in head), ",")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} occurs twice")
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
