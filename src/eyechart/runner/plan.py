"""The plan: a YAML file with the VLMs, tasks, codecs and adapters to combine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator
from importlib import resources
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from eyechart.core.errors import InputError, one_line
from eyechart.core.files import read_text
from eyechart.core.plugins import near, parse_spec
from eyechart.core.types import UNCOMPRESSED
from eyechart.runner.strict_yaml import load_yaml

BUILT_IN = {"quick": "eyechart.runner", "paper": "eyechart.paper"}  # plan -> folder of NAME.yaml
_T = TypeVar("_T")


def _texts(value: Any) -> Any:
    """A value as a list of texts; levels written as numbers are names."""
    return [str(item) if isinstance(item, int | float) else item for item in _listed(value)]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _some(names: tuple[_T, ...]) -> tuple[_T, ...]:
    if not names:
        raise ValueError("names nothing; allowed: one or more")
    return names


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is named twice")
    return names


Names = Annotated[
    tuple[str, ...], BeforeValidator(_texts), AfterValidator(_some), AfterValidator(_once)
]


NO_ADAPTER = "none"  # among the adapters of a plan: the VLM alone
_MOST_BYTES = 1 << 20  # of a plan
_IN_TITLE = {"vlms": "VLMs", "tasks": "tasks", "codecs": "codecs"}  # keys named in a title
_MOST_NAMES = 4  # of each; more are counted
_LONGEST_NAME = 40  # characters
_STRICT = ConfigDict(extra="forbid", frozen=True)


class CodecEntry(BaseModel):
    """A codec with some of its levels, for some of the plan's tasks and adapters; None is all of
    them."""

    model_config = _STRICT

    codec: str
    levels: Names | None = None
    tasks: Names | None = None
    adapters: Names | None = None

    def for_tasks(self, names: Collection[str]) -> CodecEntry | None:
        """The codec for those of its tasks that have these names; None if there is none."""
        if self.tasks is None:
            return self
        kept = tuple(name for name in self.tasks if name in names)
        return self.model_copy(update={"tasks": kept}) if kept else None

    def for_all_adapters(self) -> CodecEntry:
        """The codec for whatever adapters a plan has."""
        return self.model_copy(update={"adapters": None})


def _expanded(place: str | None) -> str | None:
    """A path with environment variables expanded; unset variables are unchanged."""
    return None if place is None else os.path.expandvars(place)


def _entry(value: Any) -> Any:
    return {"codec": value} if isinstance(value, str) else value


def _entries(value: Any) -> list[Any]:
    """Codecs as a list: `{jpeg: {quality: [30, 50]}}` is one of `jpeg:quality=[30,50]`."""
    found = []
    for item in _listed(value):
        named = isinstance(item, dict) and item and "codec" not in item
        if named and all(map(_is_options, item.values())):
            found += [_spec(str(name), options) for name, options in item.items()]
        else:
            found.append(item)
    return found


def _is_options(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _spec(name: str, options: dict[str, Any] | None) -> str:
    pairs = (f"{key}={_option(value)}" for key, value in (options or {}).items())
    return ":".join(filter(None, (name, ",".join(pairs))))


def _option(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, separators=(",", ":"))
    except TypeError as error:  # YAML has dates and sets
        shown = one_line(str(value), 60)
        raise ValueError(f"{shown}: allowed: text, numbers, true, false, null, lists") from error


def _levels_once(entries: tuple[CodecEntry, ...]) -> tuple[CodecEntry, ...]:
    named = [(entry.codec, level) for entry in entries for level in entry.levels or ("",)]
    _once(tuple(" level ".join(filter(None, pair)) for pair in named))
    return entries


class Plan(BaseModel):
    """What to run: every VLM with every adapter answers every task at every codec level.

    vlms: names, hub ids or directories, each with options (`qwen2.5-vl-3b:max_pixels=1003520`).
    codecs: names with options (`vvc:preset=fast`, or {vvc: {preset: fast}}), or {codec: ...,
        levels: [...], tasks: [...], adapters: [...]}.
    adapters: directories or names, `DIR:conditioning=unknown` for another conditioning;
        `none` is the VLM without an adapter.
    data: folder with the tasks' files; none means $EYECHART_DATA, $LMUData or the built-in chart.
    max_images: size of a sample of each task's images in which categories keep their shares.
    choice_set: let VLMs choose among a question's answers instead of answering freely. This is
        another protocol, whose scores are never in one table with those of free answers.
    """

    model_config = _STRICT

    title: str = "Eyechart"
    vlms: Names
    tasks: Names
    codecs: Annotated[
        tuple[Annotated[CodecEntry, BeforeValidator(_entry)], ...],
        BeforeValidator(_entries),
        AfterValidator(_some),
        AfterValidator(_levels_once),
    ]
    adapters: Names = (NO_ADAPTER,)
    data: Annotated[str | None, AfterValidator(_expanded)] = None
    max_images: Annotated[int, Field(ge=1)] | None = None
    choice_set: bool = False

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks, without options."""
        return tuple(parse_spec(task)[0] for task in self.tasks)

    @model_validator(mode="after")
    def _codecs_are_for_known_members(self) -> Self:
        for entry in self.codecs:
            for kind, names, known in (
                ("task", entry.tasks, self.task_names),
                ("adapter", entry.adapters, self.adapters),
            ):
                for name in names or ():
                    if name not in known:
                        raise ValueError(
                            f"codecs: {kind} {name!r} of {entry.codec} is none of the plan's "
                            f"{kind}s ({', '.join(known)})"
                        )
        return self


