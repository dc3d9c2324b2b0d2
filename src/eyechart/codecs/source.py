"""The uncompressed picture as a codec, so that no code branches on "no codec"."""

from __future__ import annotations

from collections.abc import Mapping

from eyechart.codecs.still import decode_still, encode_still, read_size, version_of
from eyechart.core.types import Bitstream, Json, Level, Rgb8


class SourceCodec:
    """Lossless PNG (Pillow's defaults); its rate is that of the stored PNG."""

    name = "source"
    levels = (Level(name="lossless", rank=0, knobs={}),)

    @property
    def options(self) -> Mapping[str, Json]:
        return {}

    @property
    def version(self) -> str:
        from PIL import features

        return version_of("zlib_ng" if features.version("zlib_ng") else "zlib")

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return encode_still(rgb8, self.name, level, "PNG", {})

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return decode_still(bitstream, self.name, "PNG")

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        return read_size(payload, self.name, "PNG")
