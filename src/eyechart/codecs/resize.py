"""Smaller sizes of an image: what a sender and a receiver do with Pillow."""

from __future__ import annotations

import numpy as np

from eyechart.core.types import Rgb8

MOST_PX = 65_535  # the longest side that can be asked for


def fitted(rgb8: Rgb8, long_side_px: int) -> tuple[int, int]:
    """Height and width of an image with a longer side of at most `long_side_px`, never enlarged."""
    height_px, width_px, _ = rgb8.shape
    longest = max(height_px, width_px)
    if longest <= long_side_px:
        return height_px, width_px
    return (
        max(1, round(height_px * long_side_px / longest)),
        max(1, round(width_px * long_side_px / longest)),
    )


def resized(rgb8: Rgb8, height_px: int, width_px: int) -> Rgb8:
    """The image at another size, by Lanczos resampling; the same array if the size is the same."""
    from PIL import Image

    if rgb8.shape[:2] == (height_px, width_px):
        return rgb8
    return np.asarray(Image.fromarray(rgb8).resize((width_px, height_px), Image.Resampling.LANCZOS))
