"""Adding a checkpoint to the levels of a codec with weights: what `eyechart codec add` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from torch import nn

from eyechart.codecs.checkpoints import data_folder
from eyechart.codecs.generative import official as generative_checkpoints
from eyechart.codecs.generative import plugins as generative
from eyechart.codecs.generative.diffusion import official as diffusion_checkpoints
from eyechart.codecs.generative.diffusion import plugins as diffusion
from eyechart.codecs.learned import official as learned_checkpoints
from eyechart.codecs.learned import plugins as learned
from eyechart.codecs.learned.official import filled, read_checkpoint, renamed
from eyechart.codecs.learned.weights import write_level
from eyechart.core.errors import InputError, one_line
from eyechart.core.files import is_file, require_place
from eyechart.store.remote import fetched

ARCHITECTURES = {
    **learned.ARCHITECTURES,
    **generative.ARCHITECTURES,
    **diffusion.ARCHITECTURES,
}
_LOADERS = {
    **dict.fromkeys(learned.ARCHITECTURES, learned_checkpoints.load_official),
    **dict.fromkeys(generative_checkpoints.PUBLISHED, generative_checkpoints.load_official),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedLevel:
    """A level that was added. path: its weights, as safetensors. variant: of the architecture, ""
    where there is one only."""

    path: Path
    variant: str
    sha256: str


def add_checkpoint(
    codec: str,
    file: str | Path,
    level: str,
    into: Path | None = None,
    auxiliary: str | Path | None = None,
) -> AddedLevel:
    """Check a checkpoint, convert it to safetensors and add it to the levels of a codec.

    file: published by the authors (`.pth.tar`, `.pt`, `.ckpt`) or trained here; a path or a URL
    (`s3://bucket/file`), as auxiliary. level: what it was trained with, as text, a lambda or a rate
    in bpp; it names the level. into: a weights folder; None: the user's for that codec. auxiliary:
    the checkpoint of StableCodec's auxiliary encoder.

    Raises:
        InputError: the codec takes no checkpoints, a level that is no number above 0, a file that
            is no checkpoint of this codec, nothing at a URL, a folder that cannot be made.
        StoreError: the folder cannot be written.
    """
    if codec not in ARCHITECTURES:
        allowed = ", ".join(ARCHITECTURES)
        raise InputError(f"codec {codec!r} takes no checkpoints; allowed are {allowed}")
    architecture = ARCHITECTURES[codec]
    try:
        lmbda = float(level)
    except ValueError:
        lmbda = -1.0
    if not 0 < lmbda < inf:
        raise InputError(f"level {level!r}; allowed are numbers above 0, such as 0.008")
    if into is None and architecture.shipped is not None:
        raise InputError(
            f"{codec}: its own levels ship with eyechart; add others to another folder (into)"
        )
    folder = into or data_folder(codec)
    require_place(folder)
    found, other = _local(file), None if auxiliary is None else _local(auxiliary)
    try:
        network = _read_network(codec, found, other)
    except InputError as error:
        raise InputError(f"{file}: {str(error).removeprefix(f'{found}: ')}") from error
    added = write_level(
        folder,
        codec,
        name=level,
        lmbda=lmbda,
        weights=network.state_dict(),
        knob=architecture.knob,
        rate=architecture.rate,
    )
    return AddedLevel(
        path=folder / added.file,
        variant=architecture.variant_name(network),
        sha256=added.sha256,
    )


def _local(place: str | Path) -> Path:
    """The file, or the local copy of a URL. Raises InputError."""
    file = fetched(str(place))
    if not is_file(file):
        raise InputError(f"{one_line(str(place), 200)}: no such file; allowed: a file, or its URL")
    return file


def _read_network(codec: str, file: Path, auxiliary: Path | None) -> nn.Module:
    found = read_checkpoint(file)
    if codec in diffusion_checkpoints.PUBLISHED:
        other = None if auxiliary is None else read_checkpoint(auxiliary)
        return diffusion_checkpoints.load_official(codec, found, other)
    if auxiliary is not None:
        raise InputError(f"{codec}: has no auxiliary encoder")
    return _LOADERS.get(codec, _load_own)(codec, found)


def _load_own(codec: str, state_dict: Mapping[str, Any]) -> nn.Module:
    """A network with weights that were trained here."""
    tensors = renamed(codec, state_dict, ())
    return filled(codec, ARCHITECTURES[codec].network_of(tensors), tensors)
