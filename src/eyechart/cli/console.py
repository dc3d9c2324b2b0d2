"""The console for tables, and the message after Ctrl-C."""

from __future__ import annotations

import codecs
import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

from eyechart.core.errors import LONGEST_LINE, StoppedError, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# For terminals that are not UTF-8.
PLAIN_SIGNS = str.maketrans("●○▲▼…–─·×±−", "*+^v~---x+-")
_UNLIMITED = 10_000  # characters: no table is as wide
_PADDING = re.compile(r" +(?=\n)")


def error_line(text: str, longest: int = LONGEST_LINE) -> None:
    """Print one line on stderr. It may quote foreign text: it is cut, control characters are
    escaped."""
    print(one_line(text, longest), file=sys.stderr)


def make_printable(stream: TextIO) -> None:
    """Let a stream print every text: for signs that its encoding does not have, a similar one or an
    escape. File names may hold bytes that are no text, on UTF-8 terminals, too."""
    codecs.register_error("eyechart", _plain_signs)
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="eyechart")


def _plain_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end].translate(PLAIN_SIGNS)
    return signs.encode("ascii", "backslashreplace").decode("ascii"), error.end


def typed_text(text: str) -> str:
    """An argument that is a text, not a path, as UTF-8 in every locale. What is no UTF-8 becomes
    U+FFFD or a question mark."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        data = text.encode("utf-8", "replace")
    return data.decode("utf-8", "replace")


def table_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, for text that is no markup.

    In a pipe or a file, lines are not wrapped or cut, and no blanks end a line.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return live_console(stderr=stderr)
    width = None if "COLUMNS" in os.environ else _UNLIMITED  # rich reads COLUMNS itself
    file = cast("TextIO", _Unpadded(stream))
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def live_console(*, stderr: bool = True) -> Console:
    """A console for progress, and for text that is no markup."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def new_table(*headings: str, right: Collection[str] = (), fold: Collection[str] = ()) -> Table:
    """A table without lines. right: headings of columns with numbers; fold: of columns with long
    words, such as paths, that may be broken anywhere."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=bool(headings))
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            overflow="fold" if heading in fold else "ellipsis",
        )
    return table


class _Unpadded:
    """A stream without the blanks with which rich fills the last column."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        return self._stream.write(_PADDING.sub("", text))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return False


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


def training(saved_step: Callable[[], int], out: Path) -> AbstractContextManager[None]:
    """Ctrl-C inside ends in a message that says which step of the training is kept in `out`."""

    def kept() -> str:
        step = saved_step()
        return f"the state after step {step} is kept in {out}" if step else "no step is saved yet"

    return keyboard_interrupt(kept)


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
