"""Letters and Landolt rings as images, drawn from their geometry: no font, equal on all machines.

The letters are those of Sloan (1959), ten that are about equally hard to read, on a square of 5 by
5 units with strokes of one unit. A Landolt ring (ISO 8596) has an outer diameter of five units and
a stroke and a gap of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from eyechart.core.types import Floats, Rgb8

Line = tuple[tuple[float, float], ...]
UNITS = 5
DIRECTIONS = ("right", "up", "left", "down")
_SAMPLES = 8  # of each pixel and axis
_HALF_STROKE = 0.5
_ARC_POINTS = 25
_CACHED = 512  # signs; all letters and rings at 36 heights


def _arc(start_degrees: float, end_degrees: float, *, x: float = 2.5, y: float = 2.5) -> Line:
    """A part of the circle with radius 2, counter-clockwise; 0 is to the right."""
    angles = np.radians(np.linspace(start_degrees, end_degrees, _ARC_POINTS))
    return tuple((x + 2 * float(np.cos(angle)), y - 2 * float(np.sin(angle))) for angle in angles)


_TOP, _MIDDLE, _BOTTOM = 0.5, 2.5, 4.5
_S_RADIUS = 1.0


def _small_arc(start_degrees: float, end_degrees: float, y: float) -> Line:
    angles = np.radians(np.linspace(start_degrees, end_degrees, _ARC_POINTS))
    return tuple(
        (2.5 + 2 * float(np.cos(angle)), y - _S_RADIUS * float(np.sin(angle))) for angle in angles
    )


_BOWL: Line = (
    *((0.5, _TOP), (3.2, _TOP), (4.2, 0.9), (4.5, 1.5)),
    *((4.2, 2.1), (3.2, _MIDDLE), (0.5, _MIDDLE)),
)
# Centre lines of the strokes: x to the right, y down, in units.
LETTERS: dict[str, tuple[Line, ...]] = {
    "C": (_arc(45, 315),),
    "D": (
        ((0.5, _TOP), (0.5, _BOTTOM)),
        ((0.5, _TOP), (2.5, _TOP), *_arc(90, -90), (2.5, _BOTTOM), (0.5, _BOTTOM)),
    ),
    "H": (((0.5, 0.0), (0.5, 5.0)), ((4.5, 0.0), (4.5, 5.0)), ((0.5, _MIDDLE), (4.5, _MIDDLE))),
    "K": (((0.5, 0.0), (0.5, 5.0)), ((4.5, 0.2), (0.7, 3.0)), ((1.9, 2.2), (4.5, 4.8))),
    "N": (((0.5, 0.0), (0.5, 5.0)), ((4.5, 0.0), (4.5, 5.0)), ((0.5, 0.4), (4.5, 4.6))),
    "O": (_arc(0, 360),),
    "R": (
        ((0.5, 0.0), (0.5, 5.0)),
        (
            (0.5, _TOP),
            (3.2, _TOP),
            (4.2, 0.9),
            (4.5, 1.5),
            (4.2, 2.1),
            (3.2, _MIDDLE),
            (0.5, _MIDDLE),
        ),
        ((2.6, _MIDDLE), (4.5, 4.8)),
    ),
    "S": (_small_arc(20, 270, 1.5), _small_arc(90, -160, 3.5)),
    "V": (((0.5, 0.2), (2.5, 4.6)), ((4.5, 0.2), (2.5, 4.6))),
    "Z": (
        ((0.3, _TOP), (4.7, _TOP)),
        ((4.4, _TOP), (0.6, _BOTTOM)),
        ((0.3, _BOTTOM), (4.7, _BOTTOM)),
    ),
}


@lru_cache(maxsize=_CACHED)
def letter(name: str, height_px: int) -> Floats:
    """Coverage (height_px, height_px), 0 paper to 1 ink, of a letter of `LETTERS`; read-only."""
    x, y = _samples(height_px)
    ink = np.zeros(x.shape, dtype=bool)
    for line in LETTERS[name]:
        for (x1, y1), (x2, y2) in pairwise(line):
            ink |= _distance(x, y, x1, y1, x2, y2) <= _HALF_STROKE
    return _coverage(ink, height_px)


@lru_cache(maxsize=_CACHED)
def ring(direction: str, height_px: int) -> Floats:
    """Coverage (height_px, height_px) of a Landolt ring whose gap is in one of `DIRECTIONS`;
    read-only."""
    x, y = _samples(height_px)
    dx, dy = x - UNITS / 2, UNITS / 2 - y
    radius = np.hypot(dx, dy)
    turn = DIRECTIONS.index(direction) * np.pi / 2
    along, across = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
    gap = (along > 0) & (np.abs(across) < _HALF_STROKE)
    return _coverage((radius <= 2.5) & (radius >= 1.5) & ~gap, height_px)


def row_image(
    signs: Sequence[Floats],
    *,
    height_px: int,
    width_px: int,
    contrast: float,
    shift_px: tuple[int, int] = (0, 0),
) -> Rgb8:
    """Signs side by side, each a sign's width apart, in the middle of a white image.

    contrast: (paper - ink) / paper, 0..1 (Weber). shift_px: down and to the right.
    """
    canvas = np.zeros((height_px, width_px))
    side = signs[0].shape[0]
    top = (height_px - side) // 2 + shift_px[0]
    left = (width_px - side * (2 * len(signs) - 1)) // 2 + shift_px[1]
    for place, sign in enumerate(signs):
        start = left + 2 * side * place
        canvas[top : top + side, start : start + side] = sign
    grey = np.rint(255 * (1 - contrast * canvas)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _samples(height_px: int) -> tuple[Floats, Floats]:
    steps = (np.arange(height_px * _SAMPLES) + 0.5) * UNITS / (height_px * _SAMPLES)
    x, y = np.meshgrid(steps, steps)
    return x, y


def _distance(x: Floats, y: Floats, x1: float, y1: float, x2: float, y2: float) -> Floats:
    """Distance of points to a line segment."""
    dx, dy = x2 - x1, y2 - y1
    along = np.clip(((x - x1) * dx + (y - y1) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
    found: Floats = np.hypot(x - x1 - along * dx, y - y1 - along * dy)
    return found


def _coverage(ink: np.ndarray, height_px: int) -> Floats:
    blocks = ink.reshape(height_px, _SAMPLES, height_px, _SAMPLES)
    coverage: Floats = blocks.mean(axis=(1, 3))
    coverage.flags.writeable = False  # callers share it
    return coverage
