"""The VLM an adapter is trained for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.hooks import is_remote
from eyechart.vlms import open_vlm
from eyechart.vlms.checkpoint import LocalVLM


def open_base(spec: str) -> LocalVLM:
    """A VLM on this machine with float32 weights, by `NAME`, `NAME:key=value` or directory.

    Raises:
        InputError: a server's VLM, or another one without a vision tower here. PluginError.
    """
    name, options = split_spec(spec)
    vlm = open_vlm(name, **options)
    if is_remote(vlm):
        raise InputError(f"vlm {spec!r}: a server's weights cannot be trained; allowed: local VLMs")
    if isinstance(vlm, LocalVLM):  # only these are known to take a dtype
        vlm = open_vlm(name, **{"dtype": "float32", **options})
    if not isinstance(vlm, LocalVLM):
        raise InputError(f"vlm {spec!r}: no vision tower here that an adapter could be made for")
    return vlm


def split_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Name or directory, and options. Raises InputError."""
    return (spec, {}) if Path(spec).is_dir() else plugins.parse_spec(spec)
