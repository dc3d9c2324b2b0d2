"""`eyechart run`, `plan` and `rescore`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import error_line, keyboard_interrupt, typed_text
from eyechart.cli.options import MOST_QUESTIONS, Directory
from eyechart.core.errors import InputError, StoreError
from eyechart.core.units import counted

if TYPE_CHECKING:
    from eyechart.api.results import Outcome

PlanArgument = Annotated[
    str, typer.Argument(metavar="PLAN", help="A YAML file, or a built-in plan: quick, paper.")
]
Vlms = Annotated[
    str | None,
    typer.Option("--vlm", metavar="A,B", help="VLMs instead of the plan's, without its adapters."),
]
Tasks = Annotated[
    str | None, typer.Option("--tasks", metavar="A,B", help="Tasks instead of the plan's.")
]
Codecs = Annotated[
    str | None,
    typer.Option(
        "--codecs",
        metavar="A,B",
        help="Codecs instead of the plan's, besides source: jpeg,vvc:preset=fast.",
    ),
]
Adapters = Annotated[
    str | None,
    typer.Option(
        "--adapter",
        metavar="A,B",
        help="Adapters instead of the plan's: none,DIR,DIR:conditioning=unknown.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder with the tasks' TSV files. All images are used, if --max-images is not given.",
    ),
]
MaxImages = Annotated[
    int | None,
    typer.Option("--max-images", metavar="N", help="Number of images to use of each task."),
]
Device = Annotated[
    str,
    typer.Option("--device", metavar="WHERE", help="auto, cpu, cuda:1, cuda:0,cuda:1, all, map."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=0,
        help="Processes for codecs; 0: none. Default: one per CPU core.",
    ),
]
CodecDevice = Annotated[
    str,
    typer.Option(
        "--codec-device", metavar="WHERE", help="For codecs with weights: auto, cpu, cuda:0, all."
    ),
]
CodecBatch = Annotated[
    int | None,
    typer.Option(
        "--codec-batch",
        metavar="N",
        min=1,
        help="Images in one call of a codec with weights. Default: 8.",
        show_default=False,
    ),
]
DecodedGb = Annotated[
    float, typer.Option("--decoded-gb", metavar="GB", min=0, help="Disk space for decoded images.")
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until another run of this directory has ended.")
]
Out = Annotated[
    str,
    typer.Option(
        "--out", "-o", metavar="DIR", help="The run directory, or its URL (s3://bucket/run)."
    ),
]
BatchOption = Annotated[
    int | None,
    typer.Option(
        "--batch",
        min=1,
        help="Questions passed to a VLM at once, per device. Default: 32, on a GPU 512.",
        show_default=False,
    ),
]
ChoiceSet = Annotated[
    bool,
    typer.Option(
        "--choice-set",
        help="VLMs choose one of a question's answers: a protocol with tables of its own.",
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Also ask again the questions that failed permanently."),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Codecs and VLM on a Ray cluster: HOST:PORT or auto; without ADDRESS, or with local, "
        "on one started here.",
    ),
]
Title = Annotated[
    str | None,
    typer.Option("--title", metavar="TEXT", help="Title of the report, instead of the plan's."),
]
QualityOption = Annotated[
    bool,
    typer.Option("--quality", help="Measure the decoded images at the end, as eyechart quality."),
]
ReportOption = Annotated[
    bool,
    typer.Option("--report/--no-report", help="Print tables and write the HTML report at the end."),
]
YesOption = Annotated[
    bool, typer.Option("--yes", help=f"Ask a server more than {MOST_QUESTIONS:,} questions, too.")
]


def run(
    context: typer.Context,
    plan: PlanArgument = "quick",
    out: Out = "out/run",
    vlm: Vlms = None,
    tasks: Tasks = None,
    codecs: Codecs = None,
    adapter: Adapters = None,
    data: Data = None,
    max_images: MaxImages = None,
    device: Device = "auto",
    workers: Workers = None,
    batch: BatchOption = None,
    choice_set: ChoiceSet = False,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
    decoded_gb: DecodedGb = 2.0,
    retry_failed: RetryFailed = False,
    wait: Wait = False,
    ray: Ray = None,
    title: Title = None,
    quality: QualityOption = False,
    report: ReportOption = True,
    yes: YesOption = False,
) -> None:
    """Run a plan, print the BD-Metric table and write the report.

    Questions that already have an answer in the run directory are not asked
    again, so the same command continues a run that was stopped.
    """
    from eyechart import api
    from eyechart.api.places import writing
    from eyechart.cli.console import live_console
    from eyechart.cli.run_progress import run_progress

    progress = run_progress(live_console(stderr=False))
    with (
        keyboard_interrupt("all answers so far are kept"),
        writing(out, wait=wait, note=progress.note) as folder,
    ):
        outcome = api.run(
            plan,
            out=folder,
            vlms=vlm,
            tasks=tasks,
            codecs=codecs,
            adapters=adapter,
            data=data,
            max_images=max_images,
            choice_set=choice_set or None,
            title=None if title is None else typed_text(title),
            device=device,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            batch=batch,
            decoded_gb=decoded_gb,
            retry_failed=retry_failed,
            wait=wait,
            ray="" if ray == "local" else ray,
            progress=progress,
            strict=False,
            most_questions=None if yes else MOST_QUESTIONS,
            command=shlex.join(("eyechart", *context.find_root().obj)),
        )
        failed = quality and _measure(folder, data, workers, codec_device, codec_batch, wait=wait)
        shown = not report or _show_results(folder, silent=bool(outcome.unusable))
    _end(outcome, folder)
    if failed or not shown:
        raise typer.Exit(1)


def encode(
    plan: PlanArgument = "quick",
    out: Out = "out/run",
    tasks: Tasks = None,
    codecs: Codecs = None,
    data: Data = None,
    max_images: MaxImages = None,
    workers: Workers = None,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
    decoded_gb: DecodedGb = 2.0,
    wait: Wait = False,
    ray: Ray = None,
) -> None:
    """Encode and decode a plan's images into a run directory, without asking a VLM.

    The plan's VLMs and adapters need not be on this machine. `eyechart run` with
    the same plan and directory finds the images. Images of codecs that decode
    slowly are stored up to --decoded-gb; beyond it they are decoded again when
    they are needed.
    """
    from eyechart import api
    from eyechart.cli.bars import image_bar

    with keyboard_interrupt("everything encoded is kept"), image_bar() as bar:
        failures = api.encode(
            plan,
            out=out,
            tasks=tasks,
            codecs=codecs,
            data=data,
            max_images=max_images,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            decoded_gb=decoded_gb,
            wait=wait,
            ray="" if ray == "local" else ray,
            advance=bar.step,
        )
    for message in dict.fromkeys(failure.message for failure in failures):
        error_line(f"eyechart: {message}")
    print(
        f"{out}: {counted(len(failures), 'image')} failed"
        if failures
        else f"{out}: all images encoded"
    )
    if failures:
        raise typer.Exit(1)


def plan(
    plan: PlanArgument = "quick",
    vlm: Vlms = None,
    tasks: Tasks = None,
    codecs: Codecs = None,
    adapter: Adapters = None,
    data: Data = None,
    max_images: MaxImages = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N", help="Questions per second that your VLM answers."),
    ] = None,
    rates: Annotated[
        Path | None,
        typer.Option(
            "--rates", metavar="FILE", help="Measured speeds: a YAML file, or a run directory."
        ),
    ] = None,
    decoded_gb: DecodedGb = 2.0,
    nodes: Annotated[
        int,
        typer.Option(
            "--nodes", metavar="N", min=1, help="Nodes of a cluster, each like this machine."
        ),
    ] = 1,
) -> None:
    """Estimate the cells, images, questions, disk space and time of a plan. Runs nothing."""
    from eyechart import api
    from eyechart.cli.console import table_console
    from eyechart.cli.estimate_view import print_estimate
    from eyechart.core.workers import usable_cores

    chosen = api.open_plan(
        plan,
        vlms=vlm,
        tasks=tasks,
        codecs=codecs,
        adapters=adapter,
        data=data,
        max_images=max_images,
    )
    found = api.estimate(chosen, rate=rate, rates=rates)
    print_estimate(chosen.title, found, usable_cores(), table_console(), decoded_gb, nodes)


def rescore(
    directory: Directory,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder with the tasks' TSV files, if it has moved."),
    ] = None,
    wait: Wait = False,
) -> None:
    """Score the stored answers again with the scorers of this version. No VLM is run."""
    from eyechart import api

    changed = api.rescore(directory, data=data, wait=wait)
    print(
        f"{counted(changed.cells, 'cell')}, {counted(changed.records, 'answer')}, "
        f"{counted(changed.changed, 'score')} changed"
    )
    for reason in changed.broken:
        error_line(f"eyechart: scores unchanged: {reason}")
    if changed.broken:
        raise typer.Exit(1)


def _measure(
    out: Path,
    data: str | None,
    workers: int | None,
    codec_device: str,
    codec_batch: int | None,
    *,
    wait: bool,
) -> bool:
    """Measure the quality of what was answered; -> whether something failed. That does not end the
    command, so that the tables and the report of the answers follow."""
    from eyechart.cli.quality import DEFAULT_METRICS, measure_with_bar

    try:
        return measure_with_bar(
            out,
            DEFAULT_METRICS,
            data=data,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            wait=wait,
        )
    except (InputError, StoreError) as error:
        error_line(f"eyechart: no quality: {error}")
        return True


def _show_results(out: Path, *, silent: bool) -> bool:
    """Print the tables and write the report; False if there are none, with the reason on stderr
    unless `silent`, or if a task is left out."""
    from eyechart import api
    from eyechart.api.tables import tables_of
    from eyechart.cli.tables import TableFormat, print_tables, say_not_shown

    try:
        analysis = api.analyse(out, fresh=True)
    except InputError as error:
        if not silent:
            error_line(f"eyechart: no table and no report: {error}")
        return False
    tables = [*tables_of(analysis, "bd"), *tables_of(analysis, "adapter")]
    print_tables(tables, TableFormat.terminal)
    print(f"\nreport: {api.write_report(out)}")
    say_not_shown(analysis)
    return not analysis.left_out


def _end(outcome: Outcome, out: Path) -> None:
    for line in outcome.given_up:
        error_line(f"eyechart: gave up {line}; run again to continue")
    lost = outcome.failed + outcome.lost_before
    if lost:
        again = "" if outcome.failed else " permanently; --retry-failed asks them again"
        where = out / "cells"
        error_line(
            f"eyechart: {counted(lost, 'question')} failed{again} (failures.jsonl under {where})"
        )
    outcome.raise_unusable()
    if not outcome.clean:
        raise typer.Exit(1)
