"""The seven benchmarks: questions from VLMEvalKit's TSV files, its prompts, and its scores.

Each benchmark is one file (columns, prompt, scorer, sub-metrics). `tsv_task` combines it with a
data file into a Task; `table` and `tsv` read the file; `extraction` parses answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError
from eyechart.core.types import Component, Json, Task, component_of


def open_task(
    name: str,
    options: Mapping[str, Json] | None = None,
    data: str | None = None,
    load: Callable[..., Any] | None = None,
) -> Task:
    """Open one task.

    data: a folder or file with its data; ignored by tasks without `data` in their `run_options`.
    None: the task's own default. load: used instead of `core.plugins.load`.

    Raises:
        PluginError: an unknown task or option, or a task that cannot be constructed.
        InputError: the name of a CSV file.
    """
    if name.lower().endswith(".csv"):
        raise InputError(
            f"task {name!r} is a file; questions about own images: eyechart check FOLDER "
            f"--questions {name}"
        )
    given = dict(options or {})
    if data is not None and plugins.takes("eyechart.tasks", name, "data"):
        given = {"data": data, **given}
    task: Task = (load or plugins.load)("eyechart.tasks", name, given)
    return task


def open_answered(
    answered: Component, data: str | None = None, load: Callable[..., Any] | None = None
) -> Task:
    """The task of stored answers. data, load: as for `open_task`.

    Raises:
        PluginError: as `open_task`.
        InputError: its data is missing, or its questions are not those that were answered.
    """
    task = open_task(answered.name, answered.options, data, load)
    with plugins.guarded(answered.name):
        here = component_of(task).version
    if here != answered.version:
        raise InputError(
            f"{answered.name}: the questions here are of version {here}, those answered of "
            f"{answered.version}; name the folder with their data"
        )
    return task


def open_tasks(names: Sequence[str] = (), data: str | None = None) -> list[Task]:
    """Tasks by name or spec (`POPE`, `MMBench:max_images=20`).

    names: none means all registered ones that can be opened; `eyechart task list` says what is
    wrong with the others. data: as in `open_task`, for all of them.

    Raises:
        PluginError: a name or an option that no task has.
    """
    if names:
        return [open_task(*plugins.parse_spec(spec), data) for spec in names]
    opened = []
    for name in plugins.names("eyechart.tasks"):
        with suppress(PluginError):
            opened.append(open_task(name, data=data))
    return opened
