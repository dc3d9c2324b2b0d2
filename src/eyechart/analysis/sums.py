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
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
import numpy as np

from eyechart.analysis.cells import without_answers
from eyechart.analysis.chance import ChanceSums, chance_sums
from eyechart.core import plugins
from eyechart.core.errors import PluginError
from eyechart.core.identity import digest
from eyechart.core.memory import collector_paused
from eyechart.core.types import ImageSums, Record, Score, Task
from eyechart.core.version import VERSION
from eyechart.store import AnsweredQuestion, StoredCell
from eyechart.store.derived import read_derived, write_derived
from eyechart.store.files import DAMAGED


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSums:
    """Sums of one cell's records, at least one.

    statistics: of the headline metric. metrics: of `Task.summarize`. rates_bpp: image -> rate.
    spent: image -> payload bytes, visual tokens (0: not counted), mean tokens of an answer.
    payload_bytes, pixels: of all images together. unparsed_share: of the answers, 0..1. chance:
    what `analysis.chance` needs; None without chance levels.
    """

    statistics: ImageSums
    metrics: dict[str, float]
    rates_bpp: dict[str, float]
    spent: dict[str, tuple[int, int, float]]
    payload_bytes: int
    pixels: int
    unparsed_share: float
    chance: ChanceSums | None = None


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
    said: defaultdict[str, list[int]] = defaultdict(list)
    for record in records:
        said[record.image].append(record.answer_tokens)
    return CellSums(
        statistics=statistics,
        metrics=metrics,
        rates_bpp={image: record.bpp for image, record in by_image.items()},
        spent={
            image: (record.payload_bytes, record.visual_tokens, fmean(said[image]))
            for image, record in by_image.items()
        },
        payload_bytes=sum(record.payload_bytes for record in by_image.values()),
        pixels=sum(record.height_px * record.width_px for record in by_image.values()),
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
    made_from = [digest([VERSION, code, chance is not None]), stored.content()]
    if (known := _known(path, made_from)) is not None:
        return known
    with collector_paused():
        sums = cell_sums(task, without_answers(records), None if chance is None else chance())
    # Not `asdict`, which copies every number.
    values: dict[str, Any] = {one.name: getattr(sums, one.name) for one in fields(sums)}
    values["statistics"] = {
        "images": sums.statistics.images,
        "sums": sums.statistics.sums.tolist(),
        "strata": sums.statistics.strata,
    }
    values["chance"] = None if sums.chance is None else asdict(sums.chance)
    with suppress(ValueError, TypeError):  # a task may give NaN, or keys of other kinds
        write_derived(path, {"made_from": made_from, "sums": values})
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
        values: dict[str, Any] = found[0]["sums"]
        statistics, chance = values.pop("statistics"), values.pop("chance")
        spent = {image: tuple(one) for image, one in values.pop("spent").items()}
        return CellSums(
            statistics=ImageSums(
                images=tuple(map(sys.intern, statistics["images"])),  # the same in most cells
                sums=np.array(statistics["sums"], dtype=np.float64),
                strata=tuple(statistics["strata"]),
            ),
            spent=spent,
            chance=None if chance is None else ChanceSums(**chance),
            **values,
        )
    except DAMAGED:
        return None
