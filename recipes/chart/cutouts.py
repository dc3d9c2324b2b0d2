"""Outlines of things: sprites and shape masks, and the area of a rotated one in the image.

Geometry uses fixed sample points of the 128 px masks and no drawn pixels, so scene graphs do not
depend on the version of the drawing library.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from eyechart.core.types import Floats
from recipes.chart.scene import SHAPES

SIDE_PX = 128  # longer side of every mask and sprite
LEVELS_PX = (128, 92, 64)  # stored sizes; rotation starts from the next larger one
_GRID = 16  # sample points along the longer side

Bools = npt.NDArray[np.bool_]


@cache
def sprite(kind: str) -> Image.Image:
    """The RGBA sprite of an emoji noun, longer side 128 px."""
    with Image.open(Path(__file__).parent / "sprites" / f"{kind}.png") as picture:
        return picture.convert("RGBA")


@cache
def sprite_level(kind: str, side_px: int) -> Image.Image:
    """The sprite with its longer side at `side_px`, one of LEVELS_PX."""
    return _shrink(sprite(kind), side_px)


@cache
def mask_level(shape: str, side_px: int) -> Image.Image:
    """The mask of a shape ("L") with its longer side at `side_px`, one of LEVELS_PX."""
    return _shrink(shape_mask(shape), side_px)


def _shrink(picture: Image.Image, side_px: int) -> Image.Image:
    if side_px == SIDE_PX:
        return picture
    scale = side_px / SIDE_PX
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)


def level_for(size_px: float) -> int:
    """The smallest stored size that need not be enlarged; the largest for very large things."""
    fitting = [level for level in LEVELS_PX if level >= size_px]
    return min(fitting) if fitting else LEVELS_PX[0]


def _outline(shape: str) -> list[tuple[float, float]]:
    """The polygon of a shape in the unit square, y downwards."""
    if shape == "square":
        return [(0.04, 0.04), (0.96, 0.04), (0.96, 0.96), (0.04, 0.96)]
    if shape == "triangle":
        return [(0.5, 0.02), (1.0, 0.92), (0.0, 0.92)]
    if shape == "star":
        angles = [math.pi * (i / 5 - 0.5) for i in range(10)]
        radii = [0.52 if i % 2 == 0 else 0.22 for i in range(10)]
        return [
            (0.5 + r * math.cos(a), 0.53 + r * math.sin(a))
            for a, r in zip(angles, radii, strict=True)
        ]
    if shape == "cross":
        a, b, lo, hi = 0.33, 0.67, 0.02, 0.98
        return [
            (a, lo), (b, lo), (b, a), (hi, a), (hi, b), (b, b),
            (b, hi), (a, hi), (a, b), (lo, b), (lo, a), (a, a),
        ]  # fmt: skip
    turns = [2 * math.pi * i / 90 for i in range(90)]
    if shape == "circle":
        return [(0.5 + 0.49 * math.cos(t), 0.5 + 0.49 * math.sin(t)) for t in turns]
    if shape == "heart":
        return [
            (
                0.5 + 0.485 * math.sin(t) ** 3,
                0.44
                - (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))
                / 33,
            )
            for t in turns
        ]
    raise KeyError(shape)


@cache
def shape_mask(shape: str) -> Image.Image:
    """The antialiased mask ("L") of one of SHAPES, 128 x 128."""
    big = 4 * SIDE_PX
    mask = Image.new("L", (big, big))
    corners = [(x * big, y * big) for x, y in _outline(shape)]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)


@cache
def _alpha(kind: str) -> npt.NDArray[np.uint8]:
    picture = shape_mask(kind) if kind in SHAPES else sprite(kind).getchannel("A")
    return np.asarray(picture)


@cache
def _edge_points(kind: str) -> Floats:
    """(n, 2) x, y of the first and last opaque pixel of each row and column, relative to the
    centre, longer side 1."""
    solid = _alpha(kind) > 96
    height, width = solid.shape
    points = []
    for row in np.flatnonzero(solid.any(1)):
        columns = np.flatnonzero(solid[row])
        points += [
            (columns[0], row),
            (columns[-1] + 1, row),
            (columns[0], row + 1),
            (columns[-1] + 1, row + 1),
        ]
    xy = np.array(points, dtype=np.float64)
    return np.asarray((xy - (width / 2, height / 2)) / SIDE_PX)


@cache
def _inner_points(kind: str) -> Floats:
    """(n, 2) opaque sample points on a regular grid, relative to the centre, longer side 1."""
    solid = _alpha(kind) > 96
    height, width = solid.shape
    step = SIDE_PX // _GRID
    rows, columns = np.nonzero(solid[step // 2 :: step, step // 2 :: step])
    xy = np.stack([columns, rows], axis=1) * step + step / 2
    return np.asarray((xy - (width / 2, height / 2)) / SIDE_PX)


def _turn(points: Floats, rotation_deg: float) -> Floats:
    """Rotate points counter-clockwise as seen in the image (y downwards)."""
    a = math.radians(rotation_deg)
    matrix = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    return np.asarray(points @ matrix)


def extent_px(kind: str, size_px: float, rotation_deg: float) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the rotated thing, relative to its centre."""
    xy = _turn(_edge_points(kind), rotation_deg) * size_px
    left, top = xy.min(0)
    right, bottom = xy.max(0)
    return float(left), float(top), float(right), float(bottom)


def ink_points_px(
    kind: str, size_px: float, rotation_deg: float, centre: tuple[float, float]
) -> Floats:
    """(n, 2) image positions of the thing's sample points, which stand for its area."""
    return _turn(_inner_points(kind), rotation_deg) * size_px + centre


def covers(
    kind: str, size_px: float, rotation_deg: float, centre: tuple[float, float], points: Floats
) -> Bools:
    """Which image positions (n, 2) the thing covers."""
    alpha = _alpha(kind)
    height, width = alpha.shape
    xy = _turn(points - centre, -rotation_deg) / size_px * SIDE_PX + (width / 2, height / 2)
    column, row = np.floor(xy).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    hit = np.zeros(len(points), dtype=np.bool_)
    hit[inside] = alpha[row[inside], column[inside]] > 96
    return hit
