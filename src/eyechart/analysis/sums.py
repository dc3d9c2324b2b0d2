"""What an analysis needs of the records of one cell, as sums for each image.

    records.jsonl --task--> CellSums --resampling--> score and rate of the cell with intervals
                              |
                              +--> sums.json beside the records, used while nothing has changed

`sums.json` may be deleted. It counts while the records, the failures, this version of eyechart and
the code of the task are those that it was made with.
"""

from __future__ import annotations

import inspect
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from eyechart.analysis.cells import without_answers
from eyechart.analysis.chance import ChanceSums, chance_sums
from eyechart.core import plugins
from eyechart.core.errors import PluginError
from eyechart.core.identity import digest
from eyechart.core.memory import collector_paused
from eyechart.core.records import Record
from eyechart.core.types import Floats, ImageSums, Score, Task
from eyechart.core.version import VERSION
from eyechart.store import AnsweredQuestion, StoredCell
from eyechart.store.derived import read_derived, write_derived
from eyechart.store.files import DAMAGED


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSums:
    """Sums of one cell's records, at least one.

    statistics: of the headline metric. metrics: of `Task.summarize`. images: those asked about.
    Of each of them, (images,): rates_bpp, payload_bytes, visual_tokens (0: not counted),
    answer_tokens (their mean) and input_tokens (their mean; 0: not counted for all). pixels: of all
    images together. unparsed_share: of the answers, 0..1. chance: what `analysis.chance` needs;
    None without chance levels.
    """

    statistics: ImageSums
    metrics: dict[str, float]
    images: tuple[str, ...]
    rates_bpp: Floats
    payload_bytes: Floats
    visual_tokens: Floats
    answer_tokens: Floats
    input_tokens: Floats
    pixels: int
    unparsed_share: float
    chance: ChanceSums | None = None


_KINDS: tuple[type[Any], ...] = (CellSums, ImageSums, ChanceSums)
_NUMBERS = np.dtype("<f8")
_FORM = 3  # of `sums.json`


def cell_sums(
    task: Task,
    records: Sequence[Record | AnsweredQuestion],
    chance: Mapping[str, float] | None = None,
) -> CellSums:
    """The sums of some records, at least one. chance: as for `chance_sums`."""
    # As `Record.score`, made by msgspec because Python takes five times as long.
    scores = msgspec.convert(records, list[Score], from_attributes=True)
    statistics = task.image_sums(scores)
    metrics = {name: float(value) for name, value in task.summarize(scores).items()}
    by_image = {record.image: record for record in records}  # all records of an image share a rate
    rows = {image: row for row, image in enumerate(by_image)}
    row_of = [rows[record.image] for record in records]
    answer_tokens, input_tokens = (
        np.bincount(row_of, [getattr(record, name) for record in records]) / np.bincount(row_of)
        for name in ("answer_tokens", "input_tokens")
    )
    counted = all(record.input_tokens for record in records)
    images = list(by_image.values())
    payload_bytes = np.array([record.payload_bytes for record in images], np.float64)
    pixels = np.array([record.height_px * record.width_px for record in images])
    return CellSums(
        statistics=statistics,
        metrics=metrics,
        images=tuple(map(sys.intern, by_image)),  # the same in most cells
        rates_bpp=8 * payload_bytes / pixels,
        payload_bytes=payload_bytes,
        visual_tokens=np.array([record.visual_tokens for record in images], np.float64),
        answer_tokens=answer_tokens,
        input_tokens=input_tokens if counted else np.zeros_like(input_tokens),
        pixels=int(pixels.sum()),
        unparsed_share=sum(not record.parsed for record in records) / len(records),
        chance=None if chance is None else chance_sums(records, chance),
    )


def stored_sums(
    stored: StoredCell,
    records: Sequence[Record],
    task: Task,
    code: str,
    chance: Callable[[], Mapping[str, float]] | None = None,
) -> CellSums:
    """The sums of a stored cell; its records are read only if something has changed.

    records: of the cell, read when they are iterated over. code: of `code_of`. chance: as for
    `chance_sums`, of a cell for which it is wanted.

    Raises:
        StoreError: a damaged record.
    """
    path = stored.path / "sums.json"
    # The content from before the records are read: if a run adds answers meanwhile, these sums do
    # not count as those of the new content.
    made_from = [digest([VERSION, _FORM, code, chance is not None]), stored.content()]
    if (known := _known(path, made_from)) is not None:
        return known
    with collector_paused():
        sums = cell_sums(task, without_answers(records), None if chance is None else chance())
    if all(map(isfinite, sums.metrics.values())):  # what a task gives may be no number of JSON
        write_derived(path, {"made_from": made_from, "sums": _packed(sums)})
    return sums


def code_of(task: Task) -> str:
    """A digest of the state of the Python files beside a task's class and its entry point."""
    modules = {type(task).__module__}
    with suppress(PluginError):
        modules.add(plugins.find("eyechart.tasks", task.name).module)
    files: set[Path] = set()
    for name in modules:
        with suppress(TypeError, KeyError, OSError):
            files.update(Path(inspect.getfile(sys.modules[name])).parent.glob("*.py"))
    states = [(str(path), path.stat()) for path in sorted(files)]
    return digest([[name, found.st_size, found.st_mtime_ns] for name, found in states])


def _known(path: Path, made_from: list[str]) -> CellSums | None:
    found = read_derived(path, dict[str, Any])
    try:
        if found is None or found[0]["made_from"] != made_from:
            return None
        sums = _unpacked(found[0]["sums"])
    except DAMAGED:
        return None
    return sums if isinstance(sums, CellSums) else None


def _packed(value: Any) -> Any:
    """A value for JSON. Arrays are base64, which is read in a tenth of the time of digits. Names
    are one text, so that equal ones of many cells are recognised at once."""
    if isinstance(value, np.ndarray):
        data = b64encode(np.asarray(value, _NUMBERS).tobytes()).decode()
        return {"shape": list(value.shape), "data": data}
    if isinstance(value, tuple):
        return {"names": msgspec.json.encode(value).decode()}
    for kind in _KINDS:
        if isinstance(value, kind):
            packed = {one.name: _packed(getattr(value, one.name)) for one in fields(kind)}
            return {"kind": kind.__name__, **packed}
    if isinstance(value, dict):  # the task chose its keys, such as "kind"
        return {"plain": value}
    return value


@lru_cache(maxsize=4)
def _names(text: str) -> tuple[str, ...]:
    return tuple(map(sys.intern, msgspec.json.decode(text, type=list[str])))


def _unpacked(value: Any) -> Any:
    """The value of `_packed`. Raises one of DAMAGED."""
    if not isinstance(value, dict):
        return value
    if "plain" in value:
        return value["plain"]
    if "names" in value:
        return _names(value["names"])
    if "data" in value:
        numbers = np.frombuffer(b64decode(value["data"], validate=True), _NUMBERS)
        return numbers.reshape(value["shape"])
    kinds = {kind.__name__: kind for kind in _KINDS}
    kind = kinds[value.pop("kind")]
    return kind(**{name: _unpacked(one) for name, one in value.items()})
