"""`eyechart check`: how far may a user's images be compressed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyechart.cli.options import MOST_QUESTIONS, UsdPerGb, UsdPerMillion, parse_prices
from eyechart.cli.recommend import Today, Tolerance, show_recommendations
from eyechart.cli.run import CodecBatch, CodecDevice, Device, Out, Workers
from eyechart.core.built_in import BUILT_IN_VLM
from eyechart.core.units import counted


def check(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of images.")],
    vlm: Annotated[
        str, typer.Option("--vlm", metavar="NAME", help="A VLM, or openai:model=...,base_url=...")
    ] = BUILT_IN_VLM,
    out: Out = "out/check",
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Columns image, question and perhaps answer. Default: 3 questions and "
            "yes/no probes.",
        ),
    ] = None,
    codecs: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Default: JPEG, WebP and AVIF, usual levels."),
    ] = None,
    tolerance: Tolerance = 2.0,
    today: Today = None,
    max_images: Annotated[
        int | None, typer.Option("--max-images", min=1, help="Use the first so many images.")
    ] = None,
    usd_per_million: UsdPerMillion = None,
    usd_per_gb: UsdPerGb = None,
    yes: Annotated[
        bool, typer.Option("--yes", help=f"Ask more than {MOST_QUESTIONS:,} questions, too.")
    ] = False,
    device: Device = "auto",
    workers: Workers = None,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
) -> None:
    """Ask a VLM about your images, compressed and not, and say how far to compress.

    Without known answers, the reference is what the VLM says about the
    uncompressed image. A stopped check continues with the same command.
    """
    from eyechart import api
    from eyechart.api.check import check_asked
    from eyechart.api.places import writing
    from eyechart.cli.console import error_line, keyboard_interrupt, live_console, table_console
    from eyechart.cli.run_progress import run_progress

    prices = parse_prices(usd_per_million)
    check_asked(tolerance, prices, usd_per_gb)
    progress = run_progress(live_console(stderr=False))
    with (
        keyboard_interrupt("all answers so far are kept"),
        writing(out, note=progress.note) as folder,
    ):
        found = api.check_images(
            photos,
            vlm,
            out=folder,
            questions=questions,
            codecs=codecs,
            today=today,
            max_images=max_images,
            most_questions=None if yes else MOST_QUESTIONS,
            usd_per_million=prices,
            device=device,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            progress=progress,
        )
        found.outcome.raise_unusable()
        shown = api.recommend(
            folder,
            tolerance=tolerance,
            today=today,
            usd_per_million=prices or found.usd_per_million,
            usd_per_gb=usd_per_gb,
            keep=True,
        )
    if found.left_out:
        error_line(
            f"{photos}: left out: {counted(found.left_out, 'file')} that cannot be read as an image"
        )
    if found.unanswered:
        error_line(
            f"{counted(found.unanswered, 'question')} left out: the VLM says nothing about the "
            "uncompressed image"
        )
    show_recommendations(shown, folder)
    table_console().print(f"Own files: {found.own}.")
    print(f"Run directory: {out}")
    if not found.outcome.clean:
        raise typer.Exit(1)
