"""`eyechart doctor`: what works on this machine, what is missing, and how to get it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from eyechart.cli.console import table_console

if TYPE_CHECKING:
    from rich.console import Console

    from eyechart.api.results import CheckResult


def doctor() -> None:
    """Report what works on this machine, what is missing and how to get it, and what is broken.

    Codecs are tried on a small image; VLMs are looked up but not loaded.
    """
    from eyechart.api.listing import readiness

    console = table_console()
    lost = False
    for title, findings in readiness():
        lost |= _show(title, findings, console)
    if lost:
        raise typer.Exit(1)


def _show(title: str, findings: Sequence[CheckResult], console: Console) -> bool:
    """Print one section; -> whether something in it is broken."""
    from rich.table import Table
    from rich.text import Text

    marks = {
        "ready": Text("ready", "green"),
        "missing": Text("missing", "yellow"),
        "broken": Text("broken", "bold red"),
    }
    console.print(Text(title, style="bold"))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(min_width=16, no_wrap=True)
    table.add_column(min_width=7, no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(f"  {finding.name}", marks[finding.state], Text(finding.detail))
    console.print(table)
    console.print()
    return any(finding.state == "broken" for finding in findings)
