"""Local copies of folders at a URL: checkpoints of VLMs and adapters."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from eyechart.store.remote import fetched


@cache
def downloaded(url: str) -> Path:
    """The local copy of all files at a URL, in the cache folder of this machine.

    A process downloads a URL once, so that it computes with the weights whose identity it has
    stored, and needs no network later.

    Raises:
        InputError: the object store cannot be used, or nothing is there.
    """
    return fetched(url)
