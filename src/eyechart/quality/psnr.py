"""Peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np

from eyechart.core.types import Rgb8


class Psnr:
    """PSNR in dB over R, G and B together, peak 255; infinite for equal images."""

    name = "PSNR"
    version = "1"
    unit = "dB"
    higher_is_better = True

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """Both (height, width, 3) uint8."""
        error = float(np.mean((reference.astype(np.float64) - decoded) ** 2))
        return 10 * float(np.log10(255**2 / error)) if error else float("inf")
