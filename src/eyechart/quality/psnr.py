"""Peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np

from eyechart.core.types import Rgb8


def psnr_db(original: Rgb8, decoded: Rgb8) -> float | None:
    """PSNR in dB over R, G and B together, peak 255; None where the pictures are equal."""
    error = float(np.mean((original.astype(np.float64) - decoded) ** 2))
    return 10 * float(np.log10(255**2 / error)) if error else None
