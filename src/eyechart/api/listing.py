"""What there is, and whether it works on this machine: codecs, tasks, VLMs, adapters, packages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from eyechart.core import plugins
from eyechart.core.errors import EyechartError, InputError, PluginError
from eyechart.core.hooks import HasFile, HasMissingLevels
from eyechart.core.types import UNCOMPRESSED, Task, is_neural

if TYPE_CHECKING:
    from eyechart.runner.readiness import CheckResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCodec:
    """A registered codec. problem: why it does not work here, with the remedy; "" if it does.
    missing: of a codec that works, the levels that are not here and where they are published."""

    name: str
    levels: tuple[str, ...] = ()
    version: str = ""
    problem: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTask:
    """A registered task. file, folder, origin: of its data, "" if it finds its data itself.
    how_to_get: where to get a missing file, else "". problem: why it cannot be opened, else ""."""

    name: str
    headline_metric: str = ""
    file: str = ""
    folder: str = ""
    origin: str = ""
    how_to_get: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVlm:
    """A VLM that is known by name. model: its hub id or name on a server. plugin: it is a plug-in
    that no family knows. problem: why it does not work here, with the remedy; "" if it does."""

    name: str
    model: str = ""
    family: str = ""
    plugin: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAdapter:
    """An adapter in a folder. codecs: that it was trained on, without the uncompressed image.
    problem: why it cannot be read, else ""."""

    folder: Path
    base: str = ""
    codecs: tuple[str, ...] = ()
    injection: str = ""
    conditioning: str = ""
    problem: str = ""


def list_codecs() -> list[ListedCodec]:
    """All registered codecs. Reads no weights."""
    return [_codec(name) for name in plugins.names("eyechart.codecs")]


def _codec(name: str) -> ListedCodec:
    from eyechart.codecs import open_codec

    levels: tuple[str, ...] = ()
    version = problem = missing = ""
    try:
        codec = open_codec(name)
        with plugins.guarded(name):
            levels = tuple(level.name for level in codec.levels)
            version = codec.version
            if is_neural(codec):
                codec.check()
            if isinstance(codec, HasMissingLevels):
                missing = codec.missing_levels
    except EyechartError as error:
        problem = _without_name(name, error)
    return ListedCodec(name=name, levels=levels, version=version, problem=problem, missing=missing)


def list_tasks(data: str | None = None) -> list[ListedTask]:
    """All registered tasks, and whether their data is found. data: as for `open_task`.

    Raises:
        InputError: `data` does not exist.
    """
    from eyechart.store.remote import small_downloads
    from eyechart.tasks.sources import place_of

    with small_downloads():
        place_of(data)  # a wrong folder is one error, not a missing file for every task
        return [_task(name, data) for name in plugins.names("eyechart.tasks")]


def _task(name: str, data: str | None) -> ListedTask:
    from eyechart.tasks import open_task

    try:
        with plugins.guarded(name):
            return _found_task(open_task(name, data=data))
    except EyechartError as error:
        return ListedTask(name=name, problem=_without_name(name, error))


def _found_task(task: Task) -> ListedTask:
    listed = ListedTask(name=task.name, headline_metric=task.headline_metric)
    if not isinstance(task, HasFile):  # it finds its own data
        return listed
    file = task.data_file()
    if file.path is not None:
        folder = str(file.path.parent)
        return replace(listed, file=file.path.name, folder=folder, origin=file.origin)
    if not file.published:
        return replace(listed, problem="its file is missing")
    wanted = file.published[0]
    how = f"{wanted.name}: get it from {wanted.url} (md5 {wanted.md5})"
    return replace(listed, file=wanted.name, how_to_get=how)


def list_vlms() -> list[ListedVlm]:
    """All VLMs that are known by name, and broken families. Loads and downloads nothing."""
    from eyechart.vlms import known_vlms, open_vlm, vlm_names
    from eyechart.vlms.families import broken_families, not_ready

    listed = []
    for name, known in known_vlms():
        try:
            problem = not_ready(name, known) or ""
        except PluginError as error:
            problem = str(error)
        model = known.model or known.note
        listed.append(ListedVlm(name=known.name, model=model, family=name, problem=problem))
    for name, why in broken_families().items():
        listed.append(ListedVlm(name=name, problem=why))
    for name in sorted(set(vlm_names()) - {known.name for _, known in known_vlms()}):
        try:
            with plugins.guarded(name):
                listed.append(ListedVlm(name=name, family=open_vlm(name).family, plugin=True))
        except EyechartError as error:
            listed.append(ListedVlm(name=name, plugin=True, problem=_without_name(name, error)))
    return listed


def model_types() -> list[str]:
    """The architectures whose checkpoints open by hub id or directory."""
    from eyechart.vlms import model_types as types

    return types()


def list_adapters(folder: str | Path) -> list[ListedAdapter]:
    """The adapters in a folder and up to two levels below it, and those that ship with eyechart.

    Raises:
        InputError: no such folder.
    """
    from eyechart.adapters.package import find_adapters

    return [_adapter(path) for path in find_adapters(Path(folder))]


def _adapter(folder: Path) -> ListedAdapter:
    from eyechart.adapters.package import read_config

    try:
        config = read_config(folder)
    except InputError as error:
        return ListedAdapter(folder=folder, problem=str(error))
    return ListedAdapter(
        folder=folder,
        base=str(config.base.get("name", "")),
        codecs=tuple(codec for codec in config.trained_codecs if codec != UNCOMPRESSED),
        injection=config.injection,
        conditioning=config.conditioning,
    )


def readiness() -> Iterator[tuple[str, Sequence[CheckResult]]]:
    """What `eyechart doctor` reports, section by section.

    Codecs are tried on a small image; VLMs are looked up but not loaded.
    """
    from eyechart.runner.readiness import codecs, machine, metrics, packages, tasks, vlms

    sections = {
        "this machine": machine,
        "codecs": codecs,
        "tasks": tasks,
        "VLMs": vlms,
        "quality metrics": metrics,
        "optional packages": packages,
    }
    for title, check in sections.items():
        yield title, list(check())


def _without_name(name: str, error: EyechartError) -> str:
    return str(error).removeprefix(f"{name}: ")
