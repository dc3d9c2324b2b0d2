"""WebP by Pillow (libwebp)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eyechart.codecs.image_file import QualityCodec, version_of
from eyechart.core.errors import InputError
from eyechart.core.hooks import KnobRange
from eyechart.core.types import Json, Level


class WebpCodec(QualityCodec):
    """Lossy WebP. levels: qualities 0..100. method: 0 (fast) to 6 (small files)."""

    name, format, chroma = "webp", "WEBP", "4:2:0"
    knob_range = KnobRange(least=0, most=100, rate="rises")

    def __init__(self, *, levels: Sequence[int] = (0, 5, 10, 20), method: int = 6) -> None:
        if isinstance(method, bool) or method not in range(7):
            raise InputError(f"webp: method {method!r} is out of range; allowed are 0 to 6")
        super().__init__(levels)
        self.method = method

    @property
    def options(self) -> Mapping[str, Json]:
        return {"method": self.method}

    @property
    def version(self) -> str:
        return version_of("webp")

    def _settings(self, level: Level) -> dict[str, Any]:
        return {"quality": self._quality(level), "method": self.method}
