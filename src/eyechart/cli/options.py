"""Short forms for options of the command line."""

from __future__ import annotations

from typing import Any

import typer


def option(*names: str, metavar: str, help_: str, **more: Any) -> Any:
    """An option with a value."""
    return typer.Option(*names, metavar=metavar, help=help_, **more)
