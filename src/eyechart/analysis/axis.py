"""What curves are drawn over: bits per pixel, or another cost of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from eyechart.core.errors import InputError, one_line

AxisName: TypeAlias = Literal["bpp", "bytes", "tokens", "usd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The horizontal axis of curves, and what BD-Metrics are averaged over.

    unit: of its values, as CSV columns name it. column: what charts and tables call it. same: of
    two equal values, in a sentence. decimals: of its values in tables.
    """

    name: AxisName
    unit: str
    column: str
    same: str
    decimals: int

    def text(self, value: float) -> str:
        """A value with its unit, as sentences give it: `0.26 bpp`."""
        return f"{value:.{min(2, self.decimals)}f} {self.unit}"

    def short(self, value: float) -> str:
        """A value as lists of ranges give it: `0.26`."""
        return f"{value:.2g}" if self.name == "bpp" else f"{value:.{min(2, self.decimals)}f}"


BPP = Axis(name="bpp", unit="bpp", column="bpp", same="at the same rate", decimals=3)
_AXES = (
    BPP,
    Axis(name="bytes", unit="kB", column="kB an image", same="at the same size", decimals=1),
    Axis(
        name="tokens",
        unit="tokens",
        column="visual tokens an image",
        same="with as many tokens",
        decimals=0,
    ),
    Axis(
        name="usd",
        unit="USD per 1,000",
        column="US dollars per 1,000 questions",
        same="at the same price",
        decimals=3,
    ),
)


def axis_named(name: str) -> Axis:
    """The axis of a name. Raises InputError."""
    for axis in _AXES:
        if axis.name == name:
            return axis
    raise InputError(f"axis {one_line(name, 60)!r}; allowed: {', '.join(get_args(AxisName))}")


def axis_units() -> tuple[str, ...]:
    """The units of all axes."""
    return tuple(axis.unit for axis in _AXES)
