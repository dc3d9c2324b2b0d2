"""Files that a user names. The text may be no possible path, and the file may be of any kind."""

from __future__ import annotations

import tempfile
from pathlib import Path

from eyechart.core.errors import EyechartError, InputError, one_line


def is_dir(path: str | Path) -> bool:
    """Whether there is such a directory; False also for impossible paths (too long)."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; False also for impossible paths (too long)."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def read_limited(
    path: str | Path, most_bytes: int, *, error: type[EyechartError] = InputError
) -> bytes:
    """All bytes of a file. Larger files, and devices without an end, are not read completely.

    Raises:
        error: cannot be read, or more than `most_bytes`.
    """
    name = one_line(str(path))
    try:
        size_bytes = Path(path).stat().st_size
        if size_bytes > most_bytes:
            raise error(f"{name}: {size_bytes:,} bytes; allowed are {most_bytes:,}")
        with Path(path).open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as cause:
        raise error(f"{name}: cannot be read ({cause.strerror})") from cause
    if len(data) > most_bytes:
        raise error(f"{name}: more than {most_bytes:,} bytes; allowed are {most_bytes:,}")
    return data


def check_out(path: Path) -> None:
    """Check that a file can be written.

    Raises:
        InputError: it is a folder, or its folder does not exist or is not writable.
    """
    if is_dir(path):
        raise InputError(f"{path}: is a folder; allowed: a file to write")
    if not is_dir(path.parent):
        raise InputError(f"{path}: there is no folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"{path}: {path.parent} takes no files ({error.strerror})") from error


def csv_text(text: str) -> str:
    """Text as a CSV cell that a spreadsheet does not take for a formula.

    Text that begins with = + - @, a tab or a carriage return gets an apostrophe before it, which
    spreadsheets hide; a number stays as it is.
    """
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
