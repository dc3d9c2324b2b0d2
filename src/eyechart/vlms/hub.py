"""Checkpoints of the Hugging Face hub: the local cache first, then a download."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eyechart.core.errors import UnusableVLMError, one_line
from eyechart.vlms.checkpoint_files import missing_weights, model_type_of

_FILES = ["*.json", "*.jinja", "*.safetensors", "*.txt", "*.model"]


def in_hub_cache(hub_id: str) -> bool:
    """Whether the local cache has all files of the revision that `hub_revision` returns."""
    revision = _cached_revision(hub_id)
    return revision is not None and _is_whole(_snapshot(hub_id, revision))


def hub_revision(hub_id: str) -> str:
    """The commit to use: that of the local cache if there is one, else the hub's `main`.

    The cache comes first, so that a continued run uses the same weights. A checkpoint that was
    downloaded by its commit has no `main` in the cache; it is used if it is the only one.

    Raises:
        UnusableVLMError: neither the cache nor the hub has it.
    """
    cached = _cached_revision(hub_id)
    if cached is not None:
        return cached
    from huggingface_hub import model_info

    with _hub_errors(hub_id):
        return str(model_info(hub_id).sha)


def hub_snapshot(hub_id: str) -> Path:
    """Folder with the complete checkpoint at `hub_revision`, downloaded if it is not cached.

    Raises:
        UnusableVLMError: neither in the cache nor on the hub.
    """
    revision = hub_revision(hub_id)
    folder = _snapshot(hub_id, revision)
    if _is_whole(folder):
        return folder
    from huggingface_hub import snapshot_download

    with _hub_errors(hub_id):
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=_FILES))


def hub_model_type(hub_id: str) -> str:
    """`model_type` of a hub id, from the local cache or by downloading its config.json.

    Raises:
        UnusableVLMError: neither in the cache nor on the hub.
        InputError: not a checkpoint of transformers.
    """
    for folder in sorted(_snapshots(hub_id)):
        if (folder / "config.json").is_file():
            return model_type_of(folder)
    revision = hub_revision(hub_id)  # without a network it fails at once; a download is tried again
    from huggingface_hub import hf_hub_download

    with _hub_errors(hub_id):
        config = hf_hub_download(hub_id, "config.json", revision=revision)
    return model_type_of(Path(config).parent)


@contextmanager
def _hub_errors(hub_id: str) -> Iterator[None]:
    """Turn what the hub's client raises into one line.

    The client raises errors of its HTTP library, of proxies, of certificates and of the file
    system, so no list of classes is complete.
    """
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        yield
    except Exception as error:
        name = one_line(hub_id)
        if isinstance(error, OfflineModeIsEnabled):
            raise UnusableVLMError(
                f"hub id {name!r}: not in the local cache, and HF_HUB_OFFLINE is set; unset it, or "
                f"download the files with `hf download {name}`"
            ) from error
        raise UnusableVLMError(
            f"hub id {name!r}: neither in the local cache nor on the hub ({one_line(error, 100)}); "
            "are the name, the network, and the variables for proxies and certificates right?"
        ) from error


def _cached_revision(hub_id: str) -> str | None:
    """The commit of `main` in the cache, or of the only complete checkpoint there."""
    ref = hub_cache() / _cache_name(hub_id) / "refs" / "main"
    if ref.is_file():
        return ref.read_text(encoding="utf-8").strip()
    whole = [folder.name for folder in _snapshots(hub_id) if _is_whole(folder)]
    return whole[0] if len(whole) == 1 else None


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and missing_weights(folder) is None


def _snapshot(hub_id: str, revision: str) -> Path:
    return hub_cache() / _cache_name(hub_id) / "snapshots" / revision


def _cache_name(hub_id: str) -> str:
    return f"models--{hub_id.replace('/', '--')}"


def _snapshots(hub_id: str) -> Iterator[Path]:
    return hub_cache().glob(f"{_cache_name(hub_id)}/snapshots/*")


def hub_cache() -> Path:
    """Folder of huggingface_hub's downloads, from its environment variables."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    if home := os.environ.get("HF_HOME"):
        return Path(home) / "hub"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "huggingface" / "hub"
