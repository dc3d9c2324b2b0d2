"""`eyechart codec bench`: rate, quality and time of codecs on a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.bars import image_bar
from eyechart.cli.console import error_line, new_table, table_console
from eyechart.cli.options import option
from eyechart.cli.quality import DEFAULT_METRICS
from eyechart.core.units import counted

if TYPE_CHECKING:
    from rich.table import Table

    from eyechart.api.results import Bench

_NAMED = 10  # images left out, and failures, that are listed

FolderOption = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.")]
Codecs = Annotated[
    list[str], option("--codec", metavar="A,B", help_="Codecs: jpeg,vvc:preset=fast.")
]
Against = Annotated[
    str | None,
    option("--against", metavar="CODEC", help_="Also print BD-rates against this codec."),
]
Metrics = Annotated[
    str,
    option(
        "--metrics",
        "--metric",
        metavar="A,B",
        help_=f"Quality metrics: {DEFAULT_METRICS.replace(',', ', ')}.",
    ),
]
Plot = Annotated[
    Path | None,
    option("--plot", metavar="OUT", help_="Draw the curves: a .svg, .png or .pdf file."),
]
JsonOption = Annotated[
    Path | None, option("--json", metavar="OUT", help_="Write all results, image by image.")
]
CompressAi = Annotated[
    Path | None,
    option(
        "--compressai-json",
        metavar="DIR",
        help_="Write one file for each codec in the layout of CompressAI.",
    ),
]
MaxImages = Annotated[
    int | None, option("--max-images", metavar="N", min=1, help_="Only the first ones.")
]
CodecDevice = Annotated[
    str, option("--codec-device", metavar="WHERE", help_="For codecs with weights: cuda.")
]
CodecBatch = Annotated[
    int, option("--codec-batch", metavar="N", min=1, help_="Images in one call of them.")
]


def bench(
    folder: FolderOption,
    codec: Codecs,
    against: Against = None,
    metrics: Metrics = "psnr,ms-ssim",
    plot: Plot = None,
    out: JsonOption = None,
    compressai: CompressAi = None,
    max_images: MaxImages = None,
    codec_device: CodecDevice = "cpu",
    codec_batch: CodecBatch = 8,
) -> None:
    """Measure rate, quality and time of codecs on a folder of images, at all their levels."""
    from eyechart import api

    with image_bar() as bar:
        found = api.bench_codecs(
            folder,
            ",".join(codec),
            metrics,
            against=against,
            json=out,
            compressai=compressai,
            plot=plot,
            max_images=max_images,
            device=codec_device,
            batch_images=codec_batch,
            advance=bar.show,
        )
    _print_problems(found, folder)
    console = table_console()
    console.print(_rows_table(found))
    for note in _reproducible_notes(found):
        console.print(note, style="yellow")
    if against is not None:
        console.print()
        console.print(_bd_table(found))
    if found.failures:
        raise typer.Exit(1)


def _reproducible_notes(found: Bench) -> list[str]:
    """One line if decoded images depend on the device."""
    codecs = [codec for codec, how in found.reproducible.items() if how == "per device"]
    note = "reproducible per device: other kinds of devices can decode slightly different images"
    return [f"{', '.join(codecs)}: {note}"] if codecs else []


def _print_problems(found: Bench, folder: Path) -> None:
    if found.others:
        error_line(f"{folder}: left out: {counted(found.others, 'file')} without an image")
    for messages, what in ((found.left_out, "left out"), (found.failures, "failed")):
        for message in messages[:_NAMED]:
            error_line(f"{what}: {message}")
    if found.left_out:
        error_line(f"{folder}: {len(found.left_out)} of {found.images} images left out")
    if found.failures:
        error_line(f"{counted(len(found.failures), 'failure')}; see the column `failed`")


def _rows_table(found: Bench) -> Table:
    from eyechart.api.tools import quality_columns

    qualities = quality_columns(found)
    estimated = any(row.estimated_bpp is not None for row in found.rows)
    failed = any(row.failed for row in found.rows)
    numbers = (
        "bytes",
        "bpp",
        "total bpp",
        *(["estimated"] if estimated else []),
        *qualities,
        "encode s/MP",
        "decode s/MP",
        *(["failed"] if failed else []),
    )
    table = new_table("codec", "level", *numbers, right=numbers)
    for place, row in enumerate(found.rows):
        estimate = "" if row.estimated_bpp is None else f"{row.estimated_bpp:.4f}"
        table.add_row(
            row.codec,
            row.level,
            f"{row.mean_bytes:,.0f}",
            f"{row.mean_bpp:.4f}",
            f"{row.total_bpp:.4f}",
            *([estimate] if estimated else []),
            *(texts[place] for texts in qualities.values()),
            f"{row.encode_s_per_mp:.3f}",
            f"{row.decode_s_per_mp:.3f}",
            *([str(row.failed)] if failed else []),
        )
    return table


def _bd_table(found: Bench) -> Table:
    metrics = list(dict.fromkeys(one.metric for one in found.bd_rates))
    table = new_table(f"BD-rate against {found.against}", *metrics, "", right=metrics)
    for codec in dict.fromkeys(one.codec for one in found.bd_rates):
        own = {one.metric: one for one in found.bd_rates if one.codec == codec}
        figures = [own[metric].percent for metric in metrics]
        reasons = dict.fromkeys(one.reason for one in own.values() if one.reason)
        table.add_row(
            codec,
            *("–" if percent is None else f"{percent:+.1f} %" for percent in figures),
            "; ".join(reasons),
        )
    return table
