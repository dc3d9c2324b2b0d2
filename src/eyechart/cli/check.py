"""`eyechart check`: how far may a user's images be compressed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyechart.cli.recommend import Today, Tolerance, show_recommendations
from eyechart.cli.run import CodecBatch, CodecDevice, Device, Out, Workers


def check(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of images.")],
    vlm: Annotated[
        str, typer.Option("--vlm", metavar="NAME", help="A VLM, or openai:model=...,base_url=...")
    ] = "eyechart-mini",
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
    from eyechart.api.check import check_tolerance
    from eyechart.api.places import writing
    from eyechart.cli.console import error_line, keyboard_interrupt, live_console
    from eyechart.cli.run_progress import run_progress

    check_tolerance(tolerance)
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
            device=device,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            progress=progress,
        )
        found.outcome.raise_unusable()
        shown = api.recommend(folder, tolerance=tolerance, today=today, keep=True)
    if found.left_out:
        error_line(f"{photos}: {found.left_out} files are no images that can be read here")
    show_recommendations(shown, folder)
    print(f"\nOwn files: {found.own}.")
    compared = ", ".join(f"{rule} ({count})" for rule, count in found.rules.items())
    print(f"Answers are compared by: {compared}.")
    if found.answers_known:
        print("Reference: known answers.")
    else:
        print(
            "Reference: what the VLM says about the uncompressed image. Asked again, it agrees "
            f"with itself to {shown[0].agreement:.1f} %."
        )
    print(f"Run directory: {out}")
    if not found.outcome.clean:
        raise typer.Exit(1)
