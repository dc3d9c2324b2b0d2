"""An analysis as a file: JSON with a digest of its content, written in one step and checked when
read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eyechart.analysis.analyse import analyse
from eyechart.analysis.axis import BPP, Axis
from eyechart.analysis.deployment import TokenPrices
from eyechart.analysis.examples import MAX_SIDE_PX
from eyechart.analysis.result import Analysis
from eyechart.core.errors import InputError
from eyechart.core.foreign import foreign_file, read_json
from eyechart.core.identity import digest
from eyechart.core.version import VERSION
from eyechart.store import Store
from eyechart.store.files import write_atomic

FILE_NAME = "analysis.json"
_DIGEST = "sha256"  # key of the digest of all other keys


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis as stored in JSON. Keys keep their order.

    `reproducible` is left out if it is "bitwise", the usual value, and so are an empty
    `unanswered`, `icm`, `pairs`, `left_out`, `vlms`, `scaling`, `flips`, `components`, `commands`,
    `quality`, `correlations`, `samples`, `off_axis`, `metric_labels`, `stored_as`, `thresholds`,
    `sample_text`, `whole_images`, `category` and `at_chance`. `axis` and `axis_value` are left out
    if the axis is bpp.
    """
    value = asdict(analysis)
    for name in (
        *("unanswered", "icm", "pairs", "left_out", "vlms", "scaling"),
        *("flips", "components", "commands"),
        *("quality", "correlations", "off_axis", "samples"),
    ):
        if not value[name]:
            del value[name]
    if analysis.axis == BPP:
        del value["axis"]
    for task in value["tasks"]:
        for name in ("metric_labels", "stored_as", "thresholds", "sample_text", "whole_images"):
            if not task[name]:
                del task[name]
    for cell in value["cells"]:
        if cell["reproducible"] == "bitwise":
            del cell["reproducible"]
        if cell["axis_value"] is None:
            del cell["axis_value"]
        for name in ("at_chance", "category"):
            if not cell[name]:
                del cell[name]
    return value


def write_analysis(analysis: Analysis, path: Path) -> None:
    """Write `analysis.json`. Raises StoreError.

    Keys keep their order, so that sub-metrics are in the benchmark's order.
    """
    value = analysis_json(analysis)
    value[_DIGEST] = digest(value)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    write_atomic(path, f"{text}\n".encode())


def current_analysis(path: Path, store: Store) -> Analysis | None:
    """The stored analysis, if this version made it from the present contents of the store.

    One that lacks a task is not used, because its plug-in may have been repaired.

    Raises StoreError.
    """
    try:
        found = read_analysis(path)
    except InputError:
        return None
    fits = (found.eyechart_version, found.made_from) == (VERSION, store.fingerprint())
    return found if fits and not found.left_out else None


def analysis_of(
    directory: Path,
    *,
    fresh: bool = False,
    data: str | None = None,
    axis: Axis = BPP,
    prices: TokenPrices | None = None,
    side_px: int | None = MAX_SIDE_PX,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Analysis:
    """The analysis of a run directory, or of a folder that holds only an `analysis.json`.

    The stored one is returned if it is current. Otherwise, or with `fresh`, the run is analysed and
    `analysis.json` is written. One over another axis than bpp, or with images of another size, is
    made for this call and not stored.

    data: folder with the tasks' files, if it has moved. axis, prices, side_px: as for `analyse`.
    now: the clock.

    Raises:
        InputError: neither a run nor an analysis, no answers, a task or its data not found; another
            axis of a folder that holds only an analysis.
        StoreError: a damaged record; `analysis.json` cannot be written.
    """
    path, store = directory / FILE_NAME, Store(directory)
    if path.exists() and not store.is_run():
        found = read_analysis(path)
        if found.axis != axis:
            raise InputError(
                f"{path}: is over {found.axis.name}; {axis.name} needs its run directory"
            )
        return found
    usual = (axis, side_px) == (BPP, MAX_SIDE_PX)
    if usual and not fresh and (stored := current_analysis(path, store)):
        return stored
    analysis = analyse(
        directory,
        created=now().isoformat(timespec="seconds"),
        data=data,
        side_px=side_px,
        axis=axis,
        prices=prices,
    )
    if usual:
        write_analysis(analysis, path)
    return analysis


def read_analysis(path: Path) -> Analysis:
    """Read a file of `write_analysis`.

    Raises:
        InputError: no such file, not an analysis of this version, or changed since it was written.
    """
    from pydantic import TypeAdapter, ValidationError

    with foreign_file(path, "an analysis of this version"):
        value = read_json(path)
    try:
        analysis = TypeAdapter(Analysis).validate_python(value)
        if value.pop(_DIGEST, None) != digest(value):
            raise InputError(
                f"{path}: was changed after it was written; make it again from its run directory"
            )
        return analysis
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path}: not an analysis of this version ({where}: {first['msg']})"
        ) from error
