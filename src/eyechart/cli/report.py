"""`eyechart report`: a run's analysis as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyechart.cli.tables import say_not_shown


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
    from eyechart import api

    path = api.write_report(directory, out, fresh=fresh, data=data)
    analysis = api.analyse(directory, data=data)
    say_not_shown(analysis)
    print(path)
    if analysis.left_out:
        raise typer.Exit(1)
