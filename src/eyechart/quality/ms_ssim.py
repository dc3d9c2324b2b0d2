"""Multi-scale structural similarity.

Wang, Simoncelli and Bovik, "Multiscale Structural Similarity for Image Quality Assessment",
Asilomar 2003. Five scales with the weights of its section 3.2, SSIM constants K1 = 0.01 and
K2 = 0.03, an 11 x 11 Gaussian window of standard deviation 1.5. It is computed for R, G and B and
averaged, as learned image compression reports it.
"""

from __future__ import annotations

import numpy as np

from eyechart.core.types import Floats, Rgb8

_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_WINDOW_PX = 11
_SIGMA_PX = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
MIN_SIDE_PX = (_WINDOW_PX - 1) * 2 ** (len(_WEIGHTS) - 1) + 1  # the window fits the smallest scale


class MsSsim:
    """MS-SSIM, 1 for equal images; NaN for images smaller than 161 pixels on a side."""

    name = "MS-SSIM"
    version = "1"
    unit = ""
    higher_is_better = True

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """Both (height, width, 3) uint8."""
        if min(reference.shape[:2]) < MIN_SIDE_PX:
            return float("nan")
        x_CHW, y_CHW = (
            np.moveaxis(image.astype(np.float64), -1, 0) for image in (reference, decoded)
        )
        product_C = np.ones(3)
        for scale, weight in enumerate(_WEIGHTS):
            last = scale + 1 == len(_WEIGHTS)
            similarity_C = _similarity(x_CHW, y_CHW, luminance=last)
            product_C *= np.maximum(similarity_C, 0) ** weight
            if not last:
                x_CHW, y_CHW = _halved(x_CHW), _halved(y_CHW)
        return float(product_C.mean())

    def decibels(self, value: float) -> float:
        """-10 log10(1 - MS-SSIM), which shows differences of values near 1."""
        return -10 * float(np.log10(1 - value)) if value < 1 else float("inf")


def _similarity(x_CHW: Floats, y_CHW: Floats, *, luminance: bool) -> Floats:
    """Mean contrast and structure similarity, (C,); with luminance it is the mean SSIM."""
    mean_x, mean_y = _blurred(x_CHW), _blurred(y_CHW)
    variance_x = _blurred(x_CHW * x_CHW) - mean_x**2
    variance_y = _blurred(y_CHW * y_CHW) - mean_y**2
    covariance = _blurred(x_CHW * y_CHW) - mean_x * mean_y
    found = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    if luminance:
        found *= (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    mean: Floats = found.mean(axis=(1, 2))
    return mean


def _blurred(x_CHW: Floats) -> Floats:
    """Gaussian window, at positions where it is inside the image."""
    places = np.arange(_WINDOW_PX) - _WINDOW_PX // 2
    window = np.exp(-(places**2) / (2 * _SIGMA_PX**2))
    window /= window.sum()
    for axis in (1, 2):
        x_CHW = np.lib.stride_tricks.sliding_window_view(x_CHW, _WINDOW_PX, axis=axis) @ window
    return x_CHW


def _halved(x_CHW: Floats) -> Floats:
    """Averages of 2 x 2 pixels; an odd edge is repeated."""
    height, width = x_CHW.shape[1:]
    even = np.pad(x_CHW, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    parts = even.reshape(len(even), (height + 1) // 2, 2, (width + 1) // 2, 2)
    halved: Floats = parts.mean(axis=(2, 4))
    return halved
