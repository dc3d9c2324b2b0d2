"""Adapters: a VLM's vision encoder, fine-tuned on compressed images and conditioned on the codec.

    condition   the codec and level of an image
    injection   what an injection is   injections  one file each      towers  the encoder
    distill     the loss          training  the loop  pairs       the images
    package     save and load     fold      one condition as ordinary weights

Paper Section 4. This package loads torch. The package `vlms` may not import it and opens adapters
through the entry point `open` of the group `eyechart.adapters`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyechart.adapters.package import AdapterConfig, LoadedAdapter, open_adapter, read_config

__all__ = ["AdapterConfig", "LoadedAdapter", "load", "open_adapter", "read_config"]


def load(path: str | Path, model: Any) -> LoadedAdapter:
    """Attach the adapter in a directory to a transformers model; then call its `set_conditions`.

    Raises:
        InputError: not an adapter, damaged, made for another base, weights missing.
    """
    adapter = open_adapter(path)
    adapter.attach(model)
    return adapter
