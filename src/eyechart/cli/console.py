"""The console that tables are printed to."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_UNLIMITED = 10_000  # characters: no table is as wide


def table_console() -> Console:
    """As wide as the terminal; into a pipe or a file no line is wrapped or cut."""
    from rich.console import Console

    chosen = sys.stdout.isatty() or "COLUMNS" in os.environ  # rich reads both itself
    return Console(width=None if chosen else _UNLIMITED, highlight=False)
