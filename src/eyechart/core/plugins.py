"""Finding codecs, tasks and VLMs by name through entry points.

Listing names imports nothing; only `load` imports the one plug-in that was asked for.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeAlias

from eyechart.core.errors import InputError, PluginError
from eyechart.core.types import Json

Group: TypeAlias = Literal["eyechart.codecs", "eyechart.tasks", "eyechart.vlms"]

# Package -> the extra that installs it.
EXTRAS = {
    "torch": "vlm",
    "transformers": "vlm",
    "safetensors": "vlm",
    "accelerate": "vlm",
    "peft": "adapter",
    "openai": "openai",
    "pyarrow": "parquet",
    "openpyxl": "xlsx",
}

_COMMA = r",(?![^\[]*\])"  # not the commas inside a list, as in `levels=[1,10,30]`


def names(group: Group) -> list[str]:
    """All registered names of a group, built-in and third-party, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: Group, name: str, **options: Json) -> Any:
    """Import the plug-in `name` and construct it with `options`.

    Raises:
        PluginError: unknown name (with the near ones), missing package, unknown option.
    """
    factory = _factory(group, name)
    allowed = _options(factory)
    for option in options:
        if allowed is not None and option not in allowed:
            raise PluginError(f"{name}: unknown option {option!r}; allowed: {', '.join(allowed)}")
    try:
        return factory(**options)
    except TypeError as error:
        if not options:
            raise
        raise PluginError(f"{name}: option not accepted: {error}") from error


def accepts(group: Group, name: str, option: str) -> bool:
    """Whether the plug-in `name` can be constructed with that option.

    Raises:
        PluginError: unknown name (with the near ones), missing package.
    """
    allowed = _options(_factory(group, name))
    return allowed is None or option in allowed


def parse_spec(spec: str) -> tuple[str, dict[str, Json]]:
    """`jpeg` or `jpeg:optimize=true,subsampling=444` -> name and options (values as JSON or text).

    Raises:
        InputError: an option without `=`.
    """
    name, _, rest = spec.partition(":")
    options: dict[str, Json] = {}
    for pair in filter(None, re.split(_COMMA, rest)):
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"option {pair!r} of {name!r} is not of the form key=value")
        try:
            options[key] = json.loads(value)
        except json.JSONDecodeError:
            options[key] = value
    return name, options


def how_to_install(package: str) -> str:
    """What to type to get a package that is missing."""
    extra = EXTRAS.get(package)
    return f"pip install 'eyechart[{extra}]'" if extra else f"pip install {package}"


def near(name: str, known: list[str]) -> str:
    """The end of an error line: the names that look like `name`, or all of them."""
    by_lower = {one.lower(): one for one in known}
    close = [
        by_lower[one] for one in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    ]
    return f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(known)}"


def _factory(group: Group, name: str) -> Any:
    point = _find(group, name)
    try:
        return point.load()
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        how = how_to_install(missing or name)
        raise PluginError(f"{name}: needs the package {missing or error}; {how}") from error


def _options(factory: Any) -> list[str] | None:
    """Names of the options a plug-in is constructed with; None: it takes any."""
    parameters = inspect.signature(factory).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return None
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in parameters if one.kind in named]


def _find(group: Group, name: str) -> EntryPoint:
    found = entry_points(group=group, name=name)
    if not found:
        kind = group.removeprefix("eyechart.").removesuffix("s")
        raise PluginError(f"unknown {kind} {name!r}; {near(name, names(group))}")
    return next(iter(found))
