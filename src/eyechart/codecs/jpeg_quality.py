"""The quality of a JPEG file, from its quantisation table.

Encoders that follow libjpeg scale the luminance table of the standard (ITU-T T.81, Annex K.1) by
the quality. The quality is that whose table is nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


def quality_of_table(table: Sequence[int]) -> int:
    """The quality, 1..100, whose luminance table (64 values, in order of rows) is nearest."""
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    tables = np.clip((np.outer(scales, _LUMINANCE) + 50) // 100, 1, 255)
    distances = np.abs(tables - np.asarray(table)).sum(axis=1)
    return int(qualities[distances.argmin()])


def jpeg_quality(file: Path | bytes) -> int | None:
    """The quality of a JPEG file, or of its bytes; None for other files, and for those that
    cannot be read."""
    from PIL import Image

    try:
        with Image.open(BytesIO(file) if isinstance(file, bytes) else file) as image:
            table = getattr(image, "quantization", {}).get(0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return None if table is None or len(table) != len(_LUMINANCE) else quality_of_table(table)
