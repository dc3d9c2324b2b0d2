"""`eyechart report`, `figure` and `findings`: a run as an HTML file, one figure, or sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict, Unpack

import typer

from eyechart.cli.console import error_line, typed_text
from eyechart.cli.options import AxisOption, Directory, UsdPerMillion, parse_prices
from eyechart.cli.tables import say_not_shown

if TYPE_CHECKING:
    from eyechart.api.results import Analysis


def report(
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: DIR/report.html.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Analyse again even if nothing has changed.")
    ] = False,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Title, instead of the run's.")
    ] = None,
    full_size: Annotated[
        bool,
        typer.Option("--full-size", help="Images as the VLM received them: a larger file."),
    ] = False,
    axis: AxisOption = "bpp",
    usd_per_million: UsdPerMillion = None,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
) -> None:
    """Write the HTML report of a run.

    analysis.json is made again when answers or scores have changed. A folder
    that holds only an analysis.json can be reported, too.
    """
    from eyechart import api

    over = _over(axis, usd_per_million)
    path = api.write_report(
        directory,
        out,
        fresh=fresh,
        data=data,
        title="" if title is None else typed_text(title),
        full_size=full_size,
        **over,
    )
    _fail_if_left_out(_end(directory, data, path, **over))


def figure(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The paper's number or a word: 1 bars, 2 example, 3a radar-vlms, 3b radar-tasks, "
            "4 curves, 5 scaling, 5b scaling-size, 6 correlation, 8 example-adapter, "
            "10 uncompressed, 20 radar-codecs; acuity.",
        ),
    ],
    directory: Directory,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="A .svg, .pdf or .png file; a .csv is beside it.")
    ],
    width_mm: Annotated[
        float, typer.Option("--width-mm", help="Width; a column of a paper has about 88 mm.")
    ] = 88.0,
    vlm: Annotated[str | None, typer.Option(help="Only this VLM.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    axis: AxisOption = "bpp",
    usd_per_million: UsdPerMillion = None,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
) -> None:
    """Draw a figure of the paper from a run, and write its numbers as CSV."""
    from eyechart import api
    from eyechart.api.run_results import figure_gaps

    over = _over(axis, usd_per_million)
    paths = api.write_figure(
        directory, name, out, width_mm=width_mm, vlm=vlm, task=task, data=data, **over
    )
    analysis = _end(directory, data, *paths, **over)
    if gaps := figure_gaps(analysis, name, vlm=vlm, task=task):
        error_line(f"not in the figure, because the run has no such curve: {gaps}")
    _fail_if_left_out(analysis)


class _Over(TypedDict):
    """The axis of an analysis."""

    axis: str
    usd_per_million: tuple[float, float] | None


def _over(axis: str, usd_per_million: str | None) -> _Over:
    return {"axis": axis, "usd_per_million": parse_prices(usd_per_million)}


def _end(directory: str, data: str | None, *written: Path, **over: Unpack[_Over]) -> Analysis:
    """Print the files, and what they do not show; -> the analysis."""
    from eyechart import api

    analysis = api.analyse(directory, data=data, **over)
    say_not_shown(analysis)
    for path in written:
        print(path)
    return analysis


def _fail_if_left_out(analysis: Analysis) -> None:
    """Exit code 1 if a task is left out."""
    if analysis.left_out:
        raise typer.Exit(1)


def findings(
    directory: Directory,
    data: Annotated[
        str | None, typer.Option(help="Folder with the tasks' TSV files, if it has moved.")
    ] = None,
) -> None:
    """Compare the paper's five findings with a run.

    Each is supported, contradicted or not shown, with the figures of the run.
    """
    from eyechart import api
    from eyechart.cli.console import table_console

    console = table_console()
    for finding in api.findings(directory, data=data):
        console.print(f"{finding.number}. {finding.claim}", markup=False, style="bold")
        console.print(f"   {finding.verdict}: {finding.evidence}", markup=False)
