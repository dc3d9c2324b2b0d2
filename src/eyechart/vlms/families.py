"""VLM families, found through entry points of the group `eyechart.families`.

A family is one file: how its VLMs are opened, their known names, their prompts and their vision
tower. Its entry point is named by the value of `VLM.family` and refers to a `Family`. Family files
load no torch when they are imported, so that VLMs can be listed without it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyechart.core import plugins
from eyechart.core.errors import BrokenPluginError, PluginError, one_line
from eyechart.core.prompts import PromptStyle
from eyechart.core.types import VLM
from eyechart.vlms.hub import in_hub_cache

if TYPE_CHECKING:
    from eyechart.vlms.towers import Tower

LOCAL_PACKAGES = ("torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVLM:
    """A VLM that resolves by name.

    hub_id: its checkpoint on the hub; empty if there is none. folder: its checkpoint, if it is
    installed with a package. served_model: its name on a server. note: shown in lists instead of a
    model name, and as the reason why a served VLM is not ready. plugin: a plug-in of
    `eyechart.vlms` that opens it instead of the family's `open`.
    """

    name: str
    hub_id: str = ""
    folder: Path | None = None
    served_model: str = ""
    note: str = ""
    plugin: str = ""

    @property
    def model(self) -> str | None:
        """Value of the option `model` that opens it. None: the default."""
        return self.hub_id or self.served_model or None

    @property
    def names(self) -> frozenset[str]:
        """All spellings that name it, in lower case."""
        return frozenset({self.name, self.hub_id.lower(), self.served_model.lower()} - {""})


def why_not_ready(known: KnownVLM) -> str | None:
    """None if a VLM with weights on this machine can answer; else how to get what is missing.

    Loads and downloads nothing.
    """
    for package in LOCAL_PACKAGES:
        if find_spec(package) is None:
            return plugins.how_to_install(package)
    if known.folder is not None:
        return None if any(known.folder.glob("*.safetensors")) else "no weights built in"
    return None if in_hub_cache(known.hub_id) else f"hf download {known.hub_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The parts in which VLM families differ.

    open: class or function that makes a VLM from `model` and options. It must be importable by
        name, because copies of a VLM run in separate processes.
    known: VLMs that resolve by name. model_types: `model_type` in config.json of the checkpoints
        that `open` loads. aliases: more names of the family; these, the model types and the
        family's own name open it with `NAME:model=...`.
    tower: the vision tower of a transformers model, for adapters. None: it takes no adapter.
    prompts: prompts that differ from the default ones.
    why_not_ready: None if a known VLM can answer on this machine, else how to get what is missing.
    """

    open: Callable[..., VLM]
    known: tuple[KnownVLM, ...] = ()
    model_types: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    tower: Callable[[Any], Tower] | None = None
    prompts: PromptStyle = field(default_factory=PromptStyle)
    why_not_ready: Callable[[KnownVLM], str | None] = why_not_ready


def family(name: str) -> Family:
    """The family that an entry point names.

    Raises:
        PluginError: unknown or ambiguous name, or a plug-in that cannot be imported or has a field
            of a wrong type.
    """
    found = plugins.load_factory("eyechart.families", name)
    with plugins.guarded(name):
        if not isinstance(found, Family):
            shown = one_line(repr(found), 60)
            raise BrokenPluginError(f"{name}: this family is {shown}, not a Family")
        _check_fields(name, found)
    return found


def not_ready(name: str, known: KnownVLM) -> str | None:
    """None if a known VLM of the family `name` can answer; else how to get what is missing.

    Raises:
        PluginError: its plug-in is registered twice or not at all, or the family fails to tell.
    """
    if known.plugin:
        plugins.find("eyechart.vlms", known.plugin)
    with plugins.guarded(name):
        found = family(name).why_not_ready(known)
        if not isinstance(found, str | None):
            raise BrokenPluginError(f"{name}: why_not_ready gave {one_line(repr(found), 60)}")
    return found


def all_families() -> dict[str, Family]:
    """All families that can be imported, by name."""
    found = {}
    for name in plugins.names("eyechart.families"):
        with suppress(PluginError):
            found[name] = family(name)
    return found


def broken_families() -> dict[str, str]:
    """Families that cannot be imported, each with a one-line reason."""
    found = {}
    for name in plugins.names("eyechart.families"):
        try:
            family(name)
        except PluginError as error:
            found[name] = str(error).removeprefix(f"{name}: ")
    return found


def known_vlms() -> list[tuple[str, KnownVLM]]:
    """(family, VLM) of all VLMs known by name: built in, from the hub, on servers."""
    found = [(name, known) for name, one in all_families().items() for known in one.known]
    return sorted(found, key=lambda pair: (pair[1].folder is None, bool(pair[1].served_model)))


def family_named(name: str) -> str | None:
    """The family that opens `NAME:model=...`: by its own name, an alias or a model type.

    Raises:
        PluginError: two families with one name.
    """
    return _only(
        name, {key for key, one in all_families().items() if name in {key, *one.aliases}}
    ) or (family_of_type(name))


def family_of_type(model_type: str) -> str | None:
    """The family of a `model_type`, or None.

    Raises:
        PluginError: two families that load this type.
    """
    return _only(
        model_type, {key for key, one in all_families().items() if model_type in one.model_types}
    )


def _check_fields(name: str, found: Family) -> None:
    """Refuse a family with a field that would fail later, where all families are looked at."""
    valid = {
        "open": callable(found.open),
        "known": _holds(found.known, KnownVLM) and all(map(_is_valid, found.known)),
        "model_types": _holds(found.model_types, str),
        "aliases": _holds(found.aliases, str),
        "tower": found.tower is None or callable(found.tower),
        "prompts": isinstance(found.prompts, PromptStyle),
        "why_not_ready": callable(found.why_not_ready),
    }
    for field_name, is_valid in valid.items():
        if not is_valid:
            shown = one_line(repr(getattr(found, field_name)), 60)
            raise BrokenPluginError(f"{name}: field {field_name} of this family is {shown}")


def _holds(values: object, kind: type) -> bool:
    """Whether these are several values of one type; a text alone is not several texts."""
    if isinstance(values, str) or not isinstance(values, Collection):
        return False
    return all(isinstance(value, kind) for value in values)


def _is_valid(known: KnownVLM) -> bool:
    texts = (known.name, known.hub_id, known.served_model, known.note, known.plugin)
    return _holds(texts, str) and isinstance(known.folder, Path | None)


def _only(what: str, found: set[str]) -> str | None:
    if len(found) > 1:
        raise BrokenPluginError(
            f"{what}: claimed by the families {' and '.join(sorted(found))}; uninstall all but one"
        )
    return next(iter(found), None)
