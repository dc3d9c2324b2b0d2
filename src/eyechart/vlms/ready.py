"""Whether a VLM could answer here and now, found out without loading or downloading anything."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from eyechart.vlms.known import Known


def why_not_ready(known: Known) -> str | None:
    """None if the VLM can answer here; else what is missing and how to get it."""
    if known.plugin == "openai":
        if find_spec("openai") is None:
            return "pip install 'eyechart[openai]'"
        if known.note:
            return (
                None if known.name == "gpt-4o" and os.environ.get("OPENAI_API_KEY") else known.note
            )
        return None
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            return "pip install 'eyechart[vlm]'"
    if known.name == "eyechart-mini":
        from eyechart.zoo import weights_dir

        return None if any(weights_dir(known.name).glob("*.safetensors")) else "no weights built in"
    if in_hub_cache(known.hub_id):
        return None
    return f"hf download {known.hub_id}"


def in_hub_cache(hub_id: str) -> bool:
    """Whether weights of a hub id lie in the local cache (whole files; none is opened)."""
    return any(hub_cache().glob(f"models--{hub_id.replace('/', '--')}/snapshots/*/*.safetensors"))


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it has downloaded, from its own environment variables."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    if home := os.environ.get("HF_HOME"):
        return Path(home) / "hub"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "huggingface" / "hub"
