"""Rate points from a list of encoder settings (qualities, QPs, distances)."""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.core.errors import InputError
from eyechart.core.hooks import OpenLevels
from eyechart.core.types import Codec, Level, is_neural


def make_levels(
    codec: str, knob: str, values: Sequence[float], *, least: float, most: float, rate: str
) -> tuple[Level, ...]:
    """One level for each value, named by the value, lowest rate first.

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
    """A level's setting as text for an encoder. Raises InputError for a level of another codec."""
    value = level.knobs.get(knob)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{codec}: level {level.name!r} has no {knob}; it is not one of {codec}'s")
    return f"{value:g}"


def level_at(
    codec: str, knob: str, text: str, levels: Sequence[Level], *, least: float, most: float
) -> Level:
    """A level at any value of the knob that a user typed.

    Its rank is that of the listed level with the nearest value. Runs use listed levels only.
    Raises:
        InputError: not a number, or outside least..most.
    """
    kind = "whole numbers" if isinstance(least, int) else "numbers"
    try:
        value = int(text) if isinstance(least, int) else float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        listed = ", ".join(level.name for level in levels)
        raise InputError(
            f"codec {codec}: no level {text!r}; levels: {listed}; "
            f"also allowed as {knob}: {kind} from {least} to {most}"
        )
    nearest = min(levels, key=lambda level: abs(float(str(level.knobs[knob])) - value))
    return Level(name=f"{value:g}", rank=nearest.rank, knobs={knob: value})


def choose_level(codec: Codec, name: str | None) -> Level:
    """The level for a single image: a listed one, or any that the codec offers.

    name: None for a codec with one level.
    Raises:
        InputError: no such level; no name for a codec with several levels.
        PluginError: a codec with weights has none, so that there is no level.
    """
    require_levels(codec)
    if name is None:
        if len(codec.levels) != 1:
            allowed = ", ".join(level.name for level in codec.levels) or "none"
            raise InputError(f"codec {codec.name}: no level given; allowed: {allowed}")
        return codec.levels[0]
    if isinstance(codec, OpenLevels) and name not in [level.name for level in codec.levels]:
        return codec.level_at(name)
    return find_level(codec, name)


def require_levels(codec: Codec) -> None:
    """Refuse a codec with weights that has none, and say how to get them. Raises PluginError."""
    if is_neural(codec) and not codec.levels:
        codec.check()


def find_level(codec: Codec, name: str) -> Level:
    """The listed level of that name. Raises InputError, which lists the names."""
    levels = {level.name: level for level in codec.levels}
    if name not in levels:
        more = f"; others: {codec.name}:levels=[...]" if isinstance(codec, OpenLevels) else ""
        raise InputError(
            f"codec {codec.name}: no level {name!r}; allowed: {', '.join(levels)}{more}"
        )
    return levels[name]
