"""AVIF by Pillow (libavif with libaom)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eyechart.codecs.image_file import QualityCodec, version_of
from eyechart.core.errors import InputError
from eyechart.core.hooks import KnobRange
from eyechart.core.types import Json, Level


class AvifCodec(QualityCodec):
    """AV1 images, 4:2:0, in the AVIF file format, whose boxes take about 300 bytes.

    levels: qualities 0..100. speed: 0 (small files) to 10 (fast).
    """

    name, format = "avif", "AVIF"
    knob_range = KnobRange(least=0, most=100, rate="rises")

    def __init__(self, *, levels: Sequence[int] = (0, 10, 20, 30), speed: int = 6) -> None:
        if isinstance(speed, bool) or speed not in range(11):
            raise InputError(f"avif: speed {speed!r} is out of range; allowed are 0 to 10")
        super().__init__(levels)
        self.speed = speed

    @property
    def options(self) -> Mapping[str, Json]:
        return {"speed": self.speed}

    @property
    def version(self) -> str:
        from PIL import AvifImagePlugin

        return f"aom {AvifImagePlugin.get_codec_version('aom')}, {version_of('avif')}"

    def _settings(self, level: Level) -> dict[str, Any]:
        return {
            "quality": self._quality(level),
            "speed": self.speed,
            "subsampling": "4:2:0",
            "codec": "aom",
            "max_threads": 1,
        }
