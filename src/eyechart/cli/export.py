"""`eyechart export`: compressed task files for other tools, and a run's records as a table."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.bars import image_bar
from eyechart.cli.run import Workers
from eyechart.core.errors import InputError
from eyechart.core.files import check_out

if TYPE_CHECKING:
    from eyechart.runner.export_tsv import TsvExport

_UNPACKED_BYTES = 1 << 30  # VLMEvalKit unpacks larger tables into image files before it reads them

app = typer.Typer(
    no_args_is_help=True, help="Task files for VLMEvalKit and lmms-eval; records as csv or parquet."
)

Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DIR", help="Folder with the tasks' TSV files, or one of them."),
]


class FormatChoice(StrEnum):
    """Of a table of records."""

    csv = "csv"
    parquet = "parquet"


@app.command("tsv")
def tsv(
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
    from eyechart.core.plugins import split_specs
    from eyechart.runner.export_tsv import Form, export_tsv

    if json_out is not None:
        check_out(json_out)
    with image_bar() as bar:
        made = export_tsv(
            task,
            split_specs(codecs),
            out,
            levels=None if levels is None else [level.strip() for level in levels.split(",")],
            data=data,
            form=Form(paths=paths, prompts=prompts, original_names=original_names),
            run=run,
            workers=workers,
            wait=wait,
            advance=bar.show,
        )
    for failure in made.failures:
        print(f"eyechart: {failure}", file=sys.stderr)
    if json_out is not None:
        _write_json(json_out, made)
    if made.copies:
        _print(made, task, out)
    if made.failures:
        raise typer.Exit(1)


@app.command("records")
def records(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    form: Annotated[
        FormatChoice | None,
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
    from eyechart.runner.export_records import export_records
    from eyechart.store import Store

    if form is None:
        ending = out.suffix.removeprefix(".").lower()
        if ending not in list(FormatChoice):
            raise InputError(f"{out}: give --format csv or parquet, or a file that ends so")
        form = FormatChoice(ending)
    store = Store(directory)
    store.require()
    check_out(out)
    rows = export_records(store, out, form.value, data)
    print(f"{out}: {rows:,} rows, {out.stat().st_size:,} bytes")


def _write_json(path: Path, made: TsvExport) -> None:
    from eyechart.store.files import write_atomic

    rows = [
        {
            "file": str(copied.path),
            "codec": copied.codec,
            "level": copied.level,
            "rows": copied.rows,
            "pictures": copied.pictures,
            "rate_bpp": copied.rate_bpp,
            "size_bytes": copied.size_bytes,
        }
        for copied in made.copies
    ]
    written = {"task": made.task.name, "version": made.task.version, "copies": rows}
    write_atomic(path, json.dumps(written, indent=2, allow_nan=False).encode() + b"\n")


def _print(made: TsvExport, spec: str, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("copy", overflow="fold")
    for heading in ("rows", "images", "bpp", "MB"):
        table.add_column(heading, justify="right")
    for copied in made.copies:
        table.add_row(
            Text(copied.name),
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
    if any(copied.path.stat().st_size > _UNPACKED_BYTES for copied in made.copies):
        console.print("[yellow]VLMEvalKit unpacks files above 1 GiB wrongly: use --paths[/]")
    source = made.task.table
    if source.without_image:
        console.print(f"left out: {source.without_image:,} rows without an image")
    console.print(
        f"score the answers with: eyechart score {spec} --data {made.task.path} --predictions FILE",
        soft_wrap=True,
        markup=False,
    )
