"""Output of `eyechart adapter`: progress of a training, its results, the list of adapters."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyechart.cli.console import live_console, new_table, table_console, terminal_text

if TYPE_CHECKING:
    from rich.table import Table

    from eyechart.api.listing import ListedAdapter
    from eyechart.api.results import AdapterConfig, ScoreChange, StepLog

_LINE_EVERY_STEPS = 25
_NAMED = 5  # files named in a line


class Bar:
    """A bar with loss, speed and time left in a terminal; lines at intervals elsewhere."""

    def __init__(self, steps: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = live_console()
        self._bar = Progress(
            TextColumn("distil", style="bold", markup=False),
            BarColumn(bar_width=24),
            TextColumn("step {task.completed}/{task.total}", markup=False),
            TextColumn("error {task.fields[error]}  {task.fields[speed]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        # Shown in a terminal while the VLM is loaded and images are checked.
        self._status = self._console.status("checking the images")
        self._task = self._bar.add_task("", total=steps, error="…", speed="")
        self._recent: list[StepLog] = []

    def checked(self, images: int, left_out: Sequence[str], first_step: int) -> None:
        """One line: what is used, what is not, and where a stopped training continues."""
        self._status.stop()
        words = f"{images} images"
        if left_out:
            named = ", ".join(left_out[:_NAMED])
            more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
            words += f"; not used, unknown format: {named}{more}"
        if first_step:
            words += f"; continues after step {first_step}"
        self._console.print(terminal_text(words), style="dim", soft_wrap=True)
        self._console.print("measuring held-out images without an adapter …", style="dim")
        self._bar.start()

    def __enter__(self) -> Bar:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()
        self._bar.stop()

    def validated(self, step: int, errors: Mapping[str, float]) -> None:
        """One line: mean error on held-out images."""
        mean = sum(errors.values()) / len(errors)
        when = f"after step {step}" if step else "without an adapter"
        self._console.print(f"held-out images, {when}: feature error {mean:.4f}", style="dim")

    def stepped(self, log: StepLog, steps: int) -> None:
        """Move the bar."""
        self._recent = [*self._recent[-_LINE_EVERY_STEPS + 1 :], log]
        error = sum(one.loss for one in self._recent) / len(self._recent)
        seconds = sum(one.pairs / one.pairs_per_s for one in self._recent)
        speed = sum(one.pairs for one in self._recent) / seconds
        words = f"{speed:.1f} pairs/s"
        self._bar.update(self._task, completed=log.step, error=f"{error:.4f}", speed=words)
        if not self._console.is_terminal and log.step % _LINE_EVERY_STEPS == 0:
            left_s = (steps - log.step) * seconds / len(self._recent)
            print(
                f"step {log.step}/{steps}: error {error:.4f}, {words}, {left_s / 60:.0f} min left",
                file=sys.stderr,
                flush=True,
            )

    def compared(self, row: ScoreChange) -> None:
        """One line: a task's score under a condition, without and with the adapter."""
        self._bar.stop()
        scores = f"{row.without:.2f} without, {row.with_adapter:.2f} with the adapter"
        self._console.print(f"{row.task}, {row.condition}: {scores}", style="dim")


def print_results(config: AdapterConfig, out: Path) -> None:
    """The feature errors of a finished training, and the scores of the tasks that were asked."""
    results: Any = config.results
    before, after = results["feature_error_before"], results["feature_error"][config.conditioning]
    numbers = ("without", "with", "removed")
    table = new_table("condition", *numbers, right=numbers)
    for name, error in after.items():
        was = before[name]
        removed = f"{100 * (1 - error / was):.0f} %" if was > 0 else ""
        table.add_row(name, f"{was:.4f}", f"{error:.4f}", removed)
    console = table_console()
    console.print(
        "Feature error on held-out images (squared, over the features' variance)", style="italic"
    )
    console.print(table)
    if answers := results.get("answers"):
        console.print(f"\nScores on {answers['images']} images of each task", style="italic")
        console.print(_answers(answers["rows"]))
    console.print(
        f"\nThe estimator names {100 * results['estimator_accuracy']:.1f} % of the conditions.\n"
        f"Adapter in {out}; try it with --adapter {out}"
    )


def _answers(rows: Sequence[Mapping[str, Any]]) -> Table:
    numbers = ("without", "with", "gain")
    table = new_table("task", "condition", *numbers, right=numbers)
    for row in rows:
        scores = (row["without"], row["with"])
        figures = (*(f"{score:.2f}" for score in scores), f"{scores[1] - scores[0]:+.2f}")
        table.add_row(row["task"], row["condition"], *figures)
    return table


def print_list(adapters: Sequence[ListedAdapter], where: Path) -> None:
    """One line for each adapter; a damaged one is described in its line."""
    from rich.text import Text

    console = table_console()
    if not adapters:
        console.print(f"no adapters in {where}; make one with eyechart adapter train")
        return
    headings = ("adapter", "base", "codecs", "injection", "conditioning", "directory")
    table = new_table(*headings, fold=headings)
    for one in adapters:
        if one.problem:
            table.add_row(one.folder.name, Text(one.problem, "yellow"))
            continue
        codecs = ", ".join(one.codecs)
        table.add_row(
            one.folder.name, one.base, codecs, one.injection, one.conditioning, str(one.folder)
        )
    console.print(table)
