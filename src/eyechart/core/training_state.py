"""The step of a training's saved state, a safetensors file.

It is read after a Ctrl-C, which may have come while torch or safetensors was being imported: they
cannot be imported any more then. So the head of the file is read here.
"""

from __future__ import annotations

import json
from pathlib import Path

# Names of the files: those of a codec's training, and of an adapter's.
CODEC_STATE, ADAPTER_STATE = "state.safetensors", "training.safetensors"
_LENGTH_BYTES, _MOST_HEAD_BYTES = 8, 100_000_000  # the limit is that of safetensors


def saved_step(state: Path) -> int:
    """Steps that a saved state has done, 0 without one that can be read."""
    try:
        with state.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if length > _MOST_HEAD_BYTES:
                return 0
            return int(json.loads(file.read(length))["__metadata__"]["step"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0
