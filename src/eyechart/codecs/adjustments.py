"""What a user adds to a codec: earlier steps, smaller sizes, target rates."""

from __future__ import annotations

from dataclasses import dataclass, field

from eyechart.codecs.resize import MOST_PX
from eyechart.codecs.steps import EarlierSteps
from eyechart.core.errors import InputError, one_line
from eyechart.core.types import Json, Level, Rgb8

TARGET_UNITS = {"target_bpp": "bpp", "target_bytes": "B"}  # by option


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A rate that the codec's setting is searched for. knob: target_bpp or target_bytes."""

    knob: str
    value: int | float

    @classmethod
    def of(cls, level: Level) -> Target | None:
        """The target of a level; None if it has none."""
        for knob in TARGET_UNITS:
            value = level.knobs.get(knob)
            if isinstance(value, int | float):
                return cls(knob=knob, value=value)
        return None

    @property
    def name(self) -> str:
        """`0.25bpp`, `30000B`: the name of its level."""
        return f"{self.value:.10g}{TARGET_UNITS[self.knob]}"

    def bytes_for(self, original: Rgb8) -> float:
        """The greatest payload of an image."""
        if self.knob == "target_bytes":
            return float(self.value)
        height_px, width_px, _ = original.shape
        return float(self.value * height_px * width_px / 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustments:
    """What is done beside a codec. long_sides: sizes of the levels, pixels; (): the original one.
    targets: instead of the codec's levels. restore: the receiver restores the original size; None:
    nothing changes it."""

    steps: EarlierSteps = field(default_factory=EarlierSteps)
    long_sides: tuple[int, ...] = ()
    targets: tuple[Target, ...] = ()
    restore: bool | None = None


def checked_long_sides(codec: str, value: Json) -> tuple[int, ...]:
    """Sizes as a user typed them, one or several. Raises InputError."""
    sides = list(value) if isinstance(value, list | tuple) else [value]
    for side in sides:
        if type(side) is not int or not 1 <= side <= MOST_PX:
            shown = one_line(repr(side), 60)
            raise InputError(f"{codec}: long_side {shown}; allowed are pixels from 1 to {MOST_PX}")
    if len(set(sides)) < len(sides):
        raise InputError(f"{codec}: long_side={sides} names a size twice")
    return tuple(side for side in sides if isinstance(side, int))


def checked_targets(codec: str, knob: str, value: Json) -> list[Target]:
    """Targets as a user typed them, one or several. Raises InputError."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int | float) or not 0 < one <= 1e9:
            raise InputError(
                f"{codec}: {knob} {one_line(repr(one), 60)}; allowed are numbers over 0, up to 1e9"
            )
    if len(set(values)) < len(values):
        raise InputError(f"{codec}: {knob}={values} names a value twice")
    return [Target(knob=knob, value=one) for one in values if isinstance(one, int | float)]
