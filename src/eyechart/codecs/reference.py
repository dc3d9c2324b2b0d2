"""The reference software HM (HEVC) and VTM (VVC), for users who have built it.

Its files are given by options (`hm:encoder=PATH,decoder=PATH,cfg=PATH`, the same for vtm) or by
environment variables:

    EYECHART_HM_ENCODER   EYECHART_HM_DECODER   EYECHART_HM_CFG
    EYECHART_VTM_ENCODER  EYECHART_VTM_DECODER  EYECHART_VTM_CFG

Encoders are TAppEncoderStatic / EncoderAppStatic, decoders TAppDecoderStatic / DecoderAppStatic,
the configurations encoder_intra_main_rext.cfg / encoder_intra_vtm.cfg of the same release. The
programs read and write files, so an image goes through a temporary folder.

A cell's key holds the files' checksums instead of their paths. So a run directory does not know the
paths, and a report, which decodes its bitstreams later, finds the programs by the variables.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from eyechart.codecs import builtin_header
from eyechart.codecs.ffmpeg import job_for
from eyechart.codecs.frames import check_rgb8, crop, pad_edges, padded_size
from eyechart.codecs.levels import knob_of, level_at, make_levels
from eyechart.codecs.process import ProcessLimits, checked_timeout_s, run
from eyechart.codecs.yuv import rgb_to_yuv444, yuv444_to_rgb
from eyechart.core.errors import InputError
from eyechart.core.hooks import KnobRange
from eyechart.core.types import Bitstream, Json, Level, Rgb8

_TIMEOUT_S = 600.0  # the reference encoders are some hundred times slower than x265
_LEAST_PX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """Paths of one reference software (None: see the environment) and how it is called."""

    codec: str
    extra_arguments: tuple[str, ...] = ()
    encoder: str | None
    decoder: str | None
    cfg: str | None
    timeout_s: float

    def path(self, part: str) -> str:
        """Path of `encoder`, `decoder` or `cfg`. Raises InputError if it is not set or missing."""
        variable = f"EYECHART_{self.codec.upper()}_{part.upper()}"
        given: str | None = getattr(self, part) or os.environ.get(variable)
        if not given:
            raise InputError(f"{self.codec}: no {part}; set {variable} or the option {part}=PATH")
        if not Path(given).is_file():
            raise InputError(f"{self.codec}: {part} {given!r} is not a file")
        return str(Path(given).resolve())

    def version(self) -> str:
        """Checksums of the three files, each of which can change bits."""
        parts = ("encoder", "decoder", "cfg")
        return ", ".join(f"{part} {_checksum(self.path(part))}" for part in parts)


def _encode(software: Software, rgb8: Rgb8, level: Level) -> Bitstream:
    rgb8 = check_rgb8(rgb8)
    height, width, _ = rgb8.shape
    coded_height, coded_width = _coded_size(height, width)
    job = _job(software, level.name, height, width)
    encoder, cfg = software.path("encoder"), software.path("cfg")
    with _folder(job) as folder:
        source, stream = folder / "i.yuv", folder / "o.bin"
        _write(source, rgb_to_yuv444(pad_edges(rgb8, coded_height, coded_width)), job)
        command = [
            *(encoder, "-c", cfg, "-i", str(source), "-b", str(stream), "-o", os.devnull),
            *("-wdt", str(coded_width), "-hgt", str(coded_height), "-fr", "1", "-f", "1"),
            *("-q", knob_of(software.codec, level, "qp"), "--InputChromaFormat=444"),
            *("--InputBitDepth=8", "--ConformanceWindowMode=1", *software.extra_arguments),
        ]
        run(command, b"", job)
        coded = _read(stream, job)
    return builtin_header.pack(software.codec, coded, height_px=height, width_px=width)


def _decode(software: Software, bitstream: Bitstream) -> Rgb8:
    coded = builtin_header.stream_of(software.codec, bitstream)
    height, width = _coded_size(bitstream.height_px, bitstream.width_px)
    job = _job(software, "", height, width)
    decoder = software.path("decoder")
    with _folder(job) as folder:
        stream, decoded = folder / "i.bin", folder / "r.yuv"
        _write(stream, coded, job)
        run([decoder, "-b", str(stream), "-o", str(decoded), "-d", "8"], b"", job)
        planes = _read(decoded, job)
    if len(planes) != 3 * height * width:
        raise job.error(
            f"decoded to {len(planes)} bytes, not to one {width}x{height} image in 4:4:4"
        )
    return crop(yuv444_to_rgb(planes, height, width), bitstream)


def _coded_size(height_px: int, width_px: int) -> tuple[int, int]:
    # The encoder itself pads sizes that are not multiples of its coding unit
    # (ConformanceWindowMode=1).
    return (
        padded_size(height_px, least=_LEAST_PX, multiple=1),
        padded_size(width_px, least=_LEAST_PX, multiple=1),
    )


def _job(software: Software, level: str, height_px: int, width_px: int) -> ProcessLimits:
    return job_for(
        software.codec, level, software.timeout_s, height_px=height_px, width_px=width_px
    )


@contextmanager
def _folder(job: ProcessLimits) -> Iterator[Path]:
    """A temporary folder. Raises CodecError, for example on a full disk."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="eyechart-", ignore_cleanup_errors=True)
    except OSError as error:
        raise job.error(f"no temporary folder ({error.strerror})", retryable=True) from error
    with folder as name:
        yield Path(name)


