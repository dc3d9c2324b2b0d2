"""Bitstreams of the shipped codecs with weights, and the images that they decoded to once.

    python -m tests.codecs.golden_bitstreams CODEC ...    # after a change of format or weights

Writes `goldens/CODEC-LEVEL.bin` and `.png` for the lowest and the highest level of each codec; of
all without a name.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eyechart.core import plugins
from eyechart.core.images import decode_image, encode_png
from eyechart.core.types import Bitstream, Codec, Level, Rgb8
from eyechart.testing.codecs import sample_image

CODECS = ("elic-mini", "tic-mini", "transtic-mini", "illm-mini", "rdeic-mini")
FOLDER = Path(__file__).with_name("goldens")
HEIGHT_PX, WIDTH_PX = 72, 104


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A codec at one of its levels, with the files of that."""

    codec: str
    place: int  # of the level: 0 or -1

    def open(self) -> tuple[Codec, Level]:
        codec: Codec = plugins.load("eyechart.codecs", self.codec, {})
        return codec, codec.levels[self.place]

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.codec}-{'lowest' if self.place == 0 else 'highest'}"

    def bitstream(self) -> Bitstream:
        payload = self.file.with_suffix(".bin").read_bytes()
        return Bitstream(payload=payload, height_px=HEIGHT_PX, width_px=WIDTH_PX)

    def decoded(self) -> Rgb8:
        return decode_image(self.file.with_suffix(".png").read_bytes(), name=self.file.name)


GOLDENS = [Golden(codec=codec, place=place) for codec in CODECS for place in (0, -1)]


def image() -> Rgb8:
    """What was encoded."""
    return sample_image(HEIGHT_PX, WIDTH_PX, np.random.default_rng(11))


def main(names: list[str]) -> None:
    """Write the files of these codecs anew."""
    for golden in (one for one in GOLDENS if one.codec in (names or CODECS)):
        codec, level = golden.open()
        bitstream = codec.encode(image(), level)
        golden.file.with_suffix(".bin").write_bytes(bitstream.payload)
        golden.file.with_suffix(".png").write_bytes(encode_png(codec.decode(bitstream)))


if __name__ == "__main__":
    main(sys.argv[1:])
