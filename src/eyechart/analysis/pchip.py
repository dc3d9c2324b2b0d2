"""Piecewise cubic Hermite interpolation (PCHIP) of many curves at once, and its exact integral.

scipy interpolates curves with common abscissae; a paired bootstrap needs a thousand curves with
different rates, because resampling images changes the mean bpp too. The slopes are those of
`scipy.interpolate.PchipInterpolator` (Fritsch and Butland, "A method for constructing local
monotone piecewise cubic interpolants", SIAM J. Sci. Stat. Comput. 1984); a test compares them.

Shapes: `...` are any leading axes (bootstrap samples), n >= 2 the points of a curve.
"""

from __future__ import annotations

import numpy as np

from eyechart.core.types import Floats


def slopes(x: Floats, y: Floats) -> Floats:
    """Derivatives at the points: (..., n) -> (..., n). `x` strictly increasing."""
    width = np.diff(x)  # (..., n - 1)
    secant = np.diff(y) / width
    if secant.shape[-1] == 1:  # two points: the straight line
        return np.repeat(secant, 2, axis=-1)
    slope = np.empty(np.broadcast_shapes(x.shape, y.shape))
    slope[..., 1:-1] = _inner_slopes(width, secant)
    slope[..., 0] = _end_slope(width[..., 0], width[..., 1], secant[..., 0], secant[..., 1])
    slope[..., -1] = _end_slope(width[..., -1], width[..., -2], secant[..., -1], secant[..., -2])
    return slope


def value(x: Floats, y: Floats, at: float) -> float:
    """The interpolant of one curve, (n,) each, at a place within its points."""
    slope, width = slopes(x, y), np.diff(x)
    piece = int(np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(width) - 1))
    part = (at - x[piece]) / width[piece]
    square, cube = part**2, part**3
    rise = (3 * square - 2 * cube) * (y[piece + 1] - y[piece])
    bend = (part - 2 * square + cube) * slope[piece] + (cube - square) * slope[piece + 1]
    return float(y[piece] + rise + width[piece] * bend)


def integral(x: Floats, y: Floats, low: Floats, high: Floats) -> Floats:
    """Integral of the interpolant of (x, y), each (..., n), from `low` to `high`, each (...).

    The bounds must be within the points; every polynomial piece is integrated in closed form.
    """
    slope = slopes(x, y)
    return _antiderivative(x, y, slope, high) - _antiderivative(x, y, slope, low)


def _inner_slopes(width: Floats, secant: Floats) -> Floats:
    """Weighted harmonic mean of the neighbouring secants; 0 if their signs differ."""
    left, right = secant[..., :-1], secant[..., 1:]
    weight_left = width[..., :-1] + 2 * width[..., 1:]
    weight_right = 2 * width[..., :-1] + width[..., 1:]
    same_sign = (np.sign(left) == np.sign(right)) & (left != 0)
    safe_left, safe_right = np.where(same_sign, left, 1.0), np.where(same_sign, right, 1.0)
    with np.errstate(over="ignore"):  # a secant near 0 overflows to a mean of 0, which is right
        reciprocal = weight_left / safe_left + weight_right / safe_right
    harmonic = (weight_left + weight_right) / reciprocal
    return np.where(same_sign, harmonic, 0.0)


def _end_slope(width: Floats, next_width: Floats, secant: Floats, next_secant: Floats) -> Floats:
    """Three-point estimate at an end, limited so that the end piece stays monotone."""
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    turns = np.sign(secant) != np.sign(next_secant)
    slope = np.where(turns & (np.abs(slope) > 3 * np.abs(secant)), 3 * secant, slope)
    return np.where(np.sign(slope) == np.sign(secant), slope, 0.0)


def _antiderivative(x: Floats, y: Floats, slope: Floats, at: Floats) -> Floats:
    """Integral from the first point to `at` (...): whole pieces, and a part of the last one."""
    width = np.diff(x)
    part = np.clip((np.asarray(at)[..., None] - x[..., :-1]) / width, 0.0, 1.0)  # of each piece
    square = part * part
    cube, fourth = square * part, square * square
    # Integrals of the four Hermite basis polynomials from 0 to `part`.
    piece = y[..., :-1] * (part - cube + fourth / 2)
    piece = piece + y[..., 1:] * (cube - fourth / 2)
    piece = piece + width * slope[..., :-1] * (square / 2 - 2 * cube / 3 + fourth / 4)
    piece = piece + width * slope[..., 1:] * (fourth / 4 - cube / 3)
    return np.asarray((width * piece).sum(axis=-1), dtype=np.float64)
