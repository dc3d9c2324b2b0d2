"""Payloads of the codecs with networks: the header of `eyechart.codecs.container`, and one string.

A string is what `coding.LatentEncoder` writes for an image.
"""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.codecs import container
from eyechart.core.types import Bitstream, Level

STREAM_VERSION = 2  # 1: symbols of y in the order of the latent, with normal densities


def pack(codec: str, level: Level, string: bytes, *, height_px: int, width_px: int) -> Bitstream:
    """A bitstream. height_px, width_px: of the original image."""
    return container.pack(
        codec, level, string, height_px=height_px, width_px=width_px, version=STREAM_VERSION
    )


def strings_of(codec: str, bitstreams: Sequence[Bitstream], level: Level) -> list[bytes]:
    """The strings of bitstreams of a level.

    Raises CodecError: see `container.unpack`; a bitstream of an earlier version is refused, too.
    """
    return [
        container.unpack(codec, bitstream, [level], version=STREAM_VERSION)[1]
        for bitstream in bitstreams
    ]