def load_plan(name_or_path: str = "quick") -> Plan:
    """Read a plan file, or a built-in plan by name.

    Raises:
        InputError: no such file, not YAML, an unknown or missing key, a value of the wrong kind.
    """
    if name_or_path in BUILT_IN:
        text = _built_in(name_or_path)
    else:
        try:
            text = read_text(name_or_path, _MOST_BYTES)
        except OSError as error:
            raise InputError(
                f"plan {name_or_path!r} cannot be read ({error.strerror}); "
                f"give a YAML file or one of {', '.join(BUILT_IN)}"
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(f"plan {name_or_path!r} is not text ({error.reason})") from error
    return parse_plan(text, name_or_path)


def _built_in(name: str) -> str:
    return resources.files(BUILT_IN[name]).joinpath(f"{name}.yaml").read_text("utf-8")


def parse_plan(text: str, name: str) -> Plan:
    """A plan from YAML text; `name` is named in errors. Raises InputError."""
    try:
        value = load_yaml(text)
    except ValueError as error:
        raise InputError(f"plan {name!r} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"plan {name!r} is not a mapping (lines of `key: value`); {_allowed()}")
    return make_plan(value, name)


def make_plan(value: dict[str, Any], name: str) -> Plan:
    """A plan from plain values; `name` is named in errors. Raises InputError."""
    odd = next((text for text in _texts_in(value) if not _is_utf8(text)), None)
    if odd is not None:  # a run directory could not note it
        raise InputError(f"plan {name!r}: {one_line(odd)!r} is not UTF-8; allowed: text in UTF-8")
    try:
        return Plan.model_validate(value)
    except ValidationError as error:
        raise InputError(f"plan {name!r}: {_first_problem(error)}") from error


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts_in(item)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def changed(plan: Plan, given: dict[str, Any], name: str) -> Plan:
    """A plan with other values for some keys; `name` is named in errors.

    Other VLMs remove the plan's adapters, which are made for one VLM. With other adapters, each
    codec is run for all of them. Another data folder removes `max_images`, and so do tasks of which
    the plan has none. Other tasks remove codecs that are run for none of them. Codecs are added to
    `source`, with which every table compares. The title names other VLMs, tasks and codecs, if no
    title is given. Raises InputError.
    """
    fitting: dict[str, Any] = {"title": _fitting_title(plan.title, given)}
    if given.get("codecs"):
        codecs = _listed(given["codecs"])
        if UNCOMPRESSED not in codecs:
            given = {**given, "codecs": [UNCOMPRESSED, *codecs]}
    entries = list(plan.codecs)
    if "vlms" in given:
        fitting["adapters"] = NO_ADAPTER
    if "vlms" in given or "adapters" in given:
        fitting["codecs"] = entries = [entry.for_all_adapters() for entry in entries]
    if "data" in given:
        fitting["max_images"] = None
    if given.get("tasks"):
        names = [parse_spec(task)[0] for task in _texts(given["tasks"])]
        if not set(names) & set(plan.task_names):  # the sample was chosen for the plan's tasks
            fitting["max_images"] = None
        fitting["codecs"] = [kept for entry in entries if (kept := entry.for_tasks(names))]
    return make_plan({**plan.model_dump(), **fitting, **given}, name) if given else plan


def _fitting_title(title: str, given: dict[str, Any]) -> str:
    """`Eyechart, quick: POPE; jpeg, vvc`; the plan's title if VLMs, tasks and codecs are its own.

    If none of the three is the plan's, neither is the title.
    """
    parts = []
    for key, kind in _IN_TITLE.items():
        texts = [text for text in _texts(given.get(key) or ()) if isinstance(text, str)]
        names = list(dict.fromkeys(_short_name(text) for text in texts if _is_utf8(text)))
        if names:
            many = len(names) > _MOST_NAMES
            parts.append(f"{len(names)} {kind}" if many else ", ".join(names))
    if not parts:
        return title
    return f"{'Eyechart' if len(parts) == len(_IN_TITLE) else title}: {'; '.join(parts)}"


def _short_name(spec: str) -> str:
    """A name without options; of a server or a hub, the model's; of a chain, each of its steps."""
    model = re.search(r"[:,]model=([^,]+)", spec)
    if model or "://" in spec:
        name = model[1] if model else spec
    else:
        name = " > ".join(step.strip().partition(":")[0] for step in spec.split(">"))
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _first_problem(error: ValidationError) -> str:
    # An unknown key comes first: usually it is a misspelling of the missing one.
    problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        known = list(CodecEntry.model_fields if len(problem["loc"]) > 1 else Plan.model_fields)
        return f"unknown key {where!r}; {near(key, known)} (allowed: {', '.join(known)})"
    if problem["type"] == "missing":
        return f"key {where!r} is missing; {_allowed()}"
    if problem["type"] == "value_error":  # raised by this module
        return f"{where}: {problem['ctx']['error']}" if where else str(problem["ctx"]["error"])
    given = repr(problem["input"])
    return f"{where}: {problem['msg']}, not {given if len(given) < 60 else given[:57] + '...'}"


def _allowed() -> str:
    return f"allowed: {', '.join(Plan.model_fields)}"
