"""`eyechart score`: score answers that another tool produced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.api.files import write_json
from eyechart.cli.console import new_table, table_console
from eyechart.core import plugins
from eyechart.core.files import check_out
from eyechart.core.hooks import metric_label

if TYPE_CHECKING:
    from eyechart.api.results import Result

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
    from eyechart import api

    if json_out is not None:
        check_out(json_out)
    opened = api.open_task(task, data=data)
    with plugins.guarded(task):
        name, version, headline = opened.name, opened.version, opened.headline_metric
    result = api.score(opened, predictions)
    if json_out is not None:
        write_json(json_out, {"task": name, "version": version, **asdict(result)})
    with plugins.guarded(task):
        labels = {metric: metric_label(opened, metric) for metric in result.metrics}
    _print(name, labels[headline], {labels[name]: v for name, v in result.metrics.items()}, result)
    if result.missing:
        raise typer.Exit(1)


def _print(name: str, headline: str, metrics: Mapping[str, float], result: Result) -> None:
    from rich.text import Text

    console = table_console()
    table = new_table(name, "score", right=("score",))
    for metric, value in metrics.items():
        style = "bold" if metric == headline else ""
        table.add_row(metric, f"{value:.4f}", style=style)
    console.print(table)
    console.print(
        f"\n{result.answered:,} answers, {result.unparsed_percent:.2f} % of them unparsed"
    )
    if result.missing:
        named = ", ".join(result.missing[:_NAMED])
        more = ", ..." if len(result.missing) > _NAMED else ""
        missing = (f"{len(result.missing):,} questions have no prediction", "yellow")
        console.print(Text.assemble(missing, f" and are not counted: {named}{more}"))
