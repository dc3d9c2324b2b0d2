"""The bar of commands that go through images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eyechart.cli.console import live_console


class ImageBar:
    """What is done, and how many of how many images."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._task = progress, progress.add_task("", total=None)

    def step(self, what: str, total: int) -> None:
        """One more image is done."""
        self._progress.update(self._task, description=what, total=total, advance=1)

    def show(self, what: str, done: int, total: int) -> None:
        """That many are done."""
        self._progress.update(self._task, description=what, completed=done, total=total)


@contextmanager
def image_bar() -> Iterator[ImageBar]:
    """A bar on stderr that disappears at the end; nothing if stderr is not a terminal."""
    console = live_console()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield ImageBar(progress)
