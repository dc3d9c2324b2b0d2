"""JPEG XL by libjxl, through ffmpeg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.codecs import ffmpeg
from eyechart.codecs.ffmpeg_codec import FfmpegCodec
from eyechart.core.errors import InputError
from eyechart.core.hooks import KnobRange
from eyechart.core.types import Json


class JpegXlCodec(FfmpegCodec):
    """libjxl's lossy mode (VarDCT), a bare codestream.

    levels: Butteraugli distances, 0.1..15 (ffmpeg's range). effort: 1 (fast) to 9.
    The stream has its own size, but is stored behind this package's header because of the checksum:
    ffmpeg's demuxer never ends on a truncated JPEG XL stream.
    """

    name, knob = "jpegxl", "distance"
    knob_range = KnobRange(least=0.1, most=15.0, rate="falls")
    muxer, demuxer = "image2pipe", "jpegxl_pipe"

    def __init__(
        self,
        *,
        levels: Sequence[float] = (15, 10, 6, 3),
        effort: int = 7,
        timeout_s: float = ffmpeg.TIMEOUT_S,
    ) -> None:
        if isinstance(effort, bool) or effort not in range(1, 10):
            raise InputError(f"jpegxl: effort {effort!r} is out of range; allowed are 1 to 9")
        super().__init__(levels, timeout_s)
        self.effort = effort

    @property
    def options(self) -> Mapping[str, Json]:
        return {"effort": self.effort}

    @property
    def version(self) -> str:
        """Version of ffmpeg, which stands for the libjxl in it. Raises EyechartError."""
        return "libjxl in " + ffmpeg.version_of(self.name, self._encoder("1"), self.muxer, "", "")

    def _encoder(self, value: str) -> tuple[str, ...]:
        return ("-c:v", "libjxl", "-distance", value, "-effort", str(self.effort))
