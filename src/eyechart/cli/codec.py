"""`eyechart codec`: list codecs, encode and decode; the other commands have their own files."""

from __future__ import annotations

from math import isinf
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from eyechart.cli.codec_add import add
from eyechart.cli.codec_bench import bench
from eyechart.cli.codec_show import check, show
from eyechart.cli.codec_train import train
from eyechart.cli.console import table_console
from eyechart.codecs import open_codec
from eyechart.codecs.levels import choose_level
from eyechart.codecs.reconstruct import (
    SourceImage,
    decode_payload,
    reconstruct_one,
)
from eyechart.core import plugins
from eyechart.core.errors import EyechartError
from eyechart.core.files import check_out, read_limited
from eyechart.core.images import MAX_FILE_BYTES, encode_png, read_image
from eyechart.core.types import is_neural
from eyechart.quality import open_metric
from eyechart.store.files import write_atomic

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
    table = Table("codec", "levels", box=None, header_style="bold", pad_edge=False)
    table.add_column("version", overflow="fold")
    table.add_column("", overflow="fold")
    for name in plugins.names("eyechart.codecs"):
        levels = version = ""
        try:
            codec = open_codec(name)
            with plugins.guarded(name):
                levels = " ".join(level.name for level in codec.levels)
                version = codec.version
                if is_neural(codec):
                    codec.check()
            state = Text("ready", "green")
        except EyechartError as error:
            state = Text(str(error).removeprefix(f"{name}: "), "yellow")
        table.add_row(Text(name), Text(levels), Text(version), state)
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
) -> None:
    """Compress an image; print bytes, bits per pixel and PSNR."""
    check_out(out)
    coder = open_codec(codec)
    chosen = choose_level(coder, level)
    source = SourceImage.of(read_image(picture), picture.name)
    decoded = reconstruct_one(coder, chosen, source)
    bitstream = decoded.bitstream
    quality_db = open_metric("psnr").measure(source.rgb8, decoded.rgb8)
    write_atomic(out, bitstream.payload)
    size = f"{len(bitstream.payload):,} bytes, {bitstream.bpp:.4f} bpp"
    print(f"{out}: {size}, {'lossless' if isinf(quality_db) else f'PSNR {quality_db:.2f} dB'}")


@app.command()
def decode(
    payload: Annotated[Path, typer.Argument(metavar="IN.bin", help="The payload.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="The decoded image, as PNG.")],
    codec: CodecOption,
) -> None:
    """Decode a payload written by `codec encode` into a PNG."""
    check_out(out)
    coder = open_codec(codec)
    data = read_limited(payload, MAX_FILE_BYTES)
    rgb8 = decode_payload(coder, data, payload.name)
    write_atomic(out, encode_png(rgb8))
    print(f"{out}: {rgb8.shape[1]}x{rgb8.shape[0]}")
