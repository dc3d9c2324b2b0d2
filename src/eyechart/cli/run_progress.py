"""Progress of `eyechart run`: bars in a terminal, a line at intervals elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eyechart.api.progress import Clock, FirstWarnings, Progress, ProgressLines, Tally
from eyechart.cli.console import error_line
from eyechart.core.errors import LONGEST_LINE, one_line


def run_progress(console: Console) -> Progress:
    """What shows the progress of a run on this console."""
    if console.is_terminal:
        return RunBars(console)
    return ProgressLines(
        lambda text: print(one_line(text, LONGEST_LINE), flush=True), announce=error_line
    )


class RunBars:
    """Two live lines for each VLM: bar, speed and time left; below, counts and current cell."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._live = Live(console=console, refresh_per_second=4)
        self._done: list[RenderableType] = []  # VLMs whose turn is over
        self._label = ""
        self._console = console
        self._warnings = FirstWarnings(lambda text: self._print(text, style="yellow"))

    def announce(self, text: str) -> None:
        error_line(text)

    def begin(self, label: str, tally: Tally) -> None:
        if self._label:
            self._done.append(self._last)
        self._label, self._clock = label, Clock(self._now, tally)
        self._live.start()
        self._show("", tally)

    def advance(self, where: str, tally: Tally) -> None:
        self._clock.batch(tally)
        self._show(where, tally)

    def note(self, text: str) -> None:
        self._print(text)

    def warn(self, text: str, question: str) -> None:
        self._warnings.add(text, question)

    def close(self) -> None:
        self._live.stop()
        self._warnings.close()

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(one_line(text, LONGEST_LINE), style))

    def _show(self, where: str, tally: Tally) -> None:
        self._last = self._render(where, tally)
        self._live.update(Group(*self._done, self._last))

    def _render(self, where: str, tally: Tally) -> RenderableType:
        share = tally.questions_done / max(tally.questions, 1)
        bar = ProgressBar(total=max(tally.questions, 1), completed=tally.questions_done, width=16)
        speed = "done" if tally.complete else self._clock.words(tally)
        line = Table.grid(padding=(0, 1))
        line.add_column(no_wrap=True, overflow="ellipsis")
        for _ in range(3):
            line.add_column(no_wrap=True)
        line.add_row(
            Text(self._label, style="bold"), bar, Text(f"{share:4.0%}"), Text(speed, style="cyan")
        )
        place = "" if tally.complete or not where else f", now {where}"
        counts = Text(f"  {tally.counts}{place}", style="dim", no_wrap=True, overflow="ellipsis")
        return Group(line, counts)
