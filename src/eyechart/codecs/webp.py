"""WebP by Pillow (libwebp)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.codecs.levels import knob_of, make_levels
from eyechart.codecs.still import decode_still, encode_still, read_size, version_of
from eyechart.core.errors import InputError
from eyechart.core.types import Bitstream, Json, Level, Rgb8


class WebpCodec:
    """Lossy WebP. levels: qualities 0..100. method: 0 (fast) to 6 (small)."""

    name = "webp"

    def __init__(self, *, levels: Sequence[int] = (0, 5, 10, 20), method: int = 6) -> None:
        if isinstance(method, bool) or method not in range(7):
            raise InputError(f"webp: method {method!r} is out of range; allowed are 0 to 6")
        self.levels: tuple[Level, ...] = make_levels(
            self.name, "quality", levels, least=0, most=100, rate="rises"
        )
        self.method = method

    @property
    def options(self) -> Mapping[str, Json]:
        return {"method": self.method}

    @property
    def version(self) -> str:
        return version_of("webp")

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        quality = int(knob_of(self.name, level, "quality"))
        settings: dict[str, Json] = {"quality": quality, "method": self.method}
        return encode_still(rgb8, self.name, level, "WEBP", settings)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return decode_still(bitstream, self.name, "WEBP")

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        return read_size(payload, self.name, "WEBP")
