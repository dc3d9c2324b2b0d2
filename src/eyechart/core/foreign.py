"""Reading files that another program wrote: whatever a parser raises becomes one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eyechart.core.errors import EyechartError, InputError

_MAX_CHARS = 200


def one_line(value: object, max_chars: int = _MAX_CHARS) -> str:
    """Text for an error message: one line, control characters escaped, at most `max_chars`."""
    # Cut first: a message may quote a whole file. Escaping makes text at most ten times longer.
    words = " ".join(str(value)[: 4 * max_chars].split())
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in words)
    return shown if len(shown) <= max_chars else f"{shown[: max_chars - 3]}..."


@contextmanager
def foreign_file(
    name: object, wanted: str, *, error: type[EyechartError] = InputError
) -> Iterator[None]:
    """Turn every exception of the block into one error that names the file.

    Parsers raise exceptions of many kinds on damaged bytes (RecursionError on deep nesting,
    ValueError on long numbers, zlib and XML errors), so no list of them is complete. Errors of
    this package pass unchanged.

    name: the file, for the message. wanted: what it should be, for example "an xlsx workbook".
    Raises:
        error: the block failed.
    """
    try:
        yield
    except EyechartError:
        raise
    except UnicodeDecodeError as cause:
        raise error(f"{one_line(name)}: not UTF-8 ({one_line(cause.reason)})") from cause
    except OSError as cause:
        reason = one_line(cause.strerror or cause)
        raise error(f"{one_line(name)}: cannot be read ({reason})") from cause
    except Exception as cause:
        reason = one_line(cause) or type(cause).__name__
        raise error(f"{one_line(name)}: not {wanted} ({reason})") from cause
