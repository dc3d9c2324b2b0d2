"""HEVC intra images by x265: 4:4:4, 8 bit, constant QP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.codecs import ffmpeg
from eyechart.codecs.ffmpeg_codec import FfmpegCodec
from eyechart.core.errors import InputError
from eyechart.core.hooks import KnobRange
from eyechart.core.types import Json

_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")
_LONG_PX = 4208
# ipratio=1.0, because x265 otherwise codes I frames with a 1.4 times smaller quantiser. info=0
# drops an SEI of 2 kB. psy-* is off as in the reference encoder: it trades PSNR for texture.
_SETTINGS = (
    "keyint=1:qp={qp}:ipratio=1.0:psy-rd=0:psy-rdoq=0:info=0:range=full"
    ":pools=1:frame-threads=1:log-level={log}"
)


class HevcCodec(FfmpegCodec):
    """x265, one intra image a stream.

    levels: QPs, at most 51 (the paper's HM levels of Table 8 are in 40..51). preset: x265's.
    Raises InputError for a QP or preset that x265 does not have.
    """

    name, knob = "hevc", "qp"
    knob_range = KnobRange(least=0, most=51, rate="falls")
    muxer = demuxer = "hevc"
    yuv, chroma = "yuv444p", "4:4:4"
    least_px = 16  # x265 refuses smaller images

    def __init__(
        self,
        *,
        levels: Sequence[int] = (42, 45, 49, 51),
        preset: str = "slow",
        timeout_s: float = ffmpeg.TIMEOUT_S,
    ) -> None:
        if preset not in _PRESETS:
            raise InputError(f"hevc: preset {preset!r} is unknown; known: {', '.join(_PRESETS)}")
        super().__init__(levels, timeout_s)
        self.preset = preset

    @property
    def options(self) -> Mapping[str, Json]:
        return {"preset": self.preset}

    @property
    def version(self) -> str:
        """Versions of x265 and ffmpeg. The first call of a process runs ffmpeg.

        Raises EyechartError.
        """
        pattern = r"HEVC encoder version (\S+)"
        return "x265 " + ffmpeg.version_of(
            self.name, self._encoder("40", log="info"), self.muxer, self.yuv, pattern
        )

    def _coded_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        # If one side is longer than 4208 px, x265 refuses another side below 32 px.
        least = self.least_px if max(height_px, width_px) <= _LONG_PX else 2 * self.least_px
        return max(height_px, least), max(width_px, least)

    def _encoder(self, value: str, log: str = "error") -> tuple[str, ...]:
        settings = _SETTINGS.format(qp=value, log=log)
        return ("-c:v", "libx265", "-preset", self.preset, "-x265-params", settings)
