"""The hub's local cache: what is ready here, and what family a hub id belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from eyechart.core.errors import InputError
from eyechart.vlms.known import Known, missing_weights, model_type_of

_FILES = ["*.json", "*.jinja", "*.safetensors", "*.txt", "*.model"]


def why_not_ready(known: Known) -> str | None:
    """None if the VLM can answer here; else what is missing and how to get it.

    Loads and downloads nothing.
    """
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
    """Whether a whole checkpoint of a hub id lies in the local cache."""
    return any(
        (folder / "config.json").is_file() and missing_weights(folder) is None
        for folder in _snapshots(hub_id)
    )


def hub_revision(hub_id: str) -> str:
    """The commit `main` stands at: the local cache's if it has one, else the hub's.

    The cache comes first, so that a run goes on with the weights it began with.

    Raises:
        InputError: neither can say.
    """
    ref = hub_cache() / _cache_name(hub_id) / "refs" / "main"
    if ref.is_file():
        return ref.read_text(encoding="utf-8").strip()
    from huggingface_hub import model_info
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return str(model_info(hub_id).sha)
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise _nowhere(hub_id, error) from error


def hub_snapshot(hub_id: str) -> Path:
    """Folder with the whole checkpoint at `hub_revision`, downloaded where it is not yet here.

    Raises:
        InputError: not here and not on the hub.
    """
    revision = hub_revision(hub_id)
    folder = hub_cache() / _cache_name(hub_id) / "snapshots" / revision
    if (folder / "config.json").is_file() and missing_weights(folder) is None:
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=_FILES))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise _nowhere(hub_id, error) from error


def hub_model_type(hub_id: str) -> str:
    """`model_type` of a hub id, from the local cache or by downloading its config.json.

    Raises:
        InputError: neither here nor on the hub, or not a checkpoint of transformers.
    """
    for folder in sorted(_snapshots(hub_id)):
        if (folder / "config.json").is_file():
            return model_type_of(folder)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        config = hf_hub_download(hub_id, "config.json")
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise _nowhere(hub_id, error) from error
    return model_type_of(Path(config).parent)


def _nowhere(hub_id: str, error: Exception) -> InputError:
    return InputError(
        f"hub id {hub_id!r}: neither in the local cache nor on the hub "
        f"({type(error).__name__}); is the name right, is there a network?"
    )


def _cache_name(hub_id: str) -> str:
    return f"models--{hub_id.replace('/', '--')}"


def _snapshots(hub_id: str) -> Iterator[Path]:
    return hub_cache().glob(f"{_cache_name(hub_id)}/snapshots/*")


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it has downloaded, from its own environment variables."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    if home := os.environ.get("HF_HOME"):
        return Path(home) / "hub"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "huggingface" / "hub"
