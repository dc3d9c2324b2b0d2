"""`eyechart recommend`: the cheapest setting of a run that is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.options import Directory, UsdPerGb, UsdPerMillion, parse_prices
from eyechart.core.errors import InputError
from eyechart.core.files import check_out

if TYPE_CHECKING:
    from eyechart.api.results import Recommendation

Tolerance = Annotated[
    float,
    typer.Option("--tolerate", metavar="POINTS", help="Greatest loss, in points of 100."),
]
Today = Annotated[
    str | None,
    typer.Option(
        "--today", metavar="CODEC", help="Setting to compare with, such as jpeg:quality=85."
    ),
]


def recommend(
    directory: Directory,
    tolerance: Tolerance = 2.0,
    task: Annotated[
        list[str] | None, typer.Option(help="Use only this task; may be given several times.")
    ] = None,
    save: Annotated[
        str, typer.Option(metavar="WHAT", help="bytes, tokens, usd or seconds.")
    ] = "bytes",
    today: Today = None,
    bandwidth: Annotated[
        str | None,
        typer.Option(
            metavar="MBIT", help="Mbit/s, as in 0.5,2,10: the time to an answer. Default: 10."
        ),
    ] = None,
    usd_per_million: UsdPerMillion = None,
    usd_per_gb: UsdPerGb = None,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the setting as JSON; print a Python client."),
    ] = None,
    front: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Pareto front: .svg, .pdf or .png.")
    ] = None,
    times: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Time to an answer over the bandwidth.")
    ] = None,
) -> None:
    """Name the cheapest setting of a run whose loss is surely below a tolerance.

    The loss is that of the mean score of all questions; its upper 95 % bound
    must be below the tolerance.
    """
    from eyechart import api
    from eyechart.api import check

    bandwidths = [] if bandwidth is None else check.parse_bandwidths(bandwidth)
    for path in (policy, front, times):
        if path is not None:
            check_out(path)
            if path is not policy:
                check.require_plot(path)
    found = api.recommend(
        directory,
        tolerance=tolerance,
        tasks=tuple(task or ()),
        save=save,
        today=today,
        bandwidth=bandwidths[0] if bandwidths else None,
        usd_per_million=parse_prices(usd_per_million),
        usd_per_gb=usd_per_gb,
        keep=True,
    )
    if len(found) > 1 and (policy or front or times):
        named = ", ".join(one.name for one in found)
        raise InputError(
            f"{directory}: --policy, --front and --times are for a run of one VLM; this run has "
            f"{named}"
        )
    show_recommendations(found, directory, bandwidths)
    own = check.own_files(directory)
    if front is not None:
        check.draw(found[0], front, what="front")
        print(f"\nPareto front: {front}")
    if times is not None:
        check.draw(found[0], times, what="times", own=own)
        print(f"\nTimes to an answer: {times}")
    if policy is not None:
        client = check.write_policy(found[0], policy)
        print(f"\nPolicy: {policy}; in Python:\n\n{client}")


def show_recommendations(
    found: Sequence[Recommendation], directory: str | Path, bandwidths: Sequence[float] = ()
) -> None:
    """Print tables and sentences; of a check also what the answers are compared with."""
    from eyechart.api import check
    from eyechart.cli.console import table_console
    from eyechart.cli.table_view import show

    own = check.own_files(directory)
    tables = [check.recommendation_table(one, own) for one in found]
    timed = [check.times(one, bandwidths, own) for one in found] if bandwidths else []
    compared = [check.rules(one) for one in found]
    by_rule = [table for table, _ in compared if table is not None]
    console = table_console()
    show([*tables, *by_rule, *(table for table, _ in timed if table.rows)], console)
    print()
    for one in found:
        console.print(check.recommendation_text(one, own))
    for table, text in timed:
        console.print(text if table.rows else "No times were measured in this run.")
    for one, (_, sentences) in zip(found, compared, strict=True):
        if sentences:
            print()
        for place, text in enumerate(sentences):
            console.print(f"{one.name}: {text}" if len(found) > 1 and not place else text)
