"""AVIF by Pillow (libavif with libaom)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.codecs.levels import knob_of, make_levels
from eyechart.codecs.still import decode_still, encode_still, read_size, version_of
from eyechart.core.errors import InputError
from eyechart.core.types import Bitstream, Json, Level, Rgb8


class AvifCodec:
    """AV1 still pictures, 4:2:0, in the AVIF file format (some 300 bytes of it are boxes).

    levels: qualities 0..100. speed: 0 (small) to 10 (fast).
    """

    name = "avif"

    def __init__(self, *, levels: Sequence[int] = (0, 10, 20, 30), speed: int = 6) -> None:
        if isinstance(speed, bool) or speed not in range(11):
            raise InputError(f"avif: speed {speed!r} is out of range; allowed are 0 to 10")
        self.levels: tuple[Level, ...] = make_levels(
            self.name, "quality", levels, least=0, most=100, rate="rises"
        )
        self.speed = speed

    @property
    def options(self) -> Mapping[str, Json]:
        return {"speed": self.speed}

    @property
    def version(self) -> str:
        from PIL import AvifImagePlugin

        return f"aom {AvifImagePlugin.get_codec_version('aom')}, {version_of('avif')}"

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        settings: dict[str, Json] = {
            "quality": int(knob_of(self.name, level, "quality")),
            "speed": self.speed,
            "subsampling": "4:2:0",
            "codec": "aom",
            "max_threads": 1,
        }
        return encode_still(rgb8, self.name, level, "AVIF", settings)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return decode_still(bitstream, self.name, "AVIF")

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        return read_size(payload, self.name, "AVIF")
