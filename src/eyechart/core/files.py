"""Files that a user names. The text may be no possible path, and the file may be of any kind."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from eyechart.core.errors import EyechartError, InputError, one_line

URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?=[^/])")  # a `Path` of a URL has one slash


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


def is_device(path: str | Path) -> bool:
    """Whether the path is a device, pipe or socket, which is written to and cannot be replaced."""
    try:
        return Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir())
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


def read_text(path: str | Path, most_bytes: int, *, encoding: str = "utf-8") -> str:
    """The text of a file, or of a device or pipe, of which not more than needed is read.

    Raises:
        OSError: cannot be read.
        UnicodeDecodeError: not of this encoding.
        InputError: more than `most_bytes`.
    """
    with Path(path).open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise InputError(f"{one_line(str(path))}: more than {most_bytes:,} bytes, the limit")
    return data.decode(encoding)


def check_out(path: Path, *, source: str | Path | None = None) -> None:
    """Check that a file can be written.

    source: the file that it is made from, which must be another one.
    Raises:
        InputError: it is a folder, or its folder does not exist or is not writable; it is `source`,
            or a URL.
    """
    refuse_url(path)
    if source is not None and is_file(path) and is_file(source) and path.samefile(source):
        raise InputError(f"{path}: is the input, and would be overwritten; allowed: another file")
    if is_dir(path):
        raise InputError(f"{path}: is a folder; allowed: a file to write")
    if not is_dir(path.parent):
        raise InputError(f"{path}: there is no folder {path.parent}")
    if is_device(path):
        return
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"{path}: {path.parent} takes no files ({error.strerror})") from error


def require_place(folder: Path) -> None:
    """Check that a folder exists or can be made, and can be written to. Does not make it.

    Raises:
        InputError: it or its parent is a file or is not writable; it is a URL.
    """
    refuse_url(folder)
    there = folder.absolute()
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
    except OSError as error:  # for example, a name that is too long
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from error
    if not there.is_dir():
        raise InputError(f"{folder}: {there} is not a folder; choose another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: {there} may not be written to; choose another")


def refuse_url(path: Path) -> None:
    """Raise InputError for a URL: a folder named `s3:` would be made of it, or looked for."""
    if found := URL.match(str(path)):
        url = f"{found[1]}://{str(path)[found.end() :]}"
        raise InputError(f"{one_line(url, 200)}: is a URL; allowed here: a local path")


def require_empty(out: Path) -> None:
    """Check that a folder is new or empty. Raises InputError."""
    require_place(out)
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: not empty; choose another")


def require_continuable(out: Path, signs: Sequence[str]) -> None:
    """Check that a folder is new, empty or that of a training.

    signs: files or folders, of which a training's folder has at least one.
    Raises:
        InputError: it is neither, or cannot be made or written to.
    """
    require_place(out)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not any((out / sign).exists() for sign in signs):
        raise InputError(f"{out}: not empty and holds no training to continue; choose another")


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
