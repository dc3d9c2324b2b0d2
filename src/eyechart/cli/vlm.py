"""`eyechart vlm`: list VLMs, and ask one about an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import new_table, table_console, terminal_text, typed_text
from eyechart.cli.options import option
from eyechart.core.built_in import BUILT_IN_VLM
from eyechart.core.errors import InputError
from eyechart.core.files import is_dir

if TYPE_CHECKING:
    from rich.console import Console

    from eyechart.core.types import Answer

app = typer.Typer(help="VLMs: list, ask.", no_args_is_help=True)

_VLM_HELP = "A name of `vlm list`, a hub id, a directory or its URL; options as NAME:key=value."


@app.command("list")
def list_vlms() -> None:
    """List all VLMs: their weights, family, and whether they work on this machine."""
    from rich.text import Text

    from eyechart.api.listing import list_vlms, model_types

    headings = ("vlm", "hub id or model", "family", "here")
    table = new_table(*headings, fold=headings)
    for vlm in list_vlms():
        state = Text("plug-in" if vlm.plugin else "ready", "green")
        if vlm.problem:
            state = Text(vlm.problem, "yellow")
        table.add_row(vlm.name, vlm.model, vlm.family, state)
    console = table_console()
    console.print(table)
    console.print(
        f"\nAny other checkpoint of {', '.join(model_types())}: give its hub id, directory or URL\n"
        "Any other server: openai:model=NAME,base_url=http://HOST:PORT/v1"
    )


ImageOption = Annotated[Path, typer.Argument(metavar="IMAGE", help="PNG, JPEG, WebP, ...")]
Questions = Annotated[
    list[str], typer.Argument(metavar="QUESTION...", help="One or more, each in quotes.")
]
Vlm = Annotated[str, option("--vlm", metavar="VLM", help_=_VLM_HELP)]
CodecOption = Annotated[
    str | None,
    option("--codec", metavar="CODEC", help_="Encode and decode the image with this codec first."),
]
LevelOption = Annotated[
    str | None, option("--level", metavar="LEVEL", help_="The codec's, see `codec list`.")
]
AdapterOption = Annotated[
    str | None,
    option(
        "--adapter", metavar="DIR", help_="Folder or name of an adapter, DIR:conditioning=unknown."
    ),
]
Device = Annotated[str, option("--device", metavar="WHERE", help_="auto, cpu, cuda, cuda:1, map.")]
MaxNewTokens = Annotated[int, option("--max-new-tokens", metavar="N", min=1, help_="Of an answer.")]


@app.command("ask")
def ask(
    image: ImageOption,
    questions: Questions,
    vlm: Vlm = BUILT_IN_VLM,
    codec: CodecOption = None,
    level: LevelOption = None,
    adapter: AdapterOption = None,
    device: Device = "auto",
    max_new_tokens: MaxNewTokens = 64,
) -> None:
    """Ask a VLM about an image, uncompressed or decoded by a codec. Answers go to stdout."""
    from rich.text import Text

    from eyechart import api

    if is_dir(image):
        raise InputError(f"{image}: is a folder; allowed: an image; for a folder: eyechart check")
    questions = [typed_text(question) for question in questions]
    notes = table_console(stderr=True)
    with notes.status(Text(f"{vlm} is answering")):
        asked = api.ask(
            image,
            questions,
            vlm=vlm,
            codec=codec,
            level=level,
            adapter=adapter,
            device=device,
            max_new_tokens=max_new_tokens,
        )
    if asked.bpp is not None:
        notes.print(f"{asked.codec} {asked.level}: {asked.bpp:.4f} bpp", style="dim")
    for question, answer in zip(questions, asked.answers, strict=True):
        if len(questions) > 1:
            notes.print(terminal_text(question), style="dim")
        _print(answer, notes)


def _print(answer: Answer, notes: Console) -> None:
    print(terminal_text(answer.text))
    if answer.truncated:
        notes.print("truncated by --max-new-tokens", style="yellow")
