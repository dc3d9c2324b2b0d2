"""The right to write to a URL: an object that names the holder, who rewrites it at intervals.

A holder that was killed does not rewrite it any more. Another command sees this after three
intervals, or at once on the same machine, and takes over. No clocks of two machines are compared.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from eyechart.core.errors import StoreError
from eyechart.store.bucket import Bucket
from eyechart.store.files import DAMAGED
from eyechart.store.lease import HeldError

_MISSED = 3  # intervals without a sign of life


class RemoteLease:
    """A lease below a URL. every_s: seconds between signs of life. lost: who has taken it over, or
    ""."""

    NAME: Final = "lease.json"

    def __init__(
        self, bucket: Bucket, every_s: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.lost = ""
        self._bucket, self._every_s, self._sleep = bucket, every_s, sleep
        self._beat = 0
        self._own: dict[str, Any] = {
            "token": secrets.token_hex(8),
            "process": os.getpid(),
            "machine": os.uname().nodename,
            "every_s": every_s,
        }

    @contextmanager
    def taken(self, *, wait: bool, note: Callable[[str], None]) -> Iterator[None]:
        """Hold it while the block runs. Raises HeldError, StoreError."""
        while not self._create():
            self._outlast(self._read(), wait=wait, note=note)
        try:
            yield
        finally:
            with suppress(StoreError):  # otherwise the next command waits for three intervals
                if self._is_own(self._read()):
                    self._bucket.delete([self.NAME])

    def renew(self) -> None:
        """Give a sign of life, and see whether it was taken over."""
        with suppress(StoreError):  # the network may be back the next time
            found = self._read()
            if found and not self._is_own(found):
                self.lost = _holder(found)
            if not self.lost:
                self._beat += 1
                self._bucket.write(self.NAME, self._body())

    def _create(self) -> bool:
        """Whether it is held now.

        Services exist that ignore the condition of a new object, so it is looked for before and
        afterwards, too. There two commands may both hold it at first: the second has looked before
        the first wrote, and writes after the first has looked again. The first learns so when it
        renews (`lost`), and uploads nothing from then on.
        """
        if self._read():
            return False
        try:
            self._bucket.write(self.NAME, self._body(), new=True)
        except FileExistsError:
            return False
        return self._is_own(self._read())

    def _outlast(self, found: dict[str, Any], *, wait: bool, note: Callable[[str], None]) -> None:
        """Return when the lease is gone. Raises HeldError: its holder lives."""
        if not found:
            return
        if not _has_ended_here(found):
            patience_s = _MISSED * float(found.get("every_s", self._every_s))
            note(f"{self._bucket.url}: waiting up to {patience_s:g} s for {_holder(found)}")
            waited_s, step_s = 0.0, min(1.0, patience_s / 10)
            while waited_s < patience_s:
                self._sleep(step_s)
                waited_s += step_s
                now = self._read()
                if not now:
                    return
                if now != found:
                    if not wait:
                        raise HeldError(
                            f"{self._bucket.url}: in use by {_holder(now)}; wait for it to end "
                            "(wait) or choose another URL"
                        )
                    found, waited_s = now, 0.0
        if self._read() == found:
            self._bucket.delete([self.NAME])

    def _read(self) -> dict[str, Any]:
        """What the object says; empty if there is none."""
        try:
            value = json.loads(self._bucket.read(self.NAME))
            return value if isinstance(value, dict) and value else {"token": "damaged"}
        except FileNotFoundError:
            return {}
        except DAMAGED:
            return {"token": "damaged"}

    def _is_own(self, found: dict[str, Any]) -> bool:
        return bool(found.get("token") == self._own["token"])

    def _body(self) -> bytes:
        return json.dumps({**self._own, "beat": self._beat}).encode()


def _holder(found: dict[str, Any]) -> str:
    return f"process {found.get('process', '?')} on {found.get('machine', 'another machine')}"


def _has_ended_here(found: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is not there any more."""
    process = found.get("process")
    if found.get("machine") != os.uname().nodename or not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
