"""Small TSV files for the tests, written as pandas writes them."""

from __future__ import annotations

import base64
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eyechart.core.images import encode_png


def png_base64(seed: int, height_px: int = 9, width_px: int = 7) -> str:
    """A small random image as a TSV cell; equal seeds, equal images."""
    rng = np.random.default_rng(seed)
    rgb8 = rng.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return base64.b64encode(encode_png(rgb8)).decode()


def write_tsv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write rows under the first row's columns; a missing cell is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file, list(rows[0]), restval="", delimiter="\t", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
    return path
