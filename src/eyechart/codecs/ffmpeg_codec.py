"""Shared by hevc, vvc and jpegxl: one intra image, coded by ffmpeg as a raw stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from eyechart.codecs import builtin_header, ffmpeg
from eyechart.codecs.frames import check_rgb8, crop, pad_edges, padded_size
from eyechart.codecs.levels import knob_of, level_at, make_levels
from eyechart.codecs.process import checked_timeout_s
from eyechart.core.hooks import KnobRange
from eyechart.core.types import Bitstream, Level, Rgb8


class FfmpegCodec(ABC):
    """A codec of ffmpeg, described by class attributes.

    muxer, demuxer: ffmpeg's names of the raw stream. yuv: pixel format of the encoder's input, ""
    for RGB. least_px, multiple: smallest side of the encoder's input and the number that sides are
    multiples of; images are padded to them.
    """

    name: str
    knob: str
    knob_range: KnobRange
    muxer: str
    demuxer: str
    yuv: str = ""
    least_px: int = 1
    multiple: int = 1

    def __init__(self, levels: Sequence[float], timeout_s: float) -> None:
        allowed = self.knob_range
        self.levels: tuple[Level, ...] = make_levels(
            self.name,
            self.knob,
            levels,
            least=allowed.least,
            most=allowed.most,
            rate=allowed.rate,
        )
        self.timeout_s = checked_timeout_s(self.name, timeout_s)

    def level_at(self, text: str) -> Level:
        """The level of any value of the knob. Raises InputError."""
        allowed = self.knob_range
        return level_at(
            self.name, self.knob, text, self.levels, least=allowed.least, most=allowed.most
        )

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        """Pad, encode, put the header before the stream. Raises CodecError, InputError."""
        rgb8 = check_rgb8(rgb8)
        height, width, _ = rgb8.shape
        encoder = self._encoder(knob_of(self.name, level, self.knob))
        job = ffmpeg.job_for(
            self.name, level.name, self.timeout_s, height_px=height, width_px=width
        )
        frame = pad_edges(rgb8, *self._coded_size(height, width))
        stream = ffmpeg.encode_frame(frame, encoder, self.muxer, job, yuv=self.yuv)
        return builtin_header.pack(self.name, stream, height_px=height, width_px=width)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        """Decode and crop to the original size. Raises CodecError."""
        stream = builtin_header.stream_of(self.name, bitstream)
        height, width = self._coded_size(bitstream.height_px, bitstream.width_px)
        job = ffmpeg.job_for(self.name, "", self.timeout_s, height_px=height, width_px=width)
        frame = ffmpeg.decode_frame(
            stream, self.demuxer, job, height_px=height, width_px=width, yuv=bool(self.yuv)
        )
        return crop(frame, bitstream)

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        """The payload with the size that is stored in it. Raises CodecError."""
        return builtin_header.unpack(self.name, payload)[0]

    @abstractmethod
    def _encoder(self, value: str) -> tuple[str, ...]:
        """ffmpeg's arguments for the encoder at a value of the knob."""

    def _coded_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Height and width of the encoder's input, a function of the original size."""
        return (
            padded_size(height_px, least=self.least_px, multiple=self.multiple),
            padded_size(width_px, least=self.least_px, multiple=self.multiple),
        )
