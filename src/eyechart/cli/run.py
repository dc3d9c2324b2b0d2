"""`eyechart run`, `plan` and `rescore`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyechart.cli.console import stopped
from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from eyechart.runner.engine import Outcome
    from eyechart.runner.plan import Plan
    from eyechart.runner.progress import Progress
    from eyechart.runner.start import Options

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


def run(
    plan: PlanArgument = "quick",
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The run directory.")
    ] = Path("out/run"),
    vlm: Vlms = None,
    tasks: Tasks = None,
    codecs: Codecs = None,
    adapter: Adapters = None,
    data: Data = None,
    max_images: MaxImages = None,
    device: Device = "auto",
    workers: Workers = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            min=1,
            help="Questions passed to a VLM at once, per device. Default: 32, on a GPU 512.",
            show_default=False,
        ),
    ] = None,
    choice_set: Annotated[
        bool,
        typer.Option(
            "--choice-set",
            help="VLMs choose one of a question's answers: a protocol with tables of its own.",
        ),
    ] = False,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
    decoded_gb: DecodedGb = 2.0,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Also ask again the questions that failed permanently."
        ),
    ] = False,
    wait: Wait = False,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Title of the report, instead of the plan's.")
    ] = None,
    report: Annotated[
        bool, typer.Option(help="Print tables and write the HTML report at the end.")
    ] = True,
) -> None:
    """Run a plan, print the BD-Metric table and write the report.

    Questions that already have an answer in the run directory are not asked
    again, so the same command continues a run that was stopped.
    """
    from eyechart.runner.start import Options

    chosen = _plan(plan, vlm, tasks, codecs, adapter, data, max_images, choice_set=choice_set)
    if title is not None:
        chosen = chosen.model_copy(update={"title": title})
    options = Options(
        device=device,
        workers=workers,
        codec_device=codec_device,
        codec_batch=codec_batch,
        batch=batch,
        decoded_gb=decoded_gb,
        retry_failed=retry_failed,
        wait=wait,
    )
    console = _console()
    outcome = _run(chosen, out, console, options)
    shown = not report or _show_results(out, console, silent=bool(outcome.unusable))
    _end(outcome, out)
    if not shown:
        raise typer.Exit(1)


def encode(
    plan: PlanArgument = "quick",
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The run directory.")
    ] = Path("out/run"),
    tasks: Tasks = None,
    codecs: Codecs = None,
    data: Data = None,
    max_images: MaxImages = None,
    workers: Workers = None,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
    decoded_gb: DecodedGb = 2.0,
    wait: Wait = False,
) -> None:
    """Encode and decode a plan's images into a run directory, without asking a VLM.

    `eyechart run` with the same plan and directory finds them. Images of codecs
    that decode slowly are stored up to --decoded-gb; beyond it they are decoded
    again when they are needed.
    """
    from eyechart import api
    from eyechart.cli.bars import progress_bar

    chosen = _plan(plan, None, tasks, codecs, None, data, max_images)
    with progress_bar() as progress:
        bar = progress.add_task("", total=None)

        def advance(what: str, images: int) -> None:
            progress.update(bar, description=what, total=images, advance=1)

        try:
            failures = api.encode(
                chosen,
                out=out,
                workers=workers,
                codec_device=codec_device,
                codec_batch=codec_batch,
                decoded_gb=decoded_gb,
                wait=wait,
                advance=advance,
            )
        except KeyboardInterrupt:
            stopped("everything encoded is kept")
    for message in dict.fromkeys(failure.message for failure in failures):
        print(f"eyechart: {message}", file=sys.stderr)
    print(f"{out}: {len(failures):,} images failed" if failures else f"{out}: all images encoded")
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
) -> None:
    """Estimate the cells, images, questions, disk space and time of a plan. Runs nothing."""
    from eyechart import api
    from eyechart.cli.estimate_view import print_estimate
    from eyechart.core.workers import usable_cores

    chosen = _plan(plan, vlm, tasks, codecs, adapter, data, max_images)
    found = api.estimate(chosen, rate=rate, rates=rates)
    print_estimate(chosen.title, found, usable_cores(), _console(), decoded_gb)


def rescore(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder with the tasks' TSV files, if it has moved."),
    ] = None,
    wait: Wait = False,
) -> None:
    """Score the stored answers again with the scorers of this version. No VLM is run."""
    from eyechart import api

    changed = api.rescore(directory, data=data, wait=wait)
    print(f"{changed.cells} cells, {changed.records:,} answers, {changed.changed:,} scores changed")


def _plan(
    name: str,
    vlm: str | None,
    tasks: str | None,
    codecs: str | None,
    adapter: str | None,
    data: str | None,
    max_images: int | None,
    *,
    choice_set: bool = False,
) -> Plan:
    """The plan of that name, changed by the options."""
    from eyechart.core.plugins import split_specs
    from eyechart.runner.plan import changed, load_plan

    given: dict[str, Any] = {
        key: split_specs(text)
        for key, text in (
            ("vlms", vlm),
            ("tasks", tasks),
            ("codecs", codecs),
            ("adapters", adapter),
        )
        if text is not None
    }
    if data is not None:
        given["data"] = data
    if max_images is not None:
        given["max_images"] = max_images
    if choice_set:
        given["choice_set"] = True
    return changed(load_plan(name), given, name)


def _run(plan: Plan, out: Path, console: Console, options: Options) -> Outcome:
    from eyechart.runner.start import run_plan

    try:
        return run_plan(plan, out, _progress(console), options)
    except KeyboardInterrupt:
        stopped("all answers so far are kept")


def _progress(console: Console) -> Progress:
    from eyechart.runner.progress import Bars, Lines

    if console.is_terminal:
        return Bars(console)
    return Lines(lambda text: print(text, flush=True))


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _show_results(out: Path, console: Console, *, silent: bool) -> bool:
    """Print the tables and write the report; False if there are none, with the reason on stderr
    unless `silent`."""
    from eyechart.analysis.files import analysis_of
    from eyechart.analysis.tables import tables_of
    from eyechart.analysis.terminal import show
    from eyechart.report.html import write_report

    try:
        analysis = analysis_of(out, fresh=True)
    except InputError as error:
        if not silent:
            print(f"eyechart: no table and no report: {error}", file=sys.stderr)
        return False
    show([*tables_of(analysis, "bd"), *tables_of(analysis, "adapter")], console)
    write_report(analysis, out / "report.html")
    console.print(f"\nreport: {out / 'report.html'}", soft_wrap=True, markup=False)
    return True


def _end(outcome: Outcome, out: Path) -> None:
    for line in outcome.given_up:
        print(f"eyechart: gave up {line}; run again to continue", file=sys.stderr)
    lost = outcome.failed + outcome.lost_before
    if lost:
        again = "" if outcome.failed else " permanently; --retry-failed asks them again"
        print(
            f"eyechart: {lost:,} questions failed{again} (failures.jsonl under {out / 'cells'})",
            file=sys.stderr,
        )
    outcome.raise_unusable()
    if not outcome.clean:
        raise typer.Exit(1)
