"""Opening what a plan names; the only module of the run that looks up plug-ins."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from eyechart.codecs.levels import find_level
from eyechart.codecs.opening import open_named, parse_codec
from eyechart.core import plugins
from eyechart.core.built_in import BUILT_IN_DATA
from eyechart.core.errors import InputError, NotDownloadedError, UnusableVLMError
from eyechart.core.hooks import facts_of
from eyechart.core.identity import canonical_json
from eyechart.core.kinds import fits
from eyechart.core.pool import WorkerPool
from eyechart.core.types import VLM, Component, Json, Level, Task, component_of, is_neural
from eyechart.core.workers import OpenWorkers
from eyechart.runner.plan import NO_ADAPTER, CodecEntry, Plan
from eyechart.runner.work import (
    CodecLevels,
    ModelConfig,
    TaskWork,
    Work,
    task_work,
    vlm_component,
    vlm_identity,
)
from eyechart.store import RunInfo
from eyechart.store.remote import url_of
from eyechart.store.url_folders import without_downloads
from eyechart.vlms.adapter_identity import adapter_component, parse_adapter, require_version


def resolve(
    plan: Plan,
    *,
    device: str = "auto",
    models: bool = True,
    open_workers: OpenWorkers = WorkerPool,
) -> Work:
    """Open everything that a plan names, without loading weights.

    device: for VLMs that take one (`auto`, `cpu`, `cuda:1`, ...). models: False opens neither VLMs
    nor adapters, and the work has none. open_workers: for VLMs with several copies.

    A VLM that is not here and cannot be looked up on the hub is listed in `Work.unusable`.

    Raises:
        InputError: an unknown or unusable name, level, option, data file or adapter.
    """
    from eyechart.tasks import open_tasks

    codecs = tuple(codec_levels(entry) for entry in plan.codecs)
    for entry in codecs:
        # Its version may need a program, whose absence must be found now; so must a broken member.
        with plugins.guarded(entry.plugin):
            canonical_json(component_of(entry.codec))
            facts_of(entry.codec)
    tasks = open_tasks(plan.tasks, plan.data)
    parts = tuple(
        _task_work(name, task, plan) for name, task in zip(plan.task_names, tasks, strict=True)
    )
    # Last, because finding a VLM may use the network.
    open_on = partial(open_spec, device=device, open_workers=open_workers)
    opened: list[ModelConfig] = []
    unusable: list[str] = []
    for vlm, adapter in product(plan.vlms if models else (), plan.adapters):
        try:
            opened.append(_model_config(vlm, adapter, open_on, tasks))
        except UnusableVLMError as error:
            unusable.append(str(error))
    _refuse_duplicates("vlm and adapter", [(model.vlm, model.adapter) for model in opened])
    _refuse_duplicates("task", [(component_of(task),) for task in tasks])
    rates = [(component_of(entry.codec), level) for entry in codecs for level in entry.levels]
    _refuse_duplicates("codec and level", [(codec, level.name) for codec, level in rates])
    return Work(
        models=tuple(opened),
        unusable=tuple(dict.fromkeys(unusable)),
        codecs=codecs,
        tasks=parts,
    )


def _refuse_duplicates(kind: str, members: Sequence[tuple[Component | str | None, ...]]) -> None:
    """Refuse two names of one member (`qwen2.5-vl-3b` and its hub id). Raises InputError."""
    seen: set[str] = set()
    for member in members:
        key = canonical_json(list(member))
        if key in seen:
            names = [part.name if isinstance(part, Component) else part for part in member]
            raise InputError(f"{kind} {' '.join(filter(None, names))} would be run twice")
        seen.add(key)


def model_names(plan: Plan) -> list[str]:
    """Names of the plan's VLMs with their adapters.

    A VLM whose weights or server are not here is no error, and those at a URL are not downloaded.

    Raises:
        InputError: a name or an option that no run could use.
    """
    from eyechart.vlms import vlm_names

    for spec in plan.vlms:
        if spec.lower() not in vlm_names():  # with options, a directory, a hub id, or unknown
            with suppress(UnusableVLMError, NotDownloadedError), without_downloads():
                open_spec(spec)
    for spec in plan.adapters:
        if spec != NO_ADAPTER and "/" not in spec:  # a folder may not exist yet
            parse_adapter(spec)
    return [
        vlm if adapter == NO_ADAPTER else f"{vlm} + {Path(adapter).name}"
        for vlm in plan.vlms
        for adapter in plan.adapters
    ]


def run_info(plan: Plan) -> RunInfo:
    """Title and data of a plan, for the run directory."""
    return RunInfo(title=plan.title, data=_place(plan.data))


def _place(data: str | None) -> str:
    """Absolute path of the data, so that later commands find it with other variables set."""
    variables = (os.environ.get(variable) for variable in ("EYECHART_DATA", "LMUData"))
    named = data or next(filter(None, variables), BUILT_IN_DATA)
    if named == BUILT_IN_DATA or url_of(named):
        return named
    return str(Path(named).expanduser().resolve())


def codec_levels(entry: CodecEntry) -> CodecLevels:
    """A codec with the levels of a plan, lowest rate first. Raises InputError."""
    name, options = parse_codec(entry.codec)
    codec = open_named(name, options)
    with plugins.guarded(name):
        if is_neural(codec):
            codec.check()
        chosen = codec.levels
        if entry.levels is not None:
            chosen = [find_level(codec, level) for level in entry.levels]
        for level in chosen:
            if not (isinstance(level, Level) and fits(level.rank, int)):
                raise TypeError(f"not a level with a whole number as its rank: {level!r}")
        levels = tuple(sorted(chosen, key=lambda level: level.rank))
    return CodecLevels(
        codec=codec,
        plugin=name,
        options=options,
        levels=levels,
        tasks=entry.tasks,
        adapters=entry.adapters,
    )


def _task_work(name: str, task: Task, plan: Plan) -> TaskWork:
    """The work of a task. Raises InputError."""
    with plugins.guarded(name):
        canonical_json(component_of(task))
        return task_work(task, plan.max_images, choice_set=plan.choice_set)


def _model_config(
    spec: str, adapter: str, open_vlm: Callable[[str, str | None], VLM], tasks: Sequence[Task]
) -> ModelConfig:
    adapter_spec = None if adapter == NO_ADAPTER else adapter
    opened = partial(open_vlm, spec, adapter_spec)
    with plugins.guarded(plugins.parse_spec_or_directory(spec)[0]):
        vlm = opened()
        identity = vlm_identity(vlm)
        by_task = {task.name: vlm_component(vlm, task.name) for task in tasks}
        canonical_json(by_task)
    return ModelConfig(
        vlm=identity,
        adapter=None if adapter_spec is None else adapter_component(adapter_spec),
        open=partial(_opened_again, opened, vlm.options.get("adapter")),
        by_task=by_task,
        adapter_name=adapter,
    )


def _opened_again(open_vlm: Callable[[], VLM], adapter: Json) -> VLM:
    """The VLM, with the adapter that the cells name. Raises InputError."""
    vlm = open_vlm()
    require_version(vlm.options.get("adapter"), adapter)
    return vlm


def open_spec(
    spec: str,
    adapter: str | None = None,
    device: str = "auto",
    open_workers: OpenWorkers = WorkerPool,
) -> VLM:
    """A VLM by its spec in a plan (a directory, or a name with options), with an adapter.

    device, open_workers: as for `open_vlm`.

    Raises:
        InputError: an unknown or unusable name or option.
    """
    from eyechart.vlms import open_vlm

    name, options = plugins.parse_spec_or_directory(spec)
    if "adapter" in options:  # a cell names its adapter separately
        raise InputError(f"vlm {name}: name an adapter separately, not as an option")
    given: dict[str, Any] = {"device": device, **options}
    return open_vlm(name, adapter=adapter, open_workers=open_workers, **given)
