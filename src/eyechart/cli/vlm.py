"""`eyechart vlm`: list VLMs, and ask one about an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import table_console, terminal_text
from eyechart.core import plugins
from eyechart.core.errors import EyechartError, InputError

if TYPE_CHECKING:
    from eyechart.core.types import Answer, Codec, Level

app = typer.Typer(help="VLMs: list, ask.", no_args_is_help=True)

_VLM_HELP = "A name of `vlm list`, a hub id or a directory; options as NAME:key=value."


@app.command("list")
def list_vlms() -> None:
    """List all VLMs: their weights, family, and whether they work on this machine."""
    from rich.table import Table
    from rich.text import Text

    from eyechart.vlms import known_vlms, model_types, open_vlm, vlm_names
    from eyechart.vlms.families import broken_families, family

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("vlm", "hub id or model", "family", "here"):
        table.add_column(heading, overflow="fold")
    for name, known in known_vlms():
        missing = plugins.conflict("eyechart.vlms", known.plugin) if known.plugin else None
        missing = missing or family(name).why_not_ready(known)
        state = Text("ready", "green") if missing is None else Text(missing, "yellow")
        table.add_row(known.name, known.model or known.note, Text(name), state)
    for name, why in broken_families().items():
        table.add_row(name, "", "", Text(why, "yellow"))
    for name in sorted(set(vlm_names()) - {known.name for _, known in known_vlms()}):
        try:
            with plugins.guarded(name):
                of, state = open_vlm(name).family, Text("plug-in", "green")
        except EyechartError as error:
            of, state = "", Text(str(error).removeprefix(f"{name}: "), "yellow")
        table.add_row(name, "", Text(of), state)
    console = table_console()
    console.print(table)
    console.print(
        f"\nAny other checkpoint of {', '.join(model_types())}: give its hub id or directory.\n"
        "Any other server: openai:model=NAME,base_url=http://HOST:PORT/v1",
        highlight=False,
    )


@app.command("ask")
def ask(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="PNG, JPEG, WebP, ...")],
    questions: Annotated[
        list[str], typer.Argument(metavar="QUESTION...", help="One or more, each in quotes.")
    ],
    vlm: Annotated[str, typer.Option("--vlm", metavar="VLM", help=_VLM_HELP)] = "eyechart-mini",
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec", metavar="CODEC", help="Encode and decode the image with this codec first."
        ),
    ] = None,
    level: Annotated[
        str | None, typer.Option("--level", metavar="LEVEL", help="The codec's, see `codec list`.")
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            "--adapter",
            metavar="DIR",
            help="Folder or name of an adapter, DIR:conditioning=unknown.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="WHERE", help="auto, cpu, cuda, cuda:1, map.")
    ] = "auto",
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", metavar="N", min=1, help="Of an answer.")
    ] = 64,
) -> None:
    """Ask a VLM about an image, uncompressed or decoded by a codec. Answers go to stdout."""
    from rich.console import Console

    from eyechart.codecs.reconstruct import SourceImage, reconstruct_one
    from eyechart.core.images import read_image
    from eyechart.core.types import Decoding, Request
    from eyechart.runner.resolve import open_spec

    if not all(question.strip() for question in questions):
        raise InputError("an empty question; allowed: some text")
    rgb8 = read_image(image)
    coder, chosen = _codec_and_level(codec, level)
    opened = open_spec(vlm, adapter, device)
    notes = Console(stderr=True, highlight=False)
    if coder is not None and chosen is not None:
        decoded = reconstruct_one(coder, chosen, SourceImage.of(rgb8, image.name))
        rgb8 = decoded.rgb8
        rate = f"{coder.name} {chosen.name}: {decoded.bitstream.bpp:.4f} bpp"
        notes.print(rate, style="dim", markup=False)
    request = Request(
        image=rgb8,
        prompts=tuple(questions),
        codec=coder.name if coder else "source",
        level=chosen.name if chosen else "lossless",
    )
    with notes.status(f"{opened.name} is answering"):
        [answers] = opened.answer([request], Decoding(max_new_tokens=max_new_tokens))
    _print(questions, answers, notes)


def _codec_and_level(spec: str | None, level: str | None) -> tuple[Codec | None, Level | None]:
    from eyechart.codecs import open_codec
    from eyechart.codecs.levels import choose_level

    if spec is None:
        if level is not None:
            raise InputError(f"--level {level} needs a --codec")
        return None, None
    codec = open_codec(spec)
    return codec, choose_level(codec, level)


def _print(questions: list[str], answers: list[Answer], notes: object) -> None:
    from rich.console import Console

    assert isinstance(notes, Console)
    for question, answer in zip(questions, answers, strict=True):
        if len(questions) > 1:
            notes.print(terminal_text(question), style="dim", markup=False)
        print(terminal_text(answer.text))
        if answer.truncated:
            notes.print("[yellow]truncated by --max-new-tokens[/]")
