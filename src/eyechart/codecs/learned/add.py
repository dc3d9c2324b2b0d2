"""Adding a checkpoint to the levels of a learned codec: what `eyechart codec add` does."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path

from eyechart.codecs.checkpoints import data_folder
from eyechart.codecs.learned.official import load_official, read_checkpoint
from eyechart.codecs.learned.plugins import ARCHITECTURES
from eyechart.codecs.learned.weights import write_level
from eyechart.core.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedLevel:
    """A level that was added. path: its weights, as safetensors. variant: of the architecture, ""
    where there is one only."""

    path: Path
    variant: str
    sha256: str


def add_checkpoint(codec: str, file: Path, level: str, into: Path | None = None) -> AddedLevel:
    """Check a checkpoint, convert it to safetensors and add it to the levels of a codec.

    file: published by the authors (`.pth.tar`) or trained here. level: the lambda it was trained
    with, as text; it names the level. into: a weights folder; None: the user's for that codec.

    Raises:
        InputError: the codec takes no checkpoints, a level that is no number above 0, a file that
            is no checkpoint of this codec.
        StoreError: the folder cannot be written.
    """
    if codec not in ARCHITECTURES:
        allowed = ", ".join(ARCHITECTURES)
        raise InputError(f"codec {codec!r} takes no checkpoints; allowed are {allowed}")
    try:
        lmbda = float(level)
    except ValueError:
        lmbda = -1.0
    if not 0 < lmbda < inf:
        raise InputError(f"--level {level!r}; allowed are numbers above 0, such as 0.008")
    if into is None and ARCHITECTURES[codec].shipped is not None:
        raise InputError(f"{codec}: its own levels ship with eyechart; add others with --into DIR")
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        network = load_official(codec, read_checkpoint(file))
    except InputError as error:
        raise InputError(f"{file}: {str(error).removeprefix(f'{file}: ')}") from error
    folder = into or data_folder(codec)
    added = write_level(folder, codec, name=level, lmbda=lmbda, weights=network.state_dict())
    return AddedLevel(
        path=folder / added.file,
        variant=ARCHITECTURES[codec].variant_name(network),
        sha256=added.sha256,
    )
