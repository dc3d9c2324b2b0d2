"""The console for tables, and the message after Ctrl-C."""

from __future__ import annotations

import os
import shlex
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from eyechart.core.errors import StoppedError

if TYPE_CHECKING:
    from rich.console import Console

_UNLIMITED = 10_000  # characters: no table is as wide


def table_console() -> Console:
    """A console as wide as the terminal; in a pipe or a file, lines are not wrapped or cut."""
    from rich.console import Console

    chosen = sys.stdout.isatty() or "COLUMNS" in os.environ  # rich reads both itself
    return Console(width=None if chosen else _UNLIMITED, highlight=False)


def stopped(kept: str) -> NoReturn:
    """The message after Ctrl-C, with the command to continue. kept: what is kept.

    Raises StoppedError.
    """
    command = shlex.join(["eyechart", *sys.argv[1:]])
    raise StoppedError(f"stopped; {kept}. Continue with: {command}") from None


@contextmanager
def keyboard_interrupt(kept: str | Callable[[], str]) -> Iterator[None]:
    """Ctrl-C inside ends in the message of `stopped`. kept: what is kept, or what says so."""
    try:
        yield
    except KeyboardInterrupt:
        stopped(kept if isinstance(kept, str) else kept())


def terminal_text(text: str) -> str:
    """Text of a model or a file, safe to print: control characters and lone surrogates escaped.

    Line feeds and tabs are kept. Otherwise the terminal would execute escape sequences.
    """
    return "".join(
        letter
        if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs")
        else repr(letter)[1:-1]
        for letter in text
    )
