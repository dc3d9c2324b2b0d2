"""`eyechart codec bench`: rate, quality and time of codecs on a folder of images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from eyechart.cli.bars import image_bar
from eyechart.cli.console import table_console, terminal_text
from eyechart.codecs.reconstruct import BATCH_IMAGES
from eyechart.core.errors import InputError
from eyechart.core.files import check_out
from eyechart.quality import label, open_metric
from eyechart.quality import text as quality_text
from eyechart.runner.bench import Bench, measure, open_codecs

if TYPE_CHECKING:
    from eyechart.report.rate_distortion import BdRate

_NAMED = 10  # images left out, and failures, that are listed


def bench(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.")],
    codec: Annotated[
        list[str], typer.Option("--codec", metavar="A,B", help="Codecs: jpeg,vvc:preset=fast.")
    ],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="CODEC", help="Also print BD-rates against this codec."),
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", metavar="A,B", help="Quality metrics: psnr,ms-ssim.")
    ] = "psnr,ms-ssim",
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="OUT", help="Draw the curves: a .svg, .png or .pdf file."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Write all results, image by image."),
    ] = None,
    compressai: Annotated[
        Path | None,
        typer.Option(
            "--compressai-json",
            metavar="DIR",
            help="Write one file for each codec in the layout of CompressAI.",
        ),
    ] = None,
    max_images: Annotated[
        int | None, typer.Option("--max-images", metavar="N", min=1, help="Only the first ones.")
    ] = None,
    codec_device: Annotated[
        str, typer.Option("--codec-device", metavar="WHERE", help="For codecs with weights: cuda.")
    ] = "cpu",
    codec_batch: Annotated[
        int,
        typer.Option("--codec-batch", metavar="N", min=1, help="Images in one call of them."),
    ] = BATCH_IMAGES,
) -> None:
    """Measure rate, quality and time of codecs on a folder of images, at all their levels."""
    from eyechart.core.plugins import split_specs
    from eyechart.report import rate_distortion

    for file in (out, plot):
        if file is not None:
            check_out(file)
    if plot is not None:
        rate_distortion.check_plot(plot)
    if compressai is not None and not compressai.is_dir():
        raise InputError(f"{compressai}: not a folder; allowed: a folder to write to")
    specs = [spec for specs in codec for spec in split_specs(specs)]
    if not specs:
        raise InputError("--codec: no codec named")
    codecs = open_codecs(list(dict.fromkeys(specs if against is None else [*specs, against])))
    with image_bar() as bar:
        found = measure(
            codecs,
            folder,
            [open_metric(spec) for spec in split_specs(metric)],
            max_images=max_images,
            device=codec_device,
            batch_images=codec_batch,
            report=bar.show,
        )
    _tell_problems(found, folder)
    bd_rates: list[BdRate] = []
    table_console().print(_rows_table(found))
    if against is not None:
        rival = next(one.label for one in codecs if against in (one.label, one.spec))
        bd_rates = rate_distortion.bd_rates(found, rival)
        print()
        table_console().print(_bd_table(bd_rates, rival))
    if out is not None:
        rate_distortion.write_json(found, folder, out, bd_rates)
    if compressai is not None:
        rate_distortion.write_compressai(found, compressai)
    if plot is not None:
        rate_distortion.write_plot(found, plot)
    if found.failures:
        raise typer.Exit(1)


def _tell_problems(found: Bench, folder: Path) -> None:
    if found.others:
        print(f"{folder}: {found.others} files are no images and are left out", file=sys.stderr)
    for messages, what in ((found.left_out, "left out"), (found.failures, "failed")):
        for message in messages[:_NAMED]:
            print(f"{what}: {terminal_text(message)}", file=sys.stderr)
    if found.left_out:
        left_out = f"{len(found.left_out)} of {found.images} images left out"
        print(f"{folder}: {left_out}", file=sys.stderr)
    if found.failures:
        print(f"{len(found.failures)} failures; see the column `failed`", file=sys.stderr)


def _rows_table(found: Bench) -> Table:
    qualities = [label(one) for one in found.metrics]
    estimated = any(row.estimated_bpp is not None for row in found.rows)
    failed = any(row.failed for row in found.rows)
    table = Table("codec", "level", box=None, header_style="bold", pad_edge=False)
    optional = [*(["estimated"] if estimated else []), *qualities]
    last = ["encode s/MP", "decode s/MP", *(["failed"] if failed else [])]
    for heading in ("bytes", "bpp", "total bpp", *optional, *last):
        table.add_column(heading, justify="right")
    for index, row in enumerate(found.rows):
        estimate = "" if row.estimated_bpp is None else f"{row.estimated_bpp:.4f}"
        table.add_row(
            row.codec,
            row.level,
            f"{row.mean_bytes:,.0f}",
            f"{row.mean_bpp:.4f}",
            f"{row.total_bpp:.4f}",
            *([estimate] if estimated else []),
            *(quality_text(row.quality[name]) for name in qualities),
            f"{row.encode_s_per_mp:.3f}",
            f"{row.decode_s_per_mp:.3f}",
            *([str(row.failed)] if failed else []),
            end_section=index + 1 == len(found.rows) or found.rows[index + 1].codec != row.codec,
        )
    return table


def _bd_table(found: Sequence[BdRate], against: str) -> Table:
    metrics = list(dict.fromkeys(one.metric for one in found))
    table = Table(f"BD-rate against {against}", box=None, header_style="bold", pad_edge=False)
    for metric in metrics:
        table.add_column(metric, justify="right")
    table.add_column("")
    for codec in dict.fromkeys(one.codec for one in found):
        own = {one.metric: one for one in found if one.codec == codec}
        figures = [own[metric].percent for metric in metrics]
        reasons = dict.fromkeys(one.reason for one in own.values() if one.reason)
        table.add_row(
            codec,
            *("–" if percent is None else f"{percent:+.1f} %" for percent in figures),
            "; ".join(reasons),
        )
    return table
