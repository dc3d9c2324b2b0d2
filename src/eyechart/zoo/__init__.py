"""Data in the package: the built-in chart and small trained weights."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from eyechart.core.errors import InputError
from eyechart.core.files import is_dir
from eyechart.core.plugins import near


def chart_dir() -> Path:
    """Folder of the built-in chart `eyechart-mini`, with TSV files named as the official ones."""
    return Path(str(files(__name__))) / "chart"


def weights_dir(name: str) -> Path:
    """Folder of one set of built-in weights (safetensors and their configuration)."""
    return Path(str(files(__name__))) / "weights" / name


def adapter_names() -> list[str]:
    """Names of the adapters in the package."""
    return sorted(config.parent.name for config in weights_dir("").glob("*/adapter_config.json"))


def adapter_dir(name: str) -> Path:
    """An adapter's folder: an existing directory, else the adapter of that name in the package.

    Raises:
        InputError: neither exists.
    """
    if is_dir(name):
        return Path(name)
    shipped = adapter_names()
    if name in shipped:
        return weights_dir(name)
    if len(Path(name).parts) > 1:
        raise InputError(f"adapter {name!r}: there is no such folder")
    raise InputError(f"unknown adapter {name!r}: no folder here, {near(name, shipped)}")
