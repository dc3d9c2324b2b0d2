"""Checks of output files before any work is done."""

from __future__ import annotations

import tempfile
from pathlib import Path

from eyechart.core.errors import InputError
from eyechart.core.files import is_dir


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
