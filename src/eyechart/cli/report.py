"""`eyechart report`: a run's analysis as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyechart.cli.files import check_out
from eyechart.cli.tables import say_unanswered
from eyechart.core.errors import InputError
from eyechart.core.files import is_dir


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: DIR/report.html.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Analyse again even if nothing has changed.")
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
) -> None:
    """Write the HTML report of a run.

    analysis.json is made again when answers or scores have changed. A folder
    that holds only an analysis.json can be reported, too.
    """
    from eyechart.analysis.files import analysis_of
    from eyechart.report.html import write_report

    path = out or directory / "report.html"
    if not is_dir(directory):
        raise InputError(
            f"{directory}: no eyechart run here; make one with eyechart run --out {directory}"
        )
    check_out(path)
    analysis = analysis_of(directory, fresh=fresh, data=data)
    write_report(analysis, path)
    say_unanswered(analysis)
    print(path)
