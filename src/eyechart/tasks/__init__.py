"""The seven benchmarks: questions from VLMEvalKit's TSV files, prompts, scores as it scores them.

One file a benchmark holds its rules (columns, prompt, scorer, sub-metrics). `tsv_task` puts the
rules and a file together into a Task; `table` and `tsv` read the file; `extraction` reads answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.core import plugins
from eyechart.core.types import Json, Task


def open_tasks(names: Sequence[str] = (), data: str | None = None) -> list[Task]:
    """Tasks by name or spec (`POPE`, `MMBench:max_images=20`); no names means all registered ones.

    data: a folder or file for all of them; None looks where `Pope` and the others look.

    Raises:
        PluginError: a name or an option that no task has.
    """
    specs = map(plugins.parse_spec, names or plugins.names("eyechart.tasks"))
    return [open_task(name, options, data) for name, options in specs]


def open_task(name: str, options: Mapping[str, Json], data: str | None = None) -> Task:
    """One task by name, with its options; otherwise as `open_tasks`."""
    task: Task = plugins.load("eyechart.tasks", name, {"data": data, **options})
    return task
