"""Short forms for options of the command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

MOST_SEED = 2**32 - 1  # NumPy and torch take no larger one everywhere
MOST_SAMPLES = 1_000_000
# Not a `Path`, which would change the slashes of a URL.
Directory = Annotated[
    str, typer.Argument(metavar="DIR", help="The run directory, or its URL (s3://bucket/run).")
]


def option(*names: str, metavar: str, help_: str, **more: Any) -> Any:
    """An option with a value."""
    return typer.Option(*names, metavar=metavar, help=help_, **more)
