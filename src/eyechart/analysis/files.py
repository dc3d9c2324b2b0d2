"""An analysis as a file: JSON, replaced in one step, checked when it is read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from eyechart import __version__
from eyechart.analysis.result import Analysis
from eyechart.core.errors import InputError
from eyechart.store import Store
from eyechart.store.files import write_atomic


def write_analysis(analysis: Analysis, path: Path) -> None:
    """Write `analysis.json`. Raises StoreError when it cannot be written.

    Keys keep their order: sub-metrics are listed as the benchmark lists them.
    """
    text = json.dumps(asdict(analysis), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    write_atomic(path, f"{text}\n".encode())


def current_analysis(path: Path, store: Store) -> Analysis | None:
    """The stored analysis, if this version made it from just what the store holds now.

    Raises StoreError.
    """
    try:
        found = read_analysis(path)
    except InputError:
        return None
    fits = (found.eyechart_version, found.made_from) == (__version__, store.fingerprint())
    return found if fits else None


def read_analysis(path: Path) -> Analysis:
    """Read what `write_analysis` wrote.

    Raises:
        InputError: no such file, or not an analysis of this version.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Analysis).validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path}: not an analysis of this version ({where}: {first['msg']})"
        ) from error
