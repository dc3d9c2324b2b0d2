"""Checking, padding and cropping images for encoders and decoders."""

from __future__ import annotations

import numpy as np

from eyechart.core.errors import CodecError, InputError
from eyechart.core.images import MAX_PIXELS
from eyechart.core.types import Bitstream, Rgb8


def check_rgb8(rgb8: Rgb8) -> Rgb8:
    """The image as a contiguous array. Raises InputError unless it is (height, width, 3) uint8."""
    shape: tuple[int, ...] = np.shape(rgb8)
    dtype = getattr(rgb8, "dtype", type(rgb8).__name__)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
        raise InputError(f"image is {dtype} {shape}; a codec takes uint8 (height, width, 3)")
    check_size(shape[0], shape[1])
    return np.ascontiguousarray(rgb8)


def check_size(height_px: int, width_px: int) -> None:
    """Raises InputError for an empty image or one over the pixel limit."""
    if height_px < 1 or width_px < 1 or height_px * width_px > MAX_PIXELS:
        raise InputError(
            f"image is {width_px}x{height_px}; allowed are 1x1 to {MAX_PIXELS:,} pixels"
        )


def padded_size(size_px: int, *, least: int, multiple: int) -> int:
    """The smallest side from `size_px` and `least` up that is a multiple of `multiple`."""
    return max(least, -(-size_px // multiple) * multiple)


def pad_edges(rgb8: Rgb8, height_px: int, width_px: int) -> Rgb8:
    """Grow to (height_px, width_px) at the bottom and right by repeating the edge pixels.

    Repeated pixels cost almost no bits; black ones would cost those of a sharp edge.
    """
    height, width, _ = rgb8.shape
    if (height, width) == (height_px, width_px):
        return rgb8
    return np.pad(rgb8, ((0, height_px - height), (0, width_px - width), (0, 0)), mode="edge")


def crop(rgb8: Rgb8, bitstream: Bitstream) -> Rgb8:
    """Undo `pad_edges`: the top left (height_px, width_px) of the original image."""
    return np.ascontiguousarray(rgb8[: bitstream.height_px, : bitstream.width_px])


def check_claim(bitstream: Bitstream, height_px: int, width_px: int, *, codec: str) -> None:
    """Raises CodecError if the size in a payload differs from its Bitstream's."""
    if (height_px, width_px) != (bitstream.height_px, bitstream.width_px):
        raise CodecError(
            f"the payload holds a {width_px}x{height_px} image, "
            f"expected {bitstream.width_px}x{bitstream.height_px}",
            codec=codec,
        )
