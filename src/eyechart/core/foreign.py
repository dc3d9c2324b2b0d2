"""Reading files that another program wrote: every error of a parser becomes one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eyechart.core.errors import EyechartError, InputError, one_line


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
        raise error(f"{one_line(str(name))}: not UTF-8 ({cause.reason})") from cause
    except OSError as cause:
        reason = one_line(cause.strerror or str(cause))
        raise error(f"{one_line(str(name))}: cannot be read ({reason})") from cause
    except Exception as cause:
        reason = one_line(cause)
        raise error(f"{one_line(str(name))}: not {wanted} ({reason})") from cause
