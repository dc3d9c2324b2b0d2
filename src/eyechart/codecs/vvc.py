"""VVC intra pictures by Fraunhofer's vvenc: 4:2:0, 10 bit, constant QP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.codecs import builtin_header, ffmpeg
from eyechart.codecs.frames import check_rgb8, crop, pad_edges, padded_size
from eyechart.codecs.levels import knob_of, make_levels
from eyechart.core.errors import InputError
from eyechart.core.types import Bitstream, Json, Level, Rgb8

_LEAST_PX = 16  # vvenc opens no smaller picture
_PRESETS = ("faster", "fast", "medium", "slow", "slower")
_FORMAT = "yuv420p10le"  # the only one that vvenc takes
# Without IntraQPOffset=0 the picture is coded 3 QP finer than asked. GOPSize=1 is what
# IntraPeriod=1 leads to; unsaid, vvenc prints a warning of 109 bytes on stdout.
_PARAMETERS = "IntraPeriod=1:GOPSize=1:IntraQPOffset=0"


class VvcCodec:
    """vvenc, one intra picture a stream; decoded by ffmpeg's own VVC decoder.

    levels: QPs, at most 63 (default: VTM levels of the paper's range, Table 8). preset: vvenc's.
    At 224x224 `fast` takes half the time of `medium` and loses 0.2 dB at the same rate (seven
    photographs; mean of four levels 113 and 251 ms of CPU an encode).
    Raises InputError for a QP or preset that vvenc does not have.
    """

    name = "vvc"

    def __init__(
        self,
        *,
        levels: Sequence[int] = (42, 45, 49, 53),
        preset: str = "medium",
        timeout_s: float = ffmpeg.TIMEOUT_S,
    ) -> None:
        if preset not in _PRESETS:
            raise InputError(f"vvc: preset {preset!r} is unknown; known: {', '.join(_PRESETS)}")
        self.levels: tuple[Level, ...] = make_levels(
            self.name, "qp", levels, least=0, most=63, rate="falls"
        )
        self.preset, self.timeout_s = preset, timeout_s

    @property
    def options(self) -> Mapping[str, Json]:
        return {"preset": self.preset}

    @property
    def version(self) -> str:
        """vvenc's and ffmpeg's. The first call in a process asks ffmpeg. Raises EyechartError."""
        pattern = r"libvvenc version: (\S+)"
        return "vvenc " + ffmpeg.version_of(self.name, self._encoder("40"), "vvc", _FORMAT, pattern)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        rgb8 = check_rgb8(rgb8)
        height, width, _ = rgb8.shape
        frame = pad_edges(rgb8, *_coded_size(height, width))
        encoder = self._encoder(knob_of(self.name, level, "qp"))
        job = ffmpeg.job_for(
            self.name, level.name, self.timeout_s, height_px=height, width_px=width
        )
        stream = ffmpeg.encode_frame(frame, encoder, "vvc", job, yuv=_FORMAT)
        return builtin_header.pack(self.name, stream, height_px=height, width_px=width)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        stream = builtin_header.stream_of(self.name, bitstream)
        height, width = _coded_size(bitstream.height_px, bitstream.width_px)
        job = ffmpeg.job_for(self.name, "", self.timeout_s, height_px=height, width_px=width)
        frame = ffmpeg.decode_frame(stream, "vvc", job, height_px=height, width_px=width, yuv=True)
        return crop(frame, bitstream)

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        return builtin_header.unpack(self.name, payload)[0]

    def _encoder(self, qp: str) -> tuple[str, ...]:
        return (
            *("-c:v", "libvvenc", "-preset", self.preset, "-qp", qp, "-qpa", "0"),
            *("-vvenc-params", _PARAMETERS),
        )


def _coded_size(height_px: int, width_px: int) -> tuple[int, int]:
    # 4:2:0 halves both sides, so both are made even.
    return (
        padded_size(height_px, least=_LEAST_PX, multiple=2),
        padded_size(width_px, least=_LEAST_PX, multiple=2),
    )
