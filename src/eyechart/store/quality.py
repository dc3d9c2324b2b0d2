"""The quality of decoded images, measured once for each image, codec and level.

DIR/quality/metrics.jsonl                     the metrics that were measured
            images.jsonl                      which image of a task has which digest
            codec-0123456789ab/level.jsonl    one value of one image a line

An image is known by the digest of its pixels, as its bitstream is, so that two tasks with one image
share its values. Values are appended; after a kill only the last line can be torn.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from eyechart.core.errors import StoreError, one_line
from eyechart.core.foreign import parse_json
from eyechart.core.identity import canonical_json, digest
from eyechart.core.kinds import fits
from eyechart.core.types import Component, Json, Level
from eyechart.store.blobs import level_folder
from eyechart.store.files import (
    DAMAGED,
    append_lines,
    cut_torn_line,
    read_lines,
    store_errors,
    sync_file,
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMetric:
    """A metric whose values are stored. spec: what opens it again."""

    name: str
    version: str
    unit: str
    higher_is_better: bool
    spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityValue:
    """The value of one metric for one decoded image.

    image: `core.identity.image_digest` of the uncompressed image. metric, version: of the metric.
    value: None where the metric is not defined, such as PSNR of equal images, or has only features.
    features: (dimensions,) float32 as bytes, of a metric that compares sets of images.
    """

    image: str
    metric: str
    version: str
    value: float | None
    features: bytes = b""


class StoredQuality:
    """Quality values below `root`, the run directory. The constructor opens nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root / "quality"

    def metrics(self) -> dict[str, StoredMetric]:
        """The metrics by name, in the order of their first values. Raises StoreError."""
        return {
            one.name: one for one in self._read("metrics.jsonl", lambda row: StoredMetric(**row))
        }

    def add_metrics(self, metrics: Iterable[StoredMetric]) -> None:
        """Store metrics that are new, or whose version is. Raises StoreError."""
        known = self.metrics()
        self._append("metrics.jsonl", (one for one in metrics if known.get(one.name) != one))

    def images(self, task: Component) -> dict[str, str]:
        """Digests of the images of a task by name, as far as they are known. Raises StoreError."""
        key = digest(task)
        rows = self._read("images.jsonl", lambda row: (row["task"], row["image"], row["digest"]))
        return {image: found for of, image, found in rows if of == key}

    def add_images(self, task: Component, digests: Mapping[str, str]) -> None:
        """Store digests of images of a task. Raises StoreError."""
        key = digest(task)
        rows = ({"task": key, "image": name, "digest": one} for name, one in digests.items())
        self._append("images.jsonl", rows)

    def values(self, codec: Component, level: Level) -> dict[str, dict[str, QualityValue]]:
        """Metric -> image -> value; the last one that was stored. Raises StoreError."""
        found: defaultdict[str, dict[str, QualityValue]] = defaultdict(dict)
        for value in self._read(self._name(codec, level), _value):
            found[value.metric][value.image] = value
        return dict(found)

    def add(self, codec: Component, level: Level, values: Iterable[QualityValue]) -> None:
        """Append values. They survive a kill at once. Raises StoreError."""
        self._append(self._name(codec, level), map(_row, values))

    def recover(self) -> None:
        """Cut off half-written last lines. Call it once, under a lease, before appending."""
        for path in self.files():
            cut_torn_line(path)

    def sync(self) -> None:
        """Wait until all values are on the disk. Raises StoreError."""
        for path in self.files():
            sync_file(path)

    def files(self) -> list[Path]:
        """All files, in a fixed order. Raises StoreError."""
        with store_errors(self.root, "be read"):
            return sorted(self.root.rglob("*.jsonl"))

    def copy_to(self, other: StoredQuality) -> None:
        """Append all lines that another run directory lacks to its files. Raises StoreError."""
        other.recover()
        for path in self.files():
            name = path.relative_to(self.root).as_posix()
            held = set(read_lines(other.root / name))
            new = [line for line in read_lines(path) if line not in held]
            other.append(name, new)

    def append(self, name: str, lines: Iterable[str]) -> None:
        """Append lines to a file by its name below `root`. Raises StoreError."""
        path = self.root / name
        with store_errors(path.parent, "be made"):
            path.parent.mkdir(parents=True, exist_ok=True)
        append_lines(path, lines)

    def _name(self, codec: Component, level: Level) -> str:
        return f"{level_folder(codec, level)}.jsonl"

    def _append(self, name: str, items: Iterable[object]) -> None:
        self.append(name, map(canonical_json, items))

    def _read(self, name: str, build: Callable[[Any], _T]) -> Iterator[_T]:
        path = self.root / name
        for number, line in enumerate(read_lines(path), start=1):
            try:
                yield build(parse_json(line))
            except DAMAGED as error:
                raise StoreError(
                    f"{path}: line {number} is damaged ({one_line(error, 100)}); "
                    "delete that line and measure again"
                ) from error


def _row(value: QualityValue) -> dict[str, Json]:
    row: dict[str, Json] = {
        "image": value.image,
        "metric": value.metric,
        "version": value.version,
        "value": value.value,
    }
    if value.features:
        row["features"] = b64encode(value.features).decode()
    return row


def _value(row: Any) -> QualityValue:
    features = b64decode(row.pop("features", ""), validate=True)
    value = QualityValue(**row, features=features)
    for name in ("image", "metric", "version"):
        if not isinstance(getattr(value, name), str):
            raise ValueError(f"{name} is {getattr(value, name)!r}")
    if value.value is not None and not (fits(value.value, float) and isfinite(value.value)):
        raise ValueError(f"value is {value.value!r}")
    return value
