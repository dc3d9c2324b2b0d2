"""Adapters: a VLM's vision encoder, fine-tuned on compressed pictures and told how they were made.

    condition   which (codec, level) a picture went through
    injection   how that enters the encoder           towers      where, in three families
    distill     the loss          training  the loop  pairs       the pictures
    package     save and load     fold      one condition as ordinary weights

Paper Section 4. This room loads torch; nothing below it may import it, so VLMs find it through the
entry point `eyechart.adapters`: `open`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyechart.adapters.package import AdapterConfig, LoadedAdapter, open_adapter, read_config

__all__ = ["AdapterConfig", "LoadedAdapter", "load", "open_adapter", "read_config"]


def load(path: str | Path, model: Any) -> LoadedAdapter:
    """Attach the adapter in a directory to a transformers model; then `tell` it, and run the model.

    Raises:
        InputError: not an adapter, damaged, made for another base, weights missing.
    """
    adapter = open_adapter(path)
    adapter.attach(model)
    return adapter
