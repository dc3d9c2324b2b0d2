"""HEVC intra pictures by x265: 4:4:4, 8 bit, constant QP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.codecs import builtin_header, ffmpeg
from eyechart.codecs.frames import check_rgb8, crop, pad_edges, padded_size
from eyechart.codecs.levels import knob_of, make_levels
from eyechart.core.errors import InputError
from eyechart.core.types import Bitstream, Json, Level, Rgb8

_LEAST_PX = 16  # x265 opens no smaller picture
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")
# keyint=1 alone codes I pictures 1.4 times finer than asked: ipratio=1.0. info=0 drops an SEI of
# 2 kB; psy-* trades PSNR for texture, which the reference encoder does not do.
_SETTINGS = (
    "keyint=1:qp={qp}:ipratio=1.0:psy-rd=0:psy-rdoq=0:info=0:range=full"
    ":pools=1:frame-threads=1:log-level={log}"
)


class HevcCodec:
    """x265, one intra picture a stream.

    levels: QPs, at most 51 (the paper's HM levels of Table 8 lie in 40..51). preset: x265's.
    Raises InputError for a QP or preset that x265 does not have.
    """

    name = "hevc"

    def __init__(
        self,
        *,
        levels: Sequence[int] = (42, 45, 49, 51),
        preset: str = "slow",
        timeout_s: float = ffmpeg.TIMEOUT_S,
    ) -> None:
        if preset not in _PRESETS:
            raise InputError(f"hevc: preset {preset!r} is unknown; known: {', '.join(_PRESETS)}")
        self.levels: tuple[Level, ...] = make_levels(
            self.name, "qp", levels, least=0, most=51, rate="falls"
        )
        self.preset, self.timeout_s = preset, timeout_s

    @property
    def options(self) -> Mapping[str, Json]:
        return {"preset": self.preset}

    @property
    def version(self) -> str:
        """x265's and ffmpeg's. The first call in a process asks ffmpeg. Raises EyechartError."""
        pattern = r"HEVC encoder version (\S+)"
        return "x265 " + ffmpeg.version_of(
            self.name, self._encoder("40", log="info"), "hevc", "yuv444p", pattern
        )

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        rgb8 = check_rgb8(rgb8)
        height, width, _ = rgb8.shape
        frame = pad_edges(rgb8, *_coded_size(height, width))
        encoder = self._encoder(knob_of(self.name, level, "qp"), log="error")
        job = ffmpeg.job_for(
            self.name, level.name, self.timeout_s, height_px=height, width_px=width
        )
        stream = ffmpeg.encode_frame(frame, encoder, "hevc", job, yuv="yuv444p")
        return builtin_header.pack(self.name, stream, height_px=height, width_px=width)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        stream = builtin_header.stream_of(self.name, bitstream)
        height, width = _coded_size(bitstream.height_px, bitstream.width_px)
        job = ffmpeg.job_for(self.name, "", self.timeout_s, height_px=height, width_px=width)
        frame = ffmpeg.decode_frame(stream, "hevc", job, height_px=height, width_px=width, yuv=True)
        return crop(frame, bitstream)

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        return builtin_header.unpack(self.name, payload)[0]

    def _encoder(self, qp: str, *, log: str) -> tuple[str, ...]:
        settings = _SETTINGS.format(qp=qp, log=log)
        return ("-c:v", "libx265", "-preset", self.preset, "-x265-params", settings)


def _coded_size(height_px: int, width_px: int) -> tuple[int, int]:
    return (
        padded_size(height_px, least=_LEAST_PX, multiple=1),
        padded_size(width_px, least=_LEAST_PX, multiple=1),
    )
