"""`eyechart codec`: list codecs, encode and decode; the other commands have their own files."""

from __future__ import annotations

from math import isinf
from pathlib import Path
from typing import Annotated

import typer

from eyechart.cli.codec_add import add
from eyechart.cli.codec_bench import bench
from eyechart.cli.codec_show import check, show
from eyechart.cli.codec_train import train
from eyechart.cli.console import new_table, table_console
from eyechart.cli.options import WeightsOption, with_weights
from eyechart.core.errors import CodecError, InputError

app = typer.Typer(help="Codecs: list, encode, decode, bench, train, add.", no_args_is_help=True)
app.command("bench")(bench)
app.command("train")(train)
app.command("add")(add)
app.command("show")(show)
app.command("check")(check)

CodecOption = Annotated[
    str, typer.Option("--codec", metavar="CODEC", help="jpeg, vvc:preset=fast, ...")
]


@app.command("list")
def list_codecs() -> None:
    """List all codecs: version, levels, and whether they work on this machine."""
    from rich.text import Text

    from eyechart.api.listing import list_codecs

    table = new_table("codec", "levels", "version", "", fold=("version", ""))
    for codec in list_codecs():
        state = Text(codec.problem, "yellow") if codec.problem else Text("ready", "green")
        if codec.missing:
            state.append(f"; {codec.missing}", "yellow")
        table.add_row(codec.name, " ".join(codec.levels), codec.version, state)
    table_console().print(table)


@app.command()
def encode(
    picture: Annotated[
        Path, typer.Argument(metavar="IN.png", help="The image, in any common format.")
    ],
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT.bin", help="The bitstream's payload; its size is the rate."),
    ],
    codec: CodecOption,
    level: Annotated[
        str | None,
        typer.Option(
            "--level", metavar="LEVEL", help="A level, see `codec list` and `codec show`."
        ),
    ] = None,
    weights: WeightsOption = None,
) -> None:
    """Compress an image; print bytes, bits per pixel and PSNR."""
    from eyechart.api.one_image import encode_image

    made = encode_image(picture, out, codec=with_weights(codec, weights), level=level)
    if made.psnr_db is None:
        quality = "smaller than the image"
    else:
        quality = "lossless" if isinf(made.psnr_db) else f"PSNR {made.psnr_db:.2f} dB"
    print(f"{out}: {made.size_bytes:,} bytes, {made.bpp:.4f} bpp, {quality}")


@app.command()
def decode(
    payload: Annotated[Path, typer.Argument(metavar="IN.bin", help="The payload.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="The decoded image, as PNG.")],
    codec: CodecOption,
    weights: WeightsOption = None,
) -> None:
    """Decode a payload written by `codec encode` into a PNG."""
    from eyechart.api.one_image import decode_image

    try:
        height_px, width_px = decode_image(payload, out, codec=with_weights(codec, weights))
    except CodecError as error:
        if error.retryable:
            raise
        raise InputError(str(error)) from error  # the payload is the user's file
    print(f"{out}: {width_px}x{height_px}")
