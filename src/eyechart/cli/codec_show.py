"""`eyechart codec show` and `codec check`: a codec's options, and its conformance check."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from eyechart.cli.console import table_console
from eyechart.codecs import open_codec
from eyechart.core import plugins
from eyechart.core.errors import EyechartError
from eyechart.core.hooks import OpenLevels
from eyechart.core.kinds import annotations_of, kind_name
from eyechart.core.types import Codec, is_neural

CodecArgument = Annotated[
    str, typer.Argument(metavar="CODEC", help="A name, or a name with options: jpeg:levels=[10,30]")
]


def show(codec: CodecArgument) -> None:
    """Show a codec's description, version, levels and the options it can be opened with."""
    name, _ = plugins.parse_spec(codec)
    opened = open_codec(codec)
    out = table_console()
    out.print(Text(name, "bold"))
    out.print(Text(inspect.getdoc(type(opened)) or "(no description)"))
    with plugins.guarded(name):
        out.print(Text(f"\nversion: {_version(opened)}"))
        if is_neural(opened):
            out.print(Text(f"reproducible: {opened.reproducible}"))
        out.print(_levels(opened))
    if isinstance(opened, OpenLevels):
        out.print("Other values also work, one image at a time: `codec encode --level VALUE`.")
    out.print(_options(name, opened))


def check(codec: CodecArgument) -> None:
    """Check that a codec meets the requirements of runs. Takes up to a minute."""
    from eyechart.testing import examine_codec

    _, options = plugins.parse_spec(codec)
    report = examine_codec(open_codec(codec), options=options)
    table_console().print(Text(str(report)))
    if report.failures:
        raise typer.Exit(1)


def _version(codec: Codec) -> str:
    try:
        return codec.version
    except EyechartError as error:  # a program that the version is asked of is missing
        return str(error)


def _levels(codec: Codec) -> Table:
    table = Table("level", "knobs", box=None, header_style="bold", pad_edge=False)
    weights = any(level.weights for level in codec.levels)
    if weights:
        table.add_column("weights (sha256)")
    for level in codec.levels:
        knobs = ", ".join(f"{key}={value}" for key, value in level.knobs.items())
        table.add_row(level.name, Text(knobs), *([level.weights[:12]] if weights else []))
    return table


def _options(name: str, codec: Codec) -> Table:
    """Every option with its value, its default and its allowed values."""
    factory = plugins.load_factory("eyechart.codecs", name)
    annotations = annotations_of(factory)
    table = Table("option", "default", "allowed", box=None, header_style="bold", pad_edge=False)
    table.add_column("in use")
    for option, parameter in inspect.signature(factory).parameters.items():
        default = "" if parameter.default is parameter.empty else str(parameter.default)
        allowed = kind_name(annotations[option]) if option in annotations else ""
        used = str(codec.options[option]) if option in codec.options else ""
        table.add_row(Text(option), Text(default), Text(allowed), Text(used))
    return table
