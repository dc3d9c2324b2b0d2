"""What the last transfers between a local copy and its object store have left."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from eyechart.store.files import DAMAGED, write_atomic


class SyncState:
    """A file that may be deleted: everything is then compared again.

    remote: name -> size and digest of the object. local: name -> size and time of the file that
    equals it. packs: that were unpacked or made here. packed_ns: no image file of this folder is
    older and not in a pack.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._saving = path, threading.Lock()
        self._set({})

    def load(self) -> None:
        """Read the file; empty if it is not there or damaged."""
        try:
            self._set(json.loads(self._path.read_bytes()))
        except (OSError, *DAMAGED):
            self._set({})

    def save(self) -> None:
        """Write the file. Raises StoreError."""
        with self._saving:
            fields = {
                "remote": self.remote,
                "local": self.local,
                "packs": self.packs,
                "packed_ns": self.packed_ns,
            }
            write_atomic(self._path, json.dumps(fields).encode(), sync=False)

    def forget(self, name: str) -> None:
        """An object is gone."""
        self.remote.pop(name, None)
        self.local.pop(name, None)

    def _set(self, fields: dict[str, Any]) -> None:
        self.remote: dict[str, list[str]] = dict(fields.get("remote", {}))
        self.local: dict[str, list[int]] = dict(fields.get("local", {}))
        self.packs: list[str] = list(fields.get("packs", []))
        self.packed_ns: int = int(fields.get("packed_ns", 0))
