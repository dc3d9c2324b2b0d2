"""JSON of values: canonical, for their identity (sha256), and without infinite numbers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING

from eyechart.core.records import Cell
from eyechart.core.types import Json

if TYPE_CHECKING:
    from eyechart.core.types import Rgb8


def canonical_json(value: object) -> str:
    """Canonical JSON: sorted keys, no spaces, NaN refused. Dataclasses become objects."""
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: object) -> str:
    """sha256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def cell_key(cell: Cell) -> str:
    """The cell's identity: a digest of exactly what can change an answer."""
    return digest({**asdict(cell), "level": cell.level.identity})


def image_digest(rgb8: Rgb8) -> str:
    """sha256 (hex) of an image's size and pixels; equal images share their bitstreams."""
    height, width, _ = rgb8.shape
    return hashlib.sha256(f"{height}x{width}:".encode() + rgb8.tobytes()).hexdigest()


def finite_json(value: Json) -> Json:
    """The same value with null for numbers that JSON has no notation for (infinite, NaN)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite_json(item) for key, item in value.items()}
    return [finite_json(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: object) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"not JSON: {type(value).__name__}")
