"""`eyechart check` and `eyechart recommend`: how far may own images be compressed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyechart.cli.run import CodecBatch, CodecDevice, Device, Out, Workers

Tolerance = Annotated[
    float,
    typer.Option("--tolerate", metavar="POINTS", help="Greatest loss, in points of 100."),
]


def check(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of images.")],
    vlm: Annotated[
        str, typer.Option("--vlm", metavar="NAME", help="A VLM, or openai:model=...,base_url=...")
    ] = "eyechart-mini",
    out: Out = Path("out/check"),
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Columns image, question and perhaps answer. Default: 3 questions."
        ),
    ] = None,
    codecs: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Default: JPEG, WebP and AVIF at usual qualities."),
    ] = None,
    tolerance: Tolerance = 2.0,
    max_images: Annotated[
        int | None, typer.Option("--max-images", min=1, help="Use the first so many images.")
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
) -> None:
    """Ask a VLM about own images, compressed and not, and say how far to compress.

    Without known answers, the reference is what the VLM says about the
    uncompressed image. A stopped check continues with the same command.
    """
    from eyechart import api
    from eyechart.api.check import check_tolerance
    from eyechart.cli.console import error_line, keyboard_interrupt, live_console
    from eyechart.cli.run_progress import run_progress

    check_tolerance(tolerance)
    with keyboard_interrupt("all answers so far are kept"):
        found = api.check_images(
            photos,
            vlm,
            out=out,
            questions=questions,
            codecs=codecs,
            max_images=max_images,
            device=device,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            progress=run_progress(live_console(stderr=False)),
        )
    found.outcome.raise_unusable()
    if found.left_out:
        error_line(f"{photos}: {found.left_out} files are no images that can be read here")
    _show(out, tolerance, found.files_bytes)
    print(f"\n{'Known answers' if found.answers_known else _REFERENCE}. Run directory: {out}")
    if not found.outcome.clean:
        raise typer.Exit(1)


_REFERENCE = "Reference: what the VLM says about the uncompressed image"


def recommend(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
    tolerance: Tolerance = 2.0,
    task: Annotated[
        list[str] | None, typer.Option(help="Use only this task; may be given several times.")
    ] = None,
) -> None:
    """Name the cheapest setting of a run whose loss is surely below a tolerance.

    The loss is that of the mean score of all questions; its upper 95 % bound
    must be below the tolerance.
    """
    _show(directory, tolerance, None, tuple(task or ()))


def _show(
    directory: Path, tolerance: float, files_bytes: float | None, tasks: tuple[str, ...] = ()
) -> None:
    from eyechart import api
    from eyechart.api.check import recommendation_table, recommendation_text
    from eyechart.cli.console import table_console
    from eyechart.cli.table_view import show

    found = api.recommend(directory, tolerance=tolerance, tasks=tasks)
    show([recommendation_table(one, files_bytes) for one in found], table_console())
    print()
    for one in found:
        print(recommendation_text(one, files_bytes))
