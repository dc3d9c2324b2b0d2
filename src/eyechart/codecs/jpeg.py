"""JPEG by Pillow (libjpeg-turbo)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eyechart.codecs.image_file import QualityCodec, version_of
from eyechart.core.errors import InputError
from eyechart.core.hooks import KnobRange
from eyechart.core.types import Json, Level

_SUBSAMPLINGS = {"444": "4:4:4", "422": "4:2:2", "420": "4:2:0"}


class JpegCodec(QualityCodec):
    """Baseline JPEG at the paper's qualities (Table 7), 4:2:0.

    optimize: Huffman tables made for the image, instead of the standard's. The default is off,
    which gives about the paper's rates. Mean bpp of seven 640x480 photographs (astronaut, chelsea,
    coffee, rocket, motorcycle of scikit-image; china, flower of scikit-learn), compared with POPE's
    in Table 9:

        quality          1      3      5      6
        Table 9        0.19   0.20   0.25   0.27
        optimize off   0.176  0.185  0.220  0.239   (0.155..0.203 to 0.183..0.309)
        optimize on    0.090  0.100  0.140  0.162   (0.069..0.119 to 0.100..0.241)

    On small images most of the rate is the fixed header (623 bytes). Qualities 1 and 3 are almost
    equal, because both quantisation tables saturate.
    """

    name, format = "jpeg", "JPEG"
    knob_range = KnobRange(least=1, most=100, rate="rises")

    def __init__(
        self,
        *,
        levels: Sequence[int] = (1, 3, 5, 6),
        optimize: bool = False,
        subsampling: str | int = "4:2:0",
    ) -> None:
        digits = str(subsampling).replace(":", "")
        if digits not in _SUBSAMPLINGS:
            allowed = ", ".join(_SUBSAMPLINGS.values())
            raise InputError(f"jpeg: subsampling {subsampling!r}; allowed are {allowed}")
        if not isinstance(optimize, bool):
            raise InputError(f"jpeg: optimize {optimize!r}; allowed are true and false")
        super().__init__(levels)
        self.optimize, self.subsampling = optimize, _SUBSAMPLINGS[digits]

    @property
    def options(self) -> Mapping[str, Json]:
        return {"optimize": self.optimize, "subsampling": self.subsampling}

    @property
    def version(self) -> str:
        return version_of("libjpeg_turbo")

    def _settings(self, level: Level) -> dict[str, Any]:
        return {
            "quality": self._quality(level),
            "optimize": self.optimize,
            "subsampling": self.subsampling,
        }
