"""Which adapter a VLM wears, as far as a run must know it before any weights are loaded. No torch.

Cells, tables and VLMs take an adapter's identity from here, so that they agree. It is that of two
files: what training leaves beside them (its state, its log, the model card) changes no answer.
"""

from __future__ import annotations

import json
from hashlib import file_digest
from pathlib import Path

from eyechart.core.errors import InputError
from eyechart.core.identity import digest
from eyechart.core.types import Component

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def adapter_component(folder: str) -> Component:
    """An adapter as tables name it. Its version is a digest of configuration and weights.

    Raises:
        InputError: not a folder with an adapter in it.
    """
    try:
        config = json.loads((Path(folder) / CONFIG).read_bytes())
        with (Path(folder) / WEIGHTS).open("rb") as weights:
            weights_sha256 = file_digest(weights, "sha256").hexdigest()
        version = digest([config, weights_sha256])[:16]
    except OSError as error:
        raise InputError(f"adapter {folder!r}: {error.filename} ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"adapter {folder!r}: {CONFIG} is damaged ({error})") from error
    trained = config.get("trained_codecs") if isinstance(config, dict) else None
    return Component(
        name=Path(folder).resolve().name,
        version=version,
        options={} if trained is None else {"trained_codecs": trained},
    )
