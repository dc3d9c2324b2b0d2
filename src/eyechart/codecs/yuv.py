"""RGB <-> planar full-range BT.709 YCbCr 4:4:4, 8 bit, the input of the reference encoders."""

from __future__ import annotations

import numpy as np

from eyechart.core.types import Rgb8

_KR, _KB = 0.2126, 0.0722  # ITU-R BT.709, item 3.2
_KG = 1 - _KR - _KB


def rgb_to_yuv444(rgb8: Rgb8) -> bytes:
    """(height, width, 3) -> Y plane, Cb plane, Cr plane."""
    red, green, blue = np.moveaxis(rgb8.astype(np.float64), -1, 0)
    luma = _KR * red + _KG * green + _KB * blue
    planes = [luma, (blue - luma) / (2 - 2 * _KB) + 128, (red - luma) / (2 - 2 * _KR) + 128]
    return _round8(np.stack(planes)).tobytes()


def yuv444_to_rgb(planes: bytes, height_px: int, width_px: int) -> Rgb8:
    """Three planes -> (height, width, 3). `planes` must have 3 * height * width bytes."""
    luma, blue_difference, red_difference = (
        np.frombuffer(planes, np.uint8).reshape(3, height_px, width_px).astype(np.float64)
    )
    red = luma + (2 - 2 * _KR) * (red_difference - 128)
    blue = luma + (2 - 2 * _KB) * (blue_difference - 128)
    green = (luma - _KR * red - _KB * blue) / _KG
    return _round8(np.stack([red, green, blue], axis=-1))


def _round8(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Rgb8:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
