"""The VLM that an adapter is trained for."""

from __future__ import annotations

from typing import Any

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.hooks import is_remote
from eyechart.vlms import open_vlm
from eyechart.vlms.checkpoint import LocalVLM


def open_base(spec: str) -> LocalVLM:
    """A VLM on this machine with float32 weights, by `NAME`, `NAME:key=value` or directory.

    Raises:
        InputError: a VLM on a server, or one whose vision tower is not known. PluginError.
    """
    name, given = plugins.parse_spec_or_directory(spec)
    options: dict[str, Any] = given
    vlm = open_vlm(name, **options)
    if is_remote(vlm):
        raise InputError(f"vlm {spec!r}: a server's weights cannot be trained; allowed: local VLMs")
    if isinstance(vlm, LocalVLM):  # only these are known to take a dtype
        options.setdefault("dtype", "float32")
        vlm = open_vlm(name, **options)
    if not isinstance(vlm, LocalVLM):
        raise InputError(f"vlm {spec!r}: no adapter can be trained for it; allowed: local VLMs")
    return vlm
