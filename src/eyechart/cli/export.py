"""`eyechart export`: compressed task files for other tools, and a run's records as a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.bars import progress_bar
from eyechart.cli.files import check_out
from eyechart.cli.run import Workers
from eyechart.core.errors import EyechartError, InputError

if TYPE_CHECKING:
    from eyechart.runner.export_tsv import Copied, Form, Target
    from eyechart.store import Store
    from eyechart.tasks.tsv_task import TsvTask

_UNPACKED_BYTES = 1 << 30  # VLMEvalKit unpacks larger tables into image files before it reads them

app = typer.Typer(
    no_args_is_help=True, help="Task files for VLMEvalKit and lmms-eval; records as csv or parquet."
)

Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DIR", help="Folder with the tasks' TSV files, or one of them."),
]


class Format(StrEnum):
    """Of a table of records."""

    csv = "csv"
    parquet = "parquet"


@app.command("tsv")
def export_tsv(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="Its name, with options: POPE:max_images=50.")
    ],
    codecs: Annotated[
        str,
        typer.Option("--codecs", metavar="A,B", help="jpeg,vvc:preset=fast; source: uncompressed."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the copies.")],
    levels: Annotated[
        str | None,
        typer.Option("--levels", metavar="A,B", help="Levels by name: 1,6. Default: all."),
    ] = None,
    data: Data = None,
    paths: Annotated[
        bool,
        typer.Option(
            "--paths",
            help="PNG files named in image_path, not base64 in image: "
            "a VLMEvalKit from before June 2025 needs it.",
        ),
    ] = False,
    prompts: Annotated[
        str | None,
        typer.Option(
            "--prompts",
            metavar="FAMILY",
            help="Write a VLM family's complete prompt into `question`.",
        ),
    ] = None,
    original_names: Annotated[
        bool,
        typer.Option(
            "--original-names",
            help="A folder for each copy, in which it has the name of the task's file, "
            "so that VLMEvalKit treats it as that data set.",
        ),
    ] = False,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", metavar="DIR", help="Use the bitstreams of a run directory, and add to them."
        ),
    ] = None,
    workers: Workers = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Also write the table to this file."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until another export to this folder has ended.")
    ] = (False),
) -> None:
    """Write a copy of TASK's file for each codec level, with all images compressed and decoded.

    A copy, such as OUT/POPE_jpeg_1.tsv, has the same rows and indices as the
    original; its images are lossless PNG. For VLMEvalKit set LMUData=OUT and
    give --data POPE_jpeg_1 --mode infer. With --paths, any tool that opens
    image files can use a copy.

    The other tool's answers (index and prediction, as xlsx, tsv, csv, json or
    jsonl) are scored by: eyechart score POPE --predictions FILE.

    The command can be stopped at any time. A copy gets its name when it is
    complete, and the same command continues with the images made so far (in
    OUT/.eyechart, which may be deleted afterwards).
    """
    from eyechart.runner.export_tsv import Form
    from eyechart.store import Store
    from eyechart.store.lease import lease

    if json_out is not None:
        check_out(json_out)
    opened = _task(task, data, prompts)
    targets = _targets(opened, codecs, levels)
    if run is not None:
        Store(run).require()
    cache = Store(_cache_folder(out))
    with lease(cache.root / "lease", wait=wait):
        made = _copy_all(
            opened,
            targets,
            out,
            Store(run) if run else cache,
            workers,
            Form(paths=paths, prompts=prompts, original_names=original_names),
        )
    if json_out is not None:
        _write_json(json_out, opened, made)
    if made:
        _print(opened, task, made, out)
    if len(made) < len(targets):
        raise typer.Exit(1)


@app.command("records")
def export_records(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Default: by OUT's ending."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder with the tasks' TSV files, if it has moved."),
    ] = None,
) -> None:
    """Write a run's records as a table with a row for each question of each cell.

    Columns: the cell (vlm, adapter, codec, level, task, with versions), index,
    question, answer, prediction, the parsed answer, score (0 to 1; captions
    are scored as a corpus and have 0 here), bytes, size and bpp of the image.
    A question that failed has no prediction; the column failure says why.
    """
    from eyechart.runner.export_records import export_records as write
    from eyechart.store import Store

    if form is None:
        ending = out.suffix.removeprefix(".").lower()
        if ending not in list(Format):
            raise InputError(f"{out}: give --format csv or parquet, or a file that ends so")
        form = Format(ending)
    store = Store(directory)
    store.require()
    check_out(out)
    rows = write(store, out, form.value, data)
    print(f"{out}: {rows:,} rows, {out.stat().st_size:,} bytes")


def _task(spec: str, data: str | None, prompts: str | None) -> TsvTask:
    from eyechart.core.prompts import prompt_families
    from eyechart.tasks import open_tasks
    from eyechart.tasks.tsv_task import TsvTask

    if prompts is not None and prompts not in prompt_families():
        raise InputError(f"--prompts {prompts!r}: allowed: {', '.join(prompt_families())}")
    (opened,) = open_tasks([spec], data)
    if not isinstance(opened, TsvTask):
        raise InputError(f"{spec}: not a task over a TSV file, so there is nothing to copy")
    opened.check_images(question.image for question in opened.questions())
    return opened


def _targets(task: TsvTask, codecs: str, levels: str | None) -> list[Target]:
    from eyechart.runner.export_tsv import Target, copy_name
    from eyechart.runner.plan import CodecEntry, split_specs
    from eyechart.runner.resolve import codec_levels

    specs = split_specs(codecs)
    if not specs:
        raise InputError("--codecs: no codec named")
    chosen = None if levels is None else tuple(level.strip() for level in levels.split(","))
    entries = [codec_levels(CodecEntry(codec=spec, levels=chosen)) for spec in specs]
    targets = [
        Target(name=copy_name(task, spec, level), codec=entry, level=level)
        for spec, entry in zip(specs, entries, strict=True)
        for level in entry.levels
    ]
    names = [target.name.lower() for target in targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"--codecs {codecs}: {twice}.tsv would be written twice")
    return targets


def _cache_folder(out: Path) -> Path:
    folder = out / ".eyechart"
    for cached in ("bitstreams", "decoded"):
        try:
            (folder / cached).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written ({error.strerror})") from error
    return folder


def _copy_all(
    task: TsvTask,
    targets: Sequence[Target],
    out: Path,
    store: Store,
    workers: int | None,
    form: Form,
) -> list[tuple[Target, str, Copied]]:
    """All copies that could be made; errors of the others go to stderr."""
    from eyechart.runner.export_tsv import Exporter
    from eyechart.runner.reconstruction import Reconstruction, open_executor

    executor = open_executor(workers)
    made: list[tuple[Target, str, Copied]] = []
    try:
        with progress_bar() as progress:
            images = len({question.image for question in task.questions()})
            bar = progress.add_task("", total=images * len(targets))
            exporter = Exporter(
                out,
                Reconstruction(store, executor, ahead=4),
                form,
                advance=lambda: progress.advance(bar),
            )
            for place, target in enumerate(targets):
                progress.update(bar, description=target.name, completed=place * images)
                try:
                    copied = exporter.copy(task, target)
                except InputError:
                    raise
                except EyechartError as error:
                    print(f"eyechart: {target.name}.tsv not written: {error}", file=sys.stderr)
                else:
                    made.append((target, target.codec.codec.name, copied))
    finally:
        executor.close()
    return made


def _write_json(path: Path, task: TsvTask, made: Sequence[tuple[Target, str, Copied]]) -> None:
    from eyechart.store.files import write_atomic

    rows = [
        {
            "file": str(copied.path),
            "codec": codec,
            "level": target.level.name,
            "rows": copied.rows,
            "pictures": copied.pictures,
            "rate_bpp": copied.rate_bpp,
            "size_bytes": copied.size_bytes,
        }
        for target, codec, copied in made
    ]
    told = {"task": task.name, "version": task.version, "copies": rows}
    write_atomic(path, json.dumps(told, indent=2, allow_nan=False).encode() + b"\n")


def _print(task: TsvTask, spec: str, made: Sequence[tuple[Target, str, Copied]], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("copy", overflow="fold")
    for heading in ("rows", "images", "bpp", "MB"):
        table.add_column(heading, justify="right")
    for target, _, copied in made:
        table.add_row(
            Text(target.name),
            f"{copied.rows:,}",
            f"{copied.pictures:,}",
            f"{copied.rate_bpp:.4f}",
            f"{copied.size_bytes / 1e6:.1f}",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"\n.tsv files in {out}; bpp is the mean over images", soft_wrap=True, markup=False
    )
    if any(copied.path.stat().st_size > _UNPACKED_BYTES for _, _, copied in made):
        console.print("[yellow]VLMEvalKit unpacks files above 1 GiB wrongly: use --paths[/]")
    if task.table.without_image:
        console.print(f"left out: {task.table.without_image:,} rows without an image")
    console.print(
        f"score the answers with: eyechart score {spec} --data {task.path} --predictions FILE",
        soft_wrap=True,
        markup=False,
    )
