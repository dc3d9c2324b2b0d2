"""What ships inside the package: the built-in chart and small trained weights."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def chart_dir() -> Path:
    """Folder of the built-in chart `eyechart-mini`: one TSV file a task, named as the official."""
    return Path(str(files(__name__))) / "chart"


def weights_dir(name: str) -> Path:
    """Folder of one set of built-in weights (safetensors and their configuration)."""
    return Path(str(files(__name__))) / "weights" / name


def adapter_dir(name: str) -> Path:
    """An adapter's folder: a directory as it is, else the one of that name that ships here."""
    shipped = weights_dir(name)
    return shipped if not Path(name).is_dir() and shipped.is_dir() else Path(name)
