"""One image at a time through a codec with weights, as through any other codec."""

from __future__ import annotations

from eyechart.codecs import container
from eyechart.core.types import Bitstream, Level, LoadedCodec, NeuralCodec, Rgb8


class SingleImages:
    """Keeps the last used level of a codec in memory, on the CPU."""

    def __init__(self, codec: NeuralCodec) -> None:
        self._codec = codec
        self._held: tuple[Level, LoadedCodec] | None = None

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        """Raises CodecError, InputError."""
        return self._loaded(level).encode([rgb8])[0]

    def decode(self, bitstream: Bitstream) -> Rgb8:
        """Decode with the level that the payload names. Raises CodecError."""
        level, _ = container.unpack(self._codec.name, bitstream, self._codec.levels, version=None)
        return self._loaded(level).decode([bitstream])[0]

    def _loaded(self, level: Level) -> LoadedCodec:
        if self._held is not None and self._held[0] != level:
            (_, other), self._held = self._held, None  # not two levels in memory at once
            other.close()
        if self._held is None:
            self._held = (level, self._codec.load(level, "cpu"))
        return self._held[1]
