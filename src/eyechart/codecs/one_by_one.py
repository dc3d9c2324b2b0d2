"""A codec without weights behind the interface of a loaded level."""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.core.types import Bitstream, Codec, Level, Rgb8


class OneByOne:
    """A codec without weights as a LoadedCodec."""

    def __init__(self, codec: Codec, level: Level) -> None:
        self._codec, self._level = codec, level

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        return [self._codec.encode(rgb8, self._level) for rgb8 in images]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        return [self._codec.decode(bitstream) for bitstream in bitstreams]

    def close(self) -> None:
        pass
