"""`eyechart runs`: compare two run directories, merge several, drop cells of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyechart.cli.console import table_console, terminal_text
from eyechart.cli.run import Wait
from eyechart.cli.tables import TableFormat
from eyechart.core.errors import InputError

app = typer.Typer(help="Run directories: compare, merge, drop.", no_args_is_help=True)

Data = Annotated[
    str | None, typer.Option(metavar="DIR", help="Folder with the tasks' TSV files, if it moved.")
]


@app.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run directory.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    form: Annotated[
        TableFormat, typer.Option("--format", help="How to print the table.")
    ] = TableFormat.terminal,
    data: Data = None,
    samples: Annotated[int, typer.Option(min=0, help="Bootstrap samples; 0: no intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Scores of the cells that two run directories share, and their differences."""
    from eyechart.analysis.render import render
    from eyechart.analysis.terminal import show
    from eyechart.analysis.two_runs import compare_runs

    found = compare_runs(first, second, samples=samples, seed=seed, data=data)
    if form is TableFormat.terminal:
        show([found.table], table_console())
    else:
        print(render([found.table], form.value), end="")
    for name, only in ((first, found.only_first), (second, found.only_second)):
        if only:
            typer.echo(
                f"only in {name}: {len(only)} cells, first {terminal_text(only[0])}", err=True
            )


@app.command("merge")
def merge(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Run directories; they stay.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new one, or a run.")],
    data: Data = None,
) -> None:
    """Merge the cells of run directories into one. Existing answers are kept."""
    from eyechart.runner.combine import merge as merge_runs
    from eyechart.store import Store

    merged = merge_runs([Store(path) for path in directories], Store(out), data=data)
    known = f", {merged.known:,} were there already" if merged.known else ""
    print(f"{out}: {merged.cells} cells, {merged.records:,} answers added{known}")


@app.command("drop")
def drop(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
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
    from eyechart.runner.combine import Choice, names_of
    from eyechart.runner.combine import drop as drop_cells
    from eyechart.store import Store

    store = Store(directory)
    store.require()
    choice = Choice(vlm=vlm, adapter=adapter, task=task, codec=codec, level=level)
    with store.rewriting(wait=wait):
        chosen = choice.of(store.cells())
        answers = sum(len(stored.records()) for stored in chosen)
        if not yes:
            for stored in chosen:
                print(terminal_text(" ".join(filter(None, names_of(stored.cell).values()))))
            raise InputError(
                f"{len(chosen)} cells with {answers:,} answers would be deleted; add --yes to do so"
            )
        drop_cells(store, chosen)
    print(f"{directory}: {len(chosen)} cells with {answers:,} answers deleted")
