"""`eyechart paper`: the published numbers, recomputed, and compared with a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.tables import TableFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eyechart.analysis.table import Table

app = typer.Typer(no_args_is_help=True, help="The published numbers: show, bd, diff.")

FormatOption = Annotated[TableFormat, typer.Option("--format", help="How to print it.")]


@app.command("show")
def show_table(
    number: Annotated[
        int | None,
        typer.Argument(metavar="[TABLE]", help="Number of the table. Without it, all are listed."),
    ] = None,
    form: FormatOption = TableFormat.terminal,
) -> None:
    """Print a table of the paper."""
    from eyechart.paper.tables import paper_table, titles

    if number is not None:
        _print([paper_table(number)], form)
        return
    for known, title in titles().items():
        print(f"{known:>3}  {title}")


@app.command("bd")
def recompute_bd(
    vlm: Annotated[str | None, typer.Option(help="Only this VLM, as the paper names it.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    form: FormatOption = TableFormat.terminal,
) -> None:
    """Recompute the BD-Metrics of Tables 2 and 16 from published scores; compare with the print."""
    import json

    from eyechart.core.errors import InputError
    from eyechart.core.plugins import near
    from eyechart.paper.recompute import recompute, recomputed_tables

    found = recompute()
    for wanted, kind in ((vlm, "vlm"), (task, "task")):
        if wanted is None:
            continue
        known = sorted({getattr(item, kind) for item in found})
        found = [item for item in found if getattr(item, kind).lower() == wanted.lower()]
        if not found:
            raise InputError(f"no {kind} {wanted!r} with scores and rates; {near(wanted, known)}")
    if form is TableFormat.json:
        rows = [{**asdict(item), "relative_difference": item.relative_difference} for item in found]
        print(json.dumps(rows, indent=1))
        return
    _print(recomputed_tables(found), form)


@app.command("diff")
def diff_run(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
    form: FormatOption = TableFormat.terminal,
) -> None:
    """Compare a run with the published numbers where VLM, task and codec are the same."""
    from rich.console import Console

    from eyechart.analysis.analyse import analyse
    from eyechart.paper.diff import diff

    found = diff(analyse(directory, examples=0, created="", data=data))
    if found.tables or form is not TableFormat.terminal:
        _print(found.tables, form)
    console = Console(stderr=form is not TableFormat.terminal, highlight=False)
    for remark in found.remarks:
        console.print(remark, style="yellow")


def _print(tables: Sequence[Table], form: TableFormat) -> None:
    from rich.console import Console

    from eyechart.analysis.render import render
    from eyechart.analysis.terminal import show

    if form is TableFormat.terminal:
        show(tables, Console())
    else:
        print(render(tables, form.value), end="")
