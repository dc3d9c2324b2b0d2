"""`eyechart task`: list the benchmarks and show one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import new_table, table_console, terminal_text
from eyechart.core.units import counted

if TYPE_CHECKING:
    from rich.console import Console

    from eyechart.api.describing import DescribedFile, DescribedTask, ExampleQuestion

_PANEL_WIDTH = 80  # characters, where the output is no terminal

app = typer.Typer(no_args_is_help=True, help="Tasks (benchmarks): list, show.")

_DATA_HELP = (
    "Folder or TSV file; 'eyechart-mini' is the built-in chart. "
    "Default: $EYECHART_DATA, $LMUData, else the built-in chart."
)
Data = Annotated[str | None, typer.Option("--data", metavar="DIR", help=_DATA_HELP)]


@app.command("list")
def list_tasks(data: Data = None) -> None:
    """List all tasks: file, headline metric, and whether the data is found."""
    from rich.text import Text

    from eyechart.api.listing import list_tasks as listed

    tasks = listed(data)
    headings = ("task", "file", "headline metric", "data")
    table = new_table(*headings, fold=headings)
    for task in tasks:
        where = Text(f"{task.folder} ({task.origin})" if task.folder else "")
        if task.problem:
            where = Text(task.problem, "yellow")
        elif task.how_to_get:
            where = Text("missing", "red")
        table.add_row(task.name, task.file, task.headline_metric, where)
    console = table_console()
    console.print(table)
    missing = [task.how_to_get for task in tasks if task.how_to_get]
    if missing:
        console.print()
        console.print(
            Text.assemble(("How to get what is missing", "bold"), " (or use --data eyechart-mini):")
        )
        for line in missing:
            console.print(f"  {line}", soft_wrap=True)


@app.command("show")
def show_task(
    name: Annotated[
        str, typer.Argument(metavar="TASK", help="Its name, with options: MMBench:max_images=20.")
    ],
    data: Data = None,
) -> None:
    """Show a task: its columns, categories, images, and a few questions as a VLM gets them."""
    from eyechart.api.describing import describe_task

    task = describe_task(name, data=data)
    console = table_console()
    _print_head(console, task)
    if task.categories:
        table = new_table("category", "questions", right=("questions",))
        for category, count in task.categories.items():
            table.add_row(terminal_text(category) or "(none)", f"{count:,}")
        console.print()
        console.print(table)
    for question in task.examples:
        _print_question(console, question)


def _print_head(console: Console, task: DescribedTask) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text.assemble((task.name, "bold"), f" version {task.version}"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for key, value in [
        *(_file_rows(task.file) if task.file else []),
        ("questions", f"{task.questions:,} about {counted(task.images, 'image')}"),
        ("headline", task.headline_metric),
    ]:
        grid.add_row(key, terminal_text(value))
    console.print(grid)


def _file_rows(file: DescribedFile) -> list[tuple[str, str]]:
    """What is known of the task's file; if it is not official, where that is published."""
    rows = [("file", f"{file.path} ({file.origin})"), *file.facts.items()]
    if file.official:
        return [*rows, ("official", f"yes, {file.official} by its md5 {file.md5}")]
    if not file.published:
        return [*rows, ("md5", file.md5)]
    rows.append(("official", f"no (md5 {file.md5}); the official file:"))
    for official in file.published:
        count = f"{official.rows:,} rows, " if official.rows else ""
        rows.append(("", f"{official.url} ({count}md5 {official.md5})"))
    return rows


def _print_question(console: Console, question: ExampleQuestion) -> None:
    """The prompt in a frame of the terminal's width; in a pipe, of 80 columns."""
    from rich.panel import Panel
    from rich.text import Text

    references = terminal_text("\n           ".join(question.references))
    text = Text(terminal_text(question.prompt))
    text.append(f"\n\nreference: {references}", style="green")
    title = terminal_text(f"{question.id}  {question.category}")
    where = terminal_text(f"image {question.image}, {question.width_px}x{question.height_px}")
    console.print()
    console.print(
        Panel(text, title=Text(title), subtitle=Text(where), title_align="left"),
        width=min(console.width, _PANEL_WIDTH) if not console.is_terminal else None,
    )
