"""Runs of POPE with a VLM that answers at once, from and into folders and object stores."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from benchmarks.faults import toy
from eyechart.cli import run_args
from eyechart.core.records import Record
from eyechart.store import Store


@contextmanager
def task_data(folder: Path, *, images: int) -> Iterator[Path]:
    """A folder with POPE's file; the VLM can be opened while the block runs."""
    path = list(sys.path)
    toy.register(folder)
    yield toy.pope(folder / "data", Random(0), images=images, per_image=3).parent
    sys.path[:] = path


def run(data: Path | str, out: Path | str) -> int:
    """The exit code of `eyechart run`."""
    command = toy.run_arguments(Path(), Path())
    for option, value in (("--data", data), ("--out", out)):
        command[command.index(option) + 1] = str(value)
    return run_args(command)


def records(out: Path) -> dict[str, list[Record]]:
    """The records of each cell."""
    return {stored.key: stored.records() for stored in Store(out).cells()}
