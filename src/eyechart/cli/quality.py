"""`eyechart quality`: the quality of a run's decoded images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyechart.cli.console import error_line, keyboard_interrupt
from eyechart.cli.options import Directory, option
from eyechart.cli.run import CodecBatch, CodecDevice, Wait, Workers
from eyechart.core.units import counted

DEFAULT_METRICS = "psnr,ms-ssim,psnr-hvs,vmaf,vif,xpsnr"
_NAMED = 10  # failures that are listed


def quality(
    directory: Directory,
    metrics: Annotated[
        str,
        option(
            "--metrics",
            metavar="A,B",
            help_="Metrics, or all that can be used here: all.",
        ),
    ] = DEFAULT_METRICS,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
    workers: Workers = None,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
    wait: Wait = False,
) -> None:
    """Measure the decoded images of a run with quality metrics.

    Every image of every codec and level is measured once, and the values are
    stored in the run directory. The same command continues one that was stopped.
    """
    failures = measure_with_bar(
        directory,
        metrics,
        data=data,
        workers=workers,
        codec_device=codec_device,
        codec_batch=codec_batch,
        wait=wait,
    )
    if failures:
        raise typer.Exit(1)


def measure_with_bar(
    directory: str | Path,
    metrics: str,
    *,
    data: str | None,
    workers: int | None,
    codec_device: str,
    codec_batch: int | None,
    wait: bool,
) -> bool:
    """Measure a run and print what was done; -> whether something failed."""
    from eyechart import api
    from eyechart.cli.bars import image_bar

    with keyboard_interrupt("all values so far are kept"), image_bar() as bar:
        found = api.measure_quality(
            directory,
            metrics,
            data=data,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            wait=wait,
            advance=bar.show,
        )
    for message in found.failures[:_NAMED]:
        error_line(f"eyechart: not measured: {message}")
    if len(found.failures) > _NAMED:
        error_line(f"eyechart: {len(found.failures):,} failures in all")
    print(
        f"{directory}: {counted(found.measured, 'image')} measured, "
        f"{found.stored:,} had their values"
    )
    return bool(found.failures)
