"""`eyechart export`: compressed task files for other tools, and a run's records as a table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.api.files import write_json
from eyechart.cli.bars import image_bar
from eyechart.cli.console import error_line, new_table, table_console
from eyechart.cli.options import Directory, option
from eyechart.cli.run import CodecBatch, CodecDevice, Workers
from eyechart.core.files import check_out

if TYPE_CHECKING:
    from eyechart.api.results import TsvExport

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


TaskOption = Annotated[
    str, typer.Argument(metavar="TASK", help="Its name, with options: POPE:max_images=50.")
]
Codecs = Annotated[
    str, option("--codecs", metavar="A,B", help_="jpeg,vvc:preset=fast; source: uncompressed.")
]
# Not a `Path`, which would change the slashes of a URL.
Out = Annotated[
    str, option("--out", "-o", metavar="DIR", help_="Folder for the copies, or its URL.")
]
Levels = Annotated[
    str | None, option("--levels", metavar="A,B", help_="Levels by name: 1,6. Default: all.")
]
Paths = Annotated[
    bool,
    typer.Option(
        "--paths",
        help="PNG files named in image_path, not base64 in image: "
        "a VLMEvalKit from before June 2025 needs it.",
    ),
]
Prompts = Annotated[
    str | None,
    option(
        "--prompts",
        metavar="FAMILY",
        help_="Write a VLM family's complete prompt into `question`.",
    ),
]
OriginalNames = Annotated[
    bool,
    typer.Option(
        "--original-names",
        help="A folder for each copy, in which it has the name of the task's file, "
        "so that VLMEvalKit treats it as that data set.",
    ),
]
RunDirOption = Annotated[
    str | None,
    option("--run", metavar="DIR", help_="Use the bitstreams of a run directory, and add to them."),
]
JsonOut = Annotated[
    Path | None, option("--json", metavar="OUT", help_="Also write the table to this file.")
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until another export to this folder has ended.")
]


@app.command("tsv")
def tsv(
    task: TaskOption,
    codecs: Codecs,
    out: Out,
    levels: Levels = None,
    data: Data = None,
    paths: Paths = False,
    prompts: Prompts = None,
    original_names: OriginalNames = False,
    run: RunDirOption = None,
    workers: Workers = None,
    codec_device: CodecDevice = "auto",
    codec_batch: CodecBatch = None,
    json_out: JsonOut = None,
    wait: Wait = False,
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
    from eyechart import api

    if json_out is not None:
        check_out(json_out)
    with image_bar() as bar:
        made = api.export_tsv(
            task,
            codecs,
            out=out,
            levels=None if levels is None else [level.strip() for level in levels.split(",")],
            data=data,
            paths=paths,
            prompts=prompts,
            original_names=original_names,
            run_directory=run,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            wait=wait,
            advance=bar.show,
        )
    for failure in made.failures:
        error_line(f"eyechart: {failure}")
    if json_out is not None:
        _write_json(json_out, made, out)
    if made.copies:
        _print(made, task, out)
    if made.failures:
        raise typer.Exit(1)


@app.command("records")
def records(
    directory: Directory,
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
    from eyechart import api

    rows = api.export_records(directory, out, None if form is None else form.value, data=data)
    print(f"{out}: {rows:,} rows, {out.stat().st_size:,} bytes")


def _write_json(path: Path, made: TsvExport, out: str) -> None:
    rows = [
        {
            "file": f"{out.rstrip('/')}/{copied.path.relative_to(made.folder).as_posix()}",
            "codec": copied.codec,
            "level": copied.level,
            "rows": copied.rows,
            "images": copied.images,
            "rate_bpp": copied.rate_bpp,
            "size_bytes": copied.size_bytes,
        }
        for copied in made.copies
    ]
    write_json(path, {"task": made.task.name, "version": made.task.version, "copies": rows})


def _print(made: TsvExport, spec: str, out: str) -> None:
    numbers = ("rows", "images", "bpp", "MB")
    table = new_table("copy", *numbers, right=numbers, fold=("copy",))
    for copied in made.copies:
        table.add_row(
            copied.name,
            f"{copied.rows:,}",
            f"{copied.images:,}",
            f"{copied.rate_bpp:.4f}",
            f"{copied.size_bytes / 1e6:.1f}",
        )
    console = table_console()
    console.print(table)
    console.print(f"\n.tsv files in {out}; bpp is the mean over images", soft_wrap=True)
    if made.needs_paths:
        console.print("VLMEvalKit unpacks files above 1 GiB wrongly: use --paths", style="yellow")
    if left_out := made.task.table.without_image:
        console.print(f"left out: {left_out:,} rows without an image")
    console.print(
        f"score the answers with: eyechart score {spec} --data {made.task.path} --predictions FILE",
        soft_wrap=True,
    )