def _write(path: Path, data: bytes, job: ProcessLimits) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise job.error(f"cannot write {path} ({error.strerror})", retryable=True) from error


def _read(path: Path, job: ProcessLimits) -> bytes:
    """The file that the program wrote, up to the job's limit. Raises CodecError."""
    try:
        with path.open("rb") as file:
            data = file.read(job.output_limit_bytes + 1)
    except OSError as error:
        raise job.error(f"the program ended well but left no {path.name}") from error
    if not data:
        raise job.error(f"the program ended well but left an empty {path.name}")
    if len(data) > job.output_limit_bytes:
        raise job.error(f"the program wrote more than {job.output_limit_bytes:,} bytes")
    return data


def _checksum(path: str) -> str:
    status = Path(path).stat()
    return _checksum_of(path, status.st_mtime_ns, status.st_size)


@cache
def _checksum_of(path: str, mtime_ns: int, size_bytes: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


class _ReferenceCodec:
    """Shared by HM and VTM, which differ in their names, QPs and a flag."""

    name: str
    _qps: tuple[int, ...]
    knob_range: KnobRange
    chroma = "4:4:4"
    _extra_arguments: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        levels: Sequence[int] | None = None,
        encoder: str | None = None,
        decoder: str | None = None,
        cfg: str | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self.levels: tuple[Level, ...] = make_levels(
            self.name,
            "qp",
            self._qps if levels is None else levels,
            least=self.knob_range.least,
            most=self.knob_range.most,
            rate=self.knob_range.rate,
        )
        self.software = Software(
            codec=self.name,
            extra_arguments=self._extra_arguments,
            encoder=encoder,
            decoder=decoder,
            cfg=cfg,
            timeout_s=checked_timeout_s(self.name, timeout_s),
        )

    def level_at(self, text: str) -> Level:
        """The level of any QP. Raises InputError."""
        allowed = self.knob_range
        return level_at(self.name, "qp", text, self.levels, least=allowed.least, most=allowed.most)

    @property
    def options(self) -> Mapping[str, Json]:
        return {}  # paths change no result; the checksums of the files are the version

    @property
    def version(self) -> str:
        """Checksums of the programs. Raises InputError if one is missing."""
        return self.software.version()

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return _encode(self.software, rgb8, level)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return _decode(self.software, bitstream)

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        return builtin_header.unpack(self.name, payload)[0]


class HmCodec(_ReferenceCodec):
    """HEVC by HM: 4:4:4, intra. levels: QPs; HM refuses more than 51."""

    name = "hm"
    _qps = (42, 45, 49, 51)
    knob_range = KnobRange(least=0, most=51, rate="falls")
    _extra_arguments = ("--Level=5.1",)


class VtmCodec(_ReferenceCodec):
    """VVC by VTM: 4:4:4, intra. levels: QPs, at most 63."""

    name = "vtm"
    _qps = (42, 45, 49, 53)
    knob_range = KnobRange(least=0, most=63, rate="falls")
