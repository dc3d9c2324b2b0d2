"""`eyechart report`: a run's analysis as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.files import check_out
from eyechart.core.errors import InputError

if TYPE_CHECKING:
    from eyechart.analysis.result import Analysis


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: DIR/report.html.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Analyse anew even if nothing has changed.")
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
) -> None:
    """Write the HTML report of a run; analysis.json is made anew where answers or scores changed.

    An analysis.json alone, without its run, is a report, too.
    """
    from eyechart.report.html import write_report

    path = out or directory / "report.html"
    if not directory.is_dir():
        raise InputError(
            f"{directory}: no eyechart run here; make one with eyechart run --out {directory}"
        )
    check_out(path)
    write_report(_analysis(directory, fresh=fresh, data=data), path)
    print(path)


def _analysis(directory: Path, *, fresh: bool, data: str | None) -> Analysis:
    from datetime import UTC, datetime

    from eyechart.analysis.analyse import analyse
    from eyechart.analysis.files import current_analysis, read_analysis, write_analysis
    from eyechart.store import Store

    frozen, store = directory / "analysis.json", Store(directory)
    if frozen.exists() and not store.is_run():
        return read_analysis(frozen)
    if not fresh and (found := current_analysis(frozen, store)):
        return found
    created = datetime.now(UTC).isoformat(timespec="seconds")
    analysis = analyse(directory, created=created, data=data)
    write_analysis(analysis, frozen)
    return analysis
