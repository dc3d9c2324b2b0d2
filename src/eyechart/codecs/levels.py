"""Rate points from a list of encoder settings (qualities, QPs, distances)."""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.core.errors import InputError
from eyechart.core.types import Codec, Level


def make_levels(
    codec: str, knob: str, values: Sequence[float], *, least: float, most: float, rate: str
) -> tuple[Level, ...]:
    """One level a value, named by the value, lowest rate first.

    rate: `rises` or `falls` with the value (quality: rises; QP and distance: falls).
    Raises:
        InputError: no value, a value twice, not a number, or outside least..most.
    """
    allowed = f"allowed are different numbers from {least} to {most}"
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise InputError(f"{codec}: levels={values!r} is not a list of {knob} values; {allowed}")
    for value in values:
        whole = isinstance(least, int)
        kind = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
            raise InputError(f"{codec}: {knob} {value!r} in levels is out of range; {allowed}")
    if len(set(values)) < len(values):
        raise InputError(f"{codec}: levels={list(values)} names a value twice; {allowed}")
    ordered = sorted(values, reverse=rate == "falls")
    return tuple(
        Level(name=f"{value:g}", rank=rank, knobs={knob: value})
        for rank, value in enumerate(ordered)
    )


def knob_of(codec: str, level: Level, knob: str) -> str:
    """A level's setting as text for an encoder. Raises InputError for another codec's level."""
    value = level.knobs.get(knob)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{codec}: level {level.name!r} has no {knob}; it is not one of {codec}'s")
    return f"{value:g}"


def find_level(codec: Codec, name: str) -> Level:
    """The level a user typed. Raises InputError with the names there are."""
    levels = {level.name: level for level in codec.levels}
    if name not in levels:
        raise InputError(f"codec {codec.name}: no level {name!r}; allowed: {', '.join(levels)}")
    return levels[name]
