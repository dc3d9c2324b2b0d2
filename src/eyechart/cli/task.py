"""`eyechart task`: list the benchmarks and show one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import table_console
from eyechart.core.errors import EyechartError, InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from eyechart.core.types import Question, Task
    from eyechart.tasks.tsv_task import TsvTask

app = typer.Typer(no_args_is_help=True, help="Tasks (benchmarks): list, show.")

_DATA_HELP = (
    "Folder or TSV file; 'eyechart-mini' is the built-in chart. "
    "Default: $EYECHART_DATA, $LMUData, else the built-in chart."
)
Data = Annotated[str | None, typer.Option("--data", metavar="DIR", help=_DATA_HELP)]


@app.command("list")
def list_tasks(data: Data = None) -> None:
    """List all tasks: file, headline metric, and whether the data is found."""
    from rich.table import Table
    from rich.text import Text

    from eyechart.core import plugins
    from eyechart.tasks import open_tasks
    from eyechart.tasks.sources import place_of

    place_of(data)  # a wrong folder is one error, not a missing file for every task
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("task", "file", "headline metric", "data"):
        table.add_column(heading, overflow="fold")
    missing: list[str] = []
    for name in plugins.names("eyechart.tasks"):
        try:
            with plugins.guarded(name):
                [task] = open_tasks([name], data)
                file, where = _where(task, missing)
                table.add_row(Text(task.name), Text(file), Text(task.headline_metric), where)
        except EyechartError as error:
            table.add_row(Text(name), "", "", Text(str(error).removeprefix(f"{name}: "), "yellow"))
    console = table_console()
    console.print(table)
    if missing:
        console.print("\n[bold]How to get what is missing[/] (or use --data eyechart-mini):")
        for line in missing:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


@app.command("show")
def show_task(
    name: Annotated[
        str, typer.Argument(metavar="TASK", help="Its name, with options: MMBench:max_images=20.")
    ],
    data: Data = None,
) -> None:
    """Show a task: its columns, categories, images, and a few questions as a VLM gets them."""
    from rich.console import Console

    from eyechart.tasks import open_tasks

    (task,) = open_tasks([name], data)
    console = Console(highlight=False, markup=False)  # names and paths may contain brackets
    questions = task.questions()
    _print_head(console, task, len(questions), len({question.image for question in questions}))
    _print_categories(console, questions)
    first_of_each = {question.category: question for question in reversed(questions)}
    for question in sorted(first_of_each.values(), key=questions.index)[:3]:
        _print_question(console, task, question)


def _where(task: Task, missing: list[str]) -> tuple[str, Text]:
    """The file's name and where it was found. For a missing file, appends to `missing` how to get
    it."""
    from rich.text import Text

    from eyechart.tasks.tsv_task import TsvTask

    if not isinstance(task, TsvTask):  # a third party's task finds its own data
        return "", Text()
    try:
        return task.path.name, Text(f"{task.path.parent} ({task.origin})")
    except InputError:
        official = task.official[0]
        missing.append(f"{official.name}: {official.how_to_get}")
        return official.name, Text("missing", "red")


def _print_head(console: Console, task: Task, questions: int, images: int) -> None:
    from rich.text import Text

    from eyechart.tasks.tsv_task import TsvTask

    console.print(Text(task.name, "bold"), f" version {task.version}")
    if isinstance(task, TsvTask):
        _print_file(console, task)
    console.print(f"questions  {questions:,} about {images:,} images")
    console.print(f"headline   {task.headline_metric}")


def _print_file(console: Console, task: TsvTask) -> None:
    table = task.table
    console.print(f"file       {table.path} ({task.origin})", soft_wrap=True)
    console.print(f"columns    {', '.join(table.columns)}")
    if table.without_image:
        console.print(f"left out   {table.without_image:,} rows without an image")
    _print_official(console, task)


def _print_official(console: Console, task: TsvTask) -> None:
    """Print whether the file is an official one, and if not, where that is published."""
    with task.path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    known = next((official for official in task.official if official.md5 == md5), None)
    if known:
        console.print(f"official   yes, {known.name} by its md5 {md5}")
        return
    console.print(f"official   no (md5 {md5}); the official file:")
    for official in task.official:
        rows = f"{official.rows:,} rows, " if official.rows else ""
        console.print(f"           {official.url} ({rows}md5 {official.md5})", soft_wrap=True)


def _print_categories(console: Console, questions: Sequence[Question]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not any(question.category for question in questions):
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("category")
    table.add_column("questions", justify="right")
    for category, count in sorted(Counter(q.category for q in questions).items()):
        table.add_row(Text(category or "(none)"), f"{count:,}")
    console.print()
    console.print(table)


def _print_question(console: Console, task: Task, question: Question) -> None:
    from rich.panel import Panel
    from rich.text import Text

    height_px, width_px, _ = task.image(question.image).shape
    text = Text(task.prompt(question, "default").rstrip("\n"))
    text.append(f"\n\nreference: {_reference(question)}", style="green")
    title = f"{question.id}  {question.category}"
    where = f"image {question.image}, {width_px}x{height_px}"
    console.print()
    console.print(Panel(text, title=Text(title), subtitle=Text(where), title_align="left"))


def _reference(question: Question) -> str:
    """The reference answer, or one line for each of several."""
    try:
        several = json.loads(question.answer)
    except json.JSONDecodeError:
        return question.answer
    return "\n           ".join(several) if isinstance(several, list) else question.answer
