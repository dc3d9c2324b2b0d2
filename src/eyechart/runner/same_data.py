"""A run directory holds one version of each task's data; a plan with another one is refused."""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError
from eyechart.core.identity import canonical_json
from eyechart.core.types import Component, Task, component_of
from eyechart.store import Store
from eyechart.tasks import open_task


def refuse_other_data(store: Store, tasks: Sequence[Task], data: str) -> None:
    """Refuse a plan whose answers cannot be in one analysis with the stored ones.

    tasks: of the plan. data: its data folder. It must also hold the data of stored tasks outside
    the plan, because an analysis looks for all tasks in one folder.

    Raises:
        InputError: another version of a task's data, or a folder without it.
        StoreError: the run directory is damaged.
    """
    versions = {_label(component): component.version for component in map(component_of, tasks)}
    for stored in store.cells(skip_empty=True):
        held = stored.cell.task
        label = _label(held)
        if label not in versions:
            versions[label] = _version(held, data, store)
        if versions[label] != held.version and stored.records():
            raise InputError(
                f"{store.root}: holds answers about {held.name} of version {held.version}, its "
                f"data in {data} is of version {versions[label]}; choose another run directory"
            )


def _version(held: Component, data: str, store: Store) -> str:
    try:
        task = open_task(held.name, held.options, data)
        with plugins.guarded(held.name):
            return component_of(task).version
    except PluginError:  # an analysis leaves the task out
        return held.version
    except InputError as error:
        raise InputError(
            f"{store.root}: holds answers about {held.name} of version {held.version}, which "
            f"cannot be found with the data folder {data}; choose another run directory ({error})"
        ) from error


def _label(task: Component) -> str:
    return canonical_json([task.name, task.options])
