"""VVC intra images by Fraunhofer's vvenc: 4:2:0, 10 bit, constant QP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.codecs import ffmpeg
from eyechart.codecs.ffmpeg_codec import FfmpegCodec
from eyechart.core.errors import InputError
from eyechart.core.hooks import KnobRange
from eyechart.core.types import Json

_PRESETS = ("faster", "fast", "medium", "slow", "slower")
# Without IntraQPOffset=0 the image is coded at a QP lower by 3. IntraPeriod=1 implies GOPSize=1; if
# that is not given, vvenc prints a warning of 109 bytes on stdout.
_PARAMETERS = "IntraPeriod=1:GOPSize=1:IntraQPOffset=0"


class VvcCodec(FfmpegCodec):
    """vvenc, one intra image in each stream; decoded by ffmpeg's own VVC decoder.

    levels: QPs, at most 63 (default: VTM levels of the paper's range, Table 8). preset: vvenc's.
    At 224x224 `fast` takes half the time of `medium` and loses 0.2 dB at the same rate (seven
    photographs, mean of four levels: 113 and 251 ms of CPU for each encode).
    Raises InputError for a QP or preset that vvenc does not have.
    """

    name, knob = "vvc", "qp"
    knob_range = KnobRange(least=0, most=63, rate="falls")
    muxer = demuxer = "vvc"
    yuv, chroma = "yuv420p10le", "4:2:0"  # the only one that vvenc accepts
    least_px = 16  # vvenc refuses smaller images
    multiple = 2  # 4:2:0 halves both sides, so both are made even

    def __init__(
        self,
        *,
        levels: Sequence[int] = (42, 45, 49, 53),
        preset: str = "medium",
        timeout_s: float = ffmpeg.TIMEOUT_S,
    ) -> None:
        if preset not in _PRESETS:
            raise InputError(f"vvc: preset {preset!r} is unknown; known: {', '.join(_PRESETS)}")
        super().__init__(levels, timeout_s)
        self.preset = preset

    @property
    def options(self) -> Mapping[str, Json]:
        return {"preset": self.preset}

    @property
    def version(self) -> str:
        """Versions of vvenc and ffmpeg. The first call of a process runs ffmpeg.

        Raises EyechartError.
        """
        pattern = r"libvvenc version: (\S+)"
        return "vvenc " + ffmpeg.version_of(
            self.name, self._encoder("40"), self.muxer, self.yuv, pattern
        )

    def _encoder(self, value: str) -> tuple[str, ...]:
        return (
            *("-c:v", "libvvenc", "-preset", self.preset, "-qp", value, "-qpa", "0"),
            *("-vvenc-params", _PARAMETERS),
        )
