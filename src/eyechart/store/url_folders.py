"""Local copies of folders at a URL: weights of VLMs, adapters and codecs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from eyechart.core.errors import NotDownloadedError
from eyechart.store.remote import fetched

_allowed = ContextVar("_allowed", default=True)


@contextmanager
def without_downloads() -> Iterator[None]:
    """Context for code that only describes: `downloaded` raises instead of downloading."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def downloaded(url: str) -> Path:
    """The local copy of all files at a URL, in the cache folder of this machine.

    A process downloads a URL once, so that it computes with the weights whose identity it has
    stored, and needs no network later.

    Raises:
        InputError: the object store cannot be used, or nothing is there.
        NotDownloadedError: in a block of `without_downloads`; of more than a block of
            `store.remote.small_downloads` allows.
    """
    if not _allowed.get():
        raise NotDownloadedError(f"{url}: its weights are not downloaded to describe it")
    return _downloaded_once(url)


@cache
def _downloaded_once(url: str) -> Path:
    return fetched(url)
