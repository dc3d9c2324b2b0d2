"""`eyechart score`: score answers that another tool produced."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from eyechart.core.types import Task
    from eyechart.tasks.predictions import Result

_NAMED = 5  # missing questions that are named


def score(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Its name: POPE, GQA, ...")],
    predictions: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="xlsx, tsv, csv, json or jsonl with index and prediction."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE.tsv", help="The task's TSV file, or the folder it is in."),
    ] = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Also write the scores to this file."),
    ] = None,
) -> None:
    """Score answers made elsewhere, as VLMEvalKit scores them without a judge.

    Predictions: a result file of VLMEvalKit, a sample file of lmms-eval, or
    any table with the columns index and prediction. null and "Failed to
    obtain answer", which VLMEvalKit stores for a question that failed, are
    no prediction.

    The exit code is 1 if questions have no prediction; the scores are then
    those of the other questions.
    """
    from eyechart.core.files import check_out
    from eyechart.store.files import write_atomic
    from eyechart.tasks import open_tasks
    from eyechart.tasks.predictions import read_predictions, score_predictions

    if json_out is not None:
        check_out(json_out)
    (opened,) = open_tasks([task], data)
    result = score_predictions(opened, read_predictions(predictions), name=str(predictions))
    if json_out is not None:
        found = {"task": opened.name, "version": opened.version, **asdict(result)}
        write_atomic(json_out, json.dumps(found, indent=2, ensure_ascii=False).encode() + b"\n")
    _print(opened, result)
    if result.missing:
        raise typer.Exit(1)


def _print(task: Task, result: Result) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(Text(task.name))
    table.add_column("score", justify="right")
    for metric, value in result.metrics.items():
        style = "bold" if metric == task.headline_metric else ""
        table.add_row(Text(metric), f"{value:.4f}", style=style)
    console.print(table)
    console.print(
        f"\n{result.answered:,} answers, {result.unparsed_percent:.2f} % of them unparsed"
    )
    if result.missing:
        named = ", ".join(result.missing[:_NAMED])
        more = ", ..." if len(result.missing) > _NAMED else ""
        console.print(
            f"[yellow]{len(result.missing):,} questions have no prediction[/] "
            f"and are not counted: {escape(named)}{more}"
        )
