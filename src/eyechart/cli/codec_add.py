"""`eyechart codec add`: add a checkpoint of a learned codec, published or trained by the user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(
    codec: Annotated[str, typer.Argument(metavar="CODEC", help="elic, ...")],
    file: Annotated[
        str,  # a `Path` would change the slashes of a URL
        typer.Argument(metavar="FILE", help="The checkpoint: .pth.tar, .safetensors, or its URL"),
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
    auxiliary: Annotated[
        str | None,
        typer.Option(
            "--auxiliary", metavar="FILE", help="StableCodec: the checkpoint of its ELIC encoder."
        ),
    ] = None,
) -> None:
    """Check a checkpoint, convert it to safetensors and add it to a codec's levels."""
    from eyechart import api

    added = api.add_checkpoint(codec, file, level, into=into, auxiliary=auxiliary)
    named = f"{codec} ({added.variant})" if added.variant else codec
    print(f"{added.path}: level {level} of {named}, sha256 {added.sha256[:16]}")
