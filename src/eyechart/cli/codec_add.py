"""`eyechart codec add`: add a checkpoint of a learned codec, published or trained by the user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyechart.core.errors import InputError


def add(
    codec: Annotated[str, typer.Argument(metavar="CODEC", help="elic, ...")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The checkpoint: .pth.tar, .safetensors")
    ],
    level: Annotated[
        str, typer.Option("--level", metavar="LAMBDA", help="What it was trained with: 0.008")
    ],
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", metavar="DIR", help="A weights folder, for CODEC:weights=DIR; default: yours"
        ),
    ] = None,
) -> None:
    """Check a checkpoint, convert it to safetensors and add it to a codec's levels."""
    from eyechart.codecs.checkpoints import data_folder
    from eyechart.codecs.learned.official import load_official, read_checkpoint
    from eyechart.codecs.learned.plugins import ARCHITECTURES
    from eyechart.codecs.learned.weights import write_level

    allowed = ", ".join(ARCHITECTURES)
    if codec not in ARCHITECTURES:
        raise InputError(f"codec {codec!r} takes no checkpoints; allowed are {allowed}")
    try:
        lmbda = float(level)
    except ValueError:
        lmbda = -1.0
    if not 0 < lmbda < float("inf"):
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
    variant = ARCHITECTURES[codec].variant_name(network)
    named = f"{codec} ({variant})" if variant else codec
    print(f"{folder / added.file}: level {level} of {named}, sha256 {added.sha256[:16]}")
