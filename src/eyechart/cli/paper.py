"""`eyechart paper`: the published numbers, recomputed, and compared with a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from eyechart.cli.console import new_table, table_console
from eyechart.cli.options import Directory
from eyechart.cli.tables import TableFormat, print_tables

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
    from eyechart.api.tables import paper_table, paper_titles

    if number is not None:
        print_tables([paper_table(number)], form)
        return
    table = new_table("table", "title", right=("table",))
    for known, title in paper_titles().items():
        table.add_row(str(known), title)
    table_console().print(table)


@app.command("bd")
def recompute_bd(
    vlm: Annotated[str | None, typer.Option(help="Only this VLM, as the paper names it.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    form: FormatOption = TableFormat.terminal,
) -> None:
    """Recompute the BD-Metrics of Tables 2 and 16 from published scores; compare with the print."""
    from eyechart.api.tables import paper_bd, paper_bd_tables

    found = paper_bd(vlm=vlm, task=task)
    if form is TableFormat.json:
        rows = [{**asdict(item), "relative_difference": item.relative_difference} for item in found]
        print(json.dumps(rows, indent=1))
        return
    print_tables(paper_bd_tables(found), form)


@app.command("diff")
def diff_run(
    directory: Directory,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
    form: FormatOption = TableFormat.terminal,
) -> None:
    """Compare a run with the published numbers where VLM, task and codec are the same."""
    from eyechart.api.tables import paper_diff

    found = paper_diff(directory, data=data)
    if found.tables or form is not TableFormat.terminal:
        print_tables(found.tables, form)
    console = table_console(stderr=form is not TableFormat.terminal)
    for remark in found.remarks:
        console.print(remark, style="yellow")
