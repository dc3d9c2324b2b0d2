"""`eyechart codec`: list codecs, encode, decode, and measure them on a folder of images."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import isinf
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from eyechart.cli.bars import progress_bar
from eyechart.cli.codec_add import add
from eyechart.cli.codec_show import check, show
from eyechart.cli.codec_train import train
from eyechart.cli.console import table_console, terminal_text
from eyechart.cli.files import check_out
from eyechart.codecs.levels import choose_level
from eyechart.codecs.reconstruct import (
    BATCH_IMAGES,
    Reconstructor,
    SourceImage,
    decode_payload,
    reconstruct_one,
)
from eyechart.core import plugins
from eyechart.core.errors import EyechartError, ImageError, InputError
from eyechart.core.images import encode_png, find_images, read_image
from eyechart.core.types import Codec, is_neural
from eyechart.quality import label, open_metric
from eyechart.quality import text as quality_text
from eyechart.runner.bench import CodecMeans, Trial, means_of, try_codec
from eyechart.store.files import write_atomic

app = typer.Typer(help="Codecs: list, encode, decode, bench, train, add.", no_args_is_help=True)
app.command("train")(train)
app.command("add")(add)
app.command("show")(show)
app.command("check")(check)

_BLOCK_IMAGES = 16  # in memory at a time
_NAMED = 10  # images left out that are named
CodecOption = Annotated[
    str, typer.Option("--codec", metavar="CODEC", help="jpeg, vvc:preset=fast, ...")
]


@app.command("list")
def list_codecs() -> None:
    """All codecs: version, levels, and whether they are ready here."""
    table = Table("codec", "levels", box=None, header_style="bold", pad_edge=False)
    table.add_column("version", overflow="fold")
    table.add_column("", overflow="fold")
    for name in plugins.names("eyechart.codecs"):
        levels = version = ""
        try:
            codec = load_codec(name)
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
    coder = load_codec(codec)
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
    coder = load_codec(codec)
    try:
        data = payload.read_bytes()
    except OSError as error:
        raise InputError(f"{payload}: cannot be read ({error.strerror})") from error
    rgb8 = decode_payload(coder, data, payload.name)
    write_atomic(out, encode_png(rgb8))
    print(f"{out}: {rgb8.shape[1]}x{rgb8.shape[0]}")


@app.command()
def bench(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.")],
    codec: Annotated[
        list[str], typer.Option("--codec", metavar="A,B", help="Codecs: jpeg,vvc:preset=fast.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Also write the table to this file."),
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", metavar="A,B", help="Quality metrics: psnr,ms-ssim.")
    ] = "psnr,ms-ssim",
    codec_device: Annotated[
        str, typer.Option("--codec-device", metavar="WHERE", help="For codecs with weights: cuda.")
    ] = "cpu",
    codec_batch: Annotated[
        int,
        typer.Option("--codec-batch", metavar="N", min=1, help="Their images at a time."),
    ] = BATCH_IMAGES,
) -> None:
    """Measure rate, quality and time of codecs on a folder of images, at all their levels."""
    from eyechart.runner.plan import split_specs

    if out is not None:
        check_out(out)
    coders = [load_codec(spec) for specs in codec for spec in split_specs(specs)]
    if not coders:
        raise InputError("--codec: no codec named")
    metrics = [open_metric(spec) for spec in split_specs(metric)]
    # Raises now if a codec's program is missing.
    versions = {coder.name: coder.version for coder in coders}
    paths, others = find_images(folder)
    if others:
        print(f"{folder}: {others} files are no images and are left out", file=sys.stderr)
    work = [(coder, level) for coder in coders for level in coder.levels]
    trials: list[list[Trial]] = [[] for _ in work]
    unreadable: list[str] = []
    with progress_bar() as progress:
        bar = progress.add_task("", total=len(work) * len(paths))
        reconstructor = Reconstructor(device=codec_device, batch_images=codec_batch)
        for start in range(0, len(paths), _BLOCK_IMAGES):
            block = paths[start : start + _BLOCK_IMAGES]
            images = []
            for path in block:
                try:
                    images.append(SourceImage.of(read_image(path), path.name))
                except ImageError as error:
                    unreadable.append(str(error))
            for (coder, level), done in zip(work, trials, strict=True):
                progress.update(bar, description=f"{coder.name} {level.name}")
                done += try_codec(reconstructor, coder, level, images, metrics)
                progress.advance(bar, len(block))
    for message in unreadable[:_NAMED]:
        print(f"left out: {terminal_text(message)}", file=sys.stderr)
    if len(unreadable) == len(paths):
        raise InputError(f"{folder}: none of its {len(paths)} images can be read")
    if unreadable:
        print(f"{folder}: {len(unreadable)} of {len(paths)} images left out", file=sys.stderr)
    rows = [means_of(coder, level, done) for (coder, level), done in zip(work, trials, strict=True)]
    if out is not None:
        told = {"folder": str(folder), "codecs": versions, "rows": [asdict(row) for row in rows]}
        write_atomic(out, json.dumps(told, indent=2, allow_nan=False).encode() + b"\n")
    table_console().print(_bench_table(rows, [label(one) for one in metrics]))


def load_codec(spec: str) -> Codec:
    """`name` or `name:key=value,...` -> codec. Raises InputError."""
    name, options = plugins.parse_spec(spec)
    codec: Codec = plugins.load("eyechart.codecs", name, options)
    return codec


def _bench_table(rows: Sequence[CodecMeans], qualities: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("codec", "level"):
        table.add_column(heading)
    for heading in ("bytes", "bpp", *qualities, "encode ms", "decode ms"):
        table.add_column(heading, justify="right")
    for index, row in enumerate(rows):
        last = index + 1 == len(rows) or rows[index + 1].codec != row.codec
        table.add_row(
            row.codec,
            row.level,
            f"{row.mean_bytes:,.0f}",
            f"{row.mean_bpp:.4f}",
            *(quality_text(row.quality[name]) for name in qualities),
            f"{row.encode_ms:.1f}",
            f"{row.decode_ms:.1f}",
            end_section=last,
        )
    return table
