"""`eyechart codec show` and `codec check`: a codec's options, and its conformance check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from eyechart.cli.console import new_table, table_console
from eyechart.cli.options import WeightsOption, with_weights
from eyechart.cli.run import CodecDevice

if TYPE_CHECKING:
    from rich.table import Table

    from eyechart.api.describing import DescribedCodec

CodecArgument = Annotated[
    str, typer.Argument(metavar="CODEC", help="A name, or a name with options: jpeg:levels=[10,30]")
]


def show(codec: CodecArgument, weights: WeightsOption = None) -> None:
    """Show a codec's description, version, levels and the options it can be opened with."""
    from eyechart.api.describing import describe_codec

    found = describe_codec(with_weights(codec, weights))
    out = table_console()
    out.print(found.name, style="bold")
    out.print(found.text)
    out.print(f"\nversion: {found.version}")
    out.print(f"reproducible: {found.reproducible}")
    if found.levels:
        out.print(_levels(found))
    else:
        out.print(f"no levels: {found.no_levels}")
    if found.open_levels:
        out.print("Other values also work, one image at a time: `codec encode --level VALUE`.")
    if found.options:
        out.print(_options(found))
    out.print(
        "Options of every codec: long_side, restore; without weights also target_bpp, target_bytes "
        "(documentation: Codecs)."
    )


def check(
    codec: CodecArgument, weights: WeightsOption = None, codec_device: CodecDevice = "cpu"
) -> None:
    """Check that a codec meets the requirements of runs. Takes up to a minute."""
    from eyechart.api.describing import examine_codec

    report = examine_codec(with_weights(codec, weights), device=codec_device)
    table_console().print(str(report))
    if report.failures:
        raise typer.Exit(1)


def _levels(codec: DescribedCodec) -> Table:
    weights = any(level.weights for level in codec.levels)
    table = new_table("level", "knobs", *(["weights (sha256)"] if weights else []))
    for level in codec.levels:
        knobs = ", ".join(f"{key}={value}" for key, value in level.knobs.items())
        table.add_row(level.name, knobs, *([level.weights[:12]] if weights else []))
    return table


def _options(codec: DescribedCodec) -> Table:
    """Every option with its value, its default and its allowed values."""
    table = new_table("option", "default", "allowed", "in use")
    for option in codec.options:
        table.add_row(option.name, option.default, option.allowed, option.used)
    return table
