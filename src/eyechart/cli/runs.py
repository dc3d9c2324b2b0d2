"""`eyechart runs`: compare two run directories, merge several, drop cells of one."""

from __future__ import annotations

from typing import Annotated

import typer

from eyechart.cli.console import error_line, terminal_text
from eyechart.cli.options import MOST_SAMPLES, MOST_SEED, Directory
from eyechart.cli.run import Wait
from eyechart.cli.tables import TableFormat, print_tables
from eyechart.core.errors import InputError
from eyechart.core.units import counted

app = typer.Typer(help="Run directories: compare, merge, drop.", no_args_is_help=True)

Data = Annotated[
    str | None, typer.Option(metavar="DIR", help="Folder with the tasks' TSV files, if it moved.")
]


@app.command("compare")
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A run directory.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    form: Annotated[
        TableFormat, typer.Option("--format", help="How to print the table.")
    ] = TableFormat.terminal,
    data: Data = None,
    samples: Annotated[
        int, typer.Option(min=0, max=MOST_SAMPLES, help="Bootstrap samples; 0: no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Scores of the cells that two run directories share, and their differences."""
    from eyechart.api.tables import compare_runs

    found = compare_runs(first, second, samples=samples, seed=seed, data=data)
    print_tables([found.table], form)
    for name, only in ((first, found.only_first), (second, found.only_second)):
        if only:
            typer.echo(
                f"only in {name}: {counted(len(only), 'cell')}, first {terminal_text(only[0])}",
                err=True,
            )
    for reason in found.left_out:
        error_line(f"eyechart: task left out: {reason}")
    if found.left_out:
        raise typer.Exit(1)


@app.command("merge")
def merge(
    directories: Annotated[
        list[str], typer.Argument(metavar="DIR...", help="Run directories; they stay.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="A new one, or a run.")],
    data: Data = None,
) -> None:
    """Merge the cells of run directories into one. Existing answers are kept."""
    from eyechart.api.stores import merge_runs

    merged = merge_runs(directories, out=out, data=data)
    known = f", {merged.known:,} were there already" if merged.known else ""
    print(
        f"{out}: {counted(merged.cells, 'cell')}, {counted(merged.records, 'answer')} added{known}"
    )


@app.command("drop")
def drop(
    directory: Directory,
    vlm: Annotated[str | None, typer.Option(metavar="NAME", help="Cells of this VLM.")] = None,
    adapter: Annotated[
        str | None, typer.Option(metavar="NAME", help="Cells of this adapter; none: without one.")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Cells of this task.")] = None,
    codec: Annotated[str | None, typer.Option(metavar="NAME", help="Cells of this codec.")] = None,
    level: Annotated[str | None, typer.Option(metavar="NAME", help="Cells of this level.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; else they are listed.")] = False,
    wait: Wait = False,
) -> None:
    """Delete the cells that match all given names, with their answers."""
    from eyechart.api.stores import drop_cells

    found = drop_cells(
        directory,
        vlm=vlm,
        adapter=adapter,
        task=task,
        codec=codec,
        level=level,
        dry_run=not yes,
        wait=wait,
    )
    count = f"{counted(len(found.cells), 'cell')} with {counted(found.answers, 'answer')}"
    if not yes:
        for name in found.cells:
            print(terminal_text(name))
        raise InputError(f"{count} would be deleted; add --yes to do so")
    print(f"{directory}: {count} deleted")
