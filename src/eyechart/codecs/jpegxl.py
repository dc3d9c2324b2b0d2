"""JPEG XL by libjxl, through the ffmpeg that is there anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.codecs import builtin_header, ffmpeg
from eyechart.codecs.frames import check_rgb8
from eyechart.codecs.levels import knob_of, make_levels
from eyechart.core.errors import InputError
from eyechart.core.types import Bitstream, Json, Level, Rgb8


class JpegXlCodec:
    """libjxl's lossy mode (VarDCT), a bare codestream.

    levels: Butteraugli distances, 0.1..15 (ffmpeg takes no more). effort: 1 (fast) to 9.
    The stream is kept in this package's container although it knows its own size, for the
    checksum: ffmpeg's demuxer never ends on a truncated JPEG XL stream.
    """

    name = "jpegxl"

    def __init__(
        self,
        *,
        levels: Sequence[float] = (15, 10, 6, 3),
        effort: int = 7,
        timeout_s: float = ffmpeg.TIMEOUT_S,
    ) -> None:
        if isinstance(effort, bool) or effort not in range(1, 10):
            raise InputError(f"jpegxl: effort {effort!r} is out of range; allowed are 1 to 9")
        self.levels: tuple[Level, ...] = make_levels(
            self.name, "distance", levels, least=0.1, most=15.0, rate="falls"
        )
        self.effort, self.timeout_s = effort, timeout_s

    @property
    def options(self) -> Mapping[str, Json]:
        return {"effort": self.effort}

    @property
    def version(self) -> str:
        """ffmpeg's, which stands for the libjxl inside it. Raises EyechartError."""
        return "libjxl in " + ffmpeg.version_of(self.name, self._encoder("1"), "image2pipe", "", "")

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        rgb8 = check_rgb8(rgb8)
        height, width, _ = rgb8.shape
        encoder = self._encoder(knob_of(self.name, level, "distance"))
        job = ffmpeg.job_for(
            self.name, level.name, self.timeout_s, height_px=height, width_px=width
        )
        stream = ffmpeg.encode_frame(rgb8, encoder, "image2pipe", job)
        return builtin_header.pack(self.name, stream, height_px=height, width_px=width)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        stream = builtin_header.stream_of(self.name, bitstream)
        height, width = bitstream.height_px, bitstream.width_px
        job = ffmpeg.job_for(self.name, "", self.timeout_s, height_px=height, width_px=width)
        return ffmpeg.decode_frame(
            stream, "jpegxl_pipe", job, height_px=height, width_px=width, yuv=False
        )

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        return builtin_header.unpack(self.name, payload)[0]

    def _encoder(self, distance: str) -> tuple[str, ...]:
        return ("-c:v", "libjxl", "-distance", distance, "-effort", str(self.effort))
