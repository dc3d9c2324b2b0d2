"""Whether a value that a user typed fits a parameter's annotation.

Only the kinds of JSON are distinguished: text, whole numbers, numbers, true and false, null, and
lists and mappings of these. Any value fits every other annotation.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

_NAMES: dict[Any, tuple[str, str]] = {  # one, several
    str: ("text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true and false"),
    type(None): ("null", "null"),
}


def annotations_of(factory: Any) -> dict[str, Any]:
    """The parameters' annotations of a class, function or partial; {} if they do not resolve."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    call = factory.__init__ if inspect.isclass(factory) else factory
    try:
        return typing.get_type_hints(call)
    except Exception:  # noqa: BLE001 - foreign annotations may use names that do not exist at run time
        return {}


def fits(value: object, kind: Any) -> bool:
    """Whether a JSON value fits an annotation. A whole number is also a number."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if kind is None:
        return value is None
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in _NAMES:
        return isinstance(value, kind)
    if _is_a(origin, Mapping):
        return isinstance(value, Mapping) and all(fits(one, parts[1]) for one in value.values())
    if _is_a(origin, Sequence):
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        return is_list and all(fits(one, parts[0]) for one in typing.cast("Any", value))
    return True


def kind_name(kind: Any) -> str:
    """The kinds an annotation allows, in words: `a list of whole numbers or null`."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind_name(part) for part in parts)
    if origin is typing.Literal:
        return ", ".join(str(part) for part in parts)
    if _is_a(origin, Mapping):
        return f"a mapping of {_several(parts[1])}"
    if _is_a(origin, Sequence):
        return f"a list of {_several(parts[0])}"
    return _NAMES[kind][0] if kind in _NAMES else getattr(kind, "__name__", str(kind))


def _several(kind: Any) -> str:
    return _NAMES[kind][1] if kind in _NAMES else kind_name(kind)


def _is_a(origin: Any, abstract: type) -> bool:
    return inspect.isclass(origin) and issubclass(origin, abstract)
