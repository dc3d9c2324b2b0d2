"""Codecs by name or spec, with the settings that every codec has.

jpeg:levels=[10,30]                    the codec's own options
jpeg:75                                one level
jpeg:quality=[30,50]                   levels, by the name of the codec's setting
jpeg:quality=[30,50],long_side=[512]   smaller sizes, restored by the receiver
jpeg:...,restore=false                 not restored: the VLM gets the smaller image
jpeg:target_bpp=[0.2,0.5]              the setting is searched for each image
jpeg:75 > resize:1024 > webp:60        what was done to the image before
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eyechart.codecs.adjusted import adjusted
from eyechart.codecs.adjustments import (
    TARGET_UNITS,
    Adjustments,
    checked_long_sides,
    checked_targets,
)
from eyechart.codecs.steps import SEPARATOR, EarlierSteps, steps_of
from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError, one_line
from eyechart.core.types import LONG_SIDE, Codec, CodecSpec, Json, component_of


def parse_codec(spec: str) -> tuple[str, dict[str, Json]]:
    """A spec -> the name (of a chain: all its steps, the last one by name) and its options.

    Raises:
        InputError: as `plugins.parse_spec`.
    """
    *earlier, last = _steps(spec)
    name, colon, rest = last.partition(":")
    if colon and _is_level(rest.partition(",")[0]):
        level, _, more = rest.partition(",")
        name, options = plugins.parse_spec(f"{name}:{more}")
        options = {"levels": [json.loads(level)], **options}
    else:
        name, options = plugins.parse_spec(last)
    return f" {SEPARATOR} ".join([*earlier, name]), options


def plugin_of(name: str) -> str:
    """The plug-in of a name that `parse_codec` returned: of a chain, its last step."""
    return _steps(name)[-1]


def open_named(
    name: str, options: Mapping[str, Json], load: Callable[..., Any] = plugins.load
) -> Codec:
    """The codec of a name and options, as `parse_codec` returns them. load: `plugins.load`.

    Raises:
        PluginError: an unknown name or option, a missing package.
        InputError: an option's value is not allowed.
    """
    plugin, own = plugin_of(name), dict(options)
    long_sides = checked_long_sides(plugin, own.pop(LONG_SIDE, []))
    restore = own.pop("restore", None)
    if restore is not None and not isinstance(restore, bool):
        raise InputError(f"{plugin}: restore {restore!r}; allowed are true and false")
    targets = [
        target
        for knob in TARGET_UNITS
        for target in checked_targets(plugin, knob, own.pop(knob, []))
    ]
    leveled = _with_levels(plugin, own)
    if targets and "levels" in leveled:
        given = next((key for key in own if key not in leveled), "levels")
        raise InputError(f"{plugin}: {targets[0].knob} and {given}; allowed is one of them")
    codec: Codec = load("eyechart.codecs", plugin, leveled)
    steps = steps_of(_steps(name)[:-1], _open_step)
    if not (long_sides or targets or steps or restore is not None):
        return codec
    with plugins.guarded(plugin):
        return adjusted(
            codec,
            Adjustments(
                steps=steps,
                long_sides=long_sides,
                targets=tuple(targets),
                restore=_restores(restore, long_sides, steps),
            ),
        )


def open_spec(spec: CodecSpec) -> Codec:
    """The codec of a spec, opened in this process.

    Raises:
        PluginError: it cannot be opened here, or another version of it is installed here.
    """
    codec = open_named(spec.plugin, spec.options)
    with plugins.guarded(plugins.name_of(codec)):
        found = component_of(codec)
    if found != spec.component:
        raise PluginError(
            f"{spec.plugin}: this worker has version {found.version!r}, "
            f"the run was planned with {spec.component.version!r}"
        )
    return codec


def _restores(given: bool | None, long_sides: Sequence[int], steps: EarlierSteps) -> bool | None:
    """Whether the original size is restored; None if nothing changes it.

    By default a step that makes the image smaller is not undone, `long_side` is.
    """
    if given is not None:
        return given
    return not steps.resizes if long_sides or steps.resizes else None


def _open_step(text: str) -> Codec:
    return open_named(*parse_codec(text))


def _steps(chain: str) -> list[str]:
    """The texts of a chain's steps; one of a codec alone."""
    return [text.strip() for text in chain.split(SEPARATOR)]


def _is_level(text: str) -> bool:
    try:
        return isinstance(json.loads(text), int | float)
    except ValueError:
        return False


def _with_levels(plugin: str, options: dict[str, Json]) -> dict[str, Json]:
    """The options, with `levels` for the name of the codec's setting (`quality=[30,50]`)."""
    if not options or "levels" in options:
        return options
    factory = plugins.load_factory("eyechart.codecs", plugin)
    allowed = plugins.options_of(factory)
    if allowed is None or "levels" not in allowed or options.keys() <= set(allowed):
        return options
    rest = {key: value for key, value in options.items() if key in allowed}
    codec: Codec = plugins.load("eyechart.codecs", plugin, rest)
    with plugins.guarded(plugin):
        knobs = {knob for level in codec.levels for knob in level.knobs}
    given = [key for key in options if key in knobs and key not in allowed]
    if len(given) != 1:
        return options
    values = options[given[0]]
    if isinstance(values, str) or not isinstance(values, list | tuple | int | float):
        raise InputError(f"{plugin}: {given[0]} is {one_line(repr(values), 60)}; allowed: numbers")
    listed = list(values) if isinstance(values, list | tuple) else [values]
    return {**{key: value for key, value in options.items() if key != given[0]}, "levels": listed}
