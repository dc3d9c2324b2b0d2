"""The conformance check detects every violated requirement."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.types import Bitstream, Json, Level, Rgb8
from eyechart.testing import ConformanceError, check_codec

COUNTER = iter(range(10_000))


class ToyCodec:
    """A third party's codec around JPEG, that violates one requirement at a time."""

    name = "toy"
    version = "1"

    def __init__(self, broken: str = "") -> None:
        self._jpeg = JpegCodec()
        self.broken = broken
        self.options: Mapping[str, Json] = {"broken": broken}
        self.levels = self._jpeg.levels[::-1] if broken == "order" else self._jpeg.levels

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        if self.broken == "input":
            rgb8 = np.resize(np.asarray(rgb8, np.uint8), (8, 8, 3)) if rgb8.ndim != 3 else rgb8
        coded = self._jpeg.encode(rgb8, level)
        if self.broken == "chance":
            payload = coded.payload + bytes([next(COUNTER) % 256])
            return Bitstream(payload=payload, height_px=rgb8.shape[0], width_px=rgb8.shape[1])
        return coded

    def decode(self, bitstream: Bitstream) -> Rgb8:
        if self.broken == "size":
            return self._jpeg.decode(bitstream)[:, :8]
        if self.broken == "damage" and not bitstream.payload.endswith(b"\xff\xd9"):
            raise ZeroDivisionError
        return self._jpeg.decode(bitstream)


def test_a_good_codec_passes_and_its_rates_are_shown() -> None:
    report = check_codec(ToyCodec(), sizes=[(1, 1), (9, 20)])
    assert list(report.mean_bpp) == ["1", "3", "5", "6"]
    assert "fresh process" in report.passed


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("order", "ranks"),
        ("chance", "two different payloads"),
        ("size", r"decoded to uint8 \(9, 8, 3\)"),
        ("damage", "ZeroDivisionError instead of CodecError"),
        ("input", "was coded"),
    ],
)
def test_a_violated_requirement_is_named(broken: str, message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check_codec(ToyCodec(broken), sizes=[(9, 20)])


def test_a_payload_that_needs_this_process_is_found() -> None:
    with pytest.raises(ConformanceError, match=r"fresh process: .*could not decode"):
        check_codec(ToyCodec(), sizes=[(1, 1)], options={"nothing": "like that"})
