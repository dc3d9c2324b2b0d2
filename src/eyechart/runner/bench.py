"""Rate, PSNR and time of one codec level on images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from eyechart.core.errors import CodecError
from eyechart.core.types import Codec, Level, Rgb8
from eyechart.quality import psnr_db


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One image through one codec at one level."""

    size_bytes: int
    rate_bpp: float
    psnr_db: float | None  # None: unchanged
    encode_s: float
    decode_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecMeans:
    """Means over images.

    psnr_db: mean of the images' PSNR; None if one of them came back unchanged.
    """

    codec: str
    level: str
    images: int
    mean_bytes: float
    mean_bpp: float
    psnr_db: float | None
    encode_ms: float
    decode_ms: float


def try_codec(codec: Codec, level: Level, rgb8: Rgb8, image: str) -> Trial:
    """Encode and decode one image. Raises CodecError, which names the level and the image."""
    try:
        start_s = time.perf_counter()
        bitstream = codec.encode(rgb8, level)
        coded_s = time.perf_counter()
        decoded = codec.decode(bitstream)
        end_s = time.perf_counter()
    except CodecError as error:
        raise error.named(level=level.name, image=image) from error
    return Trial(
        size_bytes=len(bitstream.payload),
        rate_bpp=bitstream.bpp,
        psnr_db=psnr_db(rgb8, decoded),
        encode_s=coded_s - start_s,
        decode_s=end_s - coded_s,
    )


def means_of(codec: Codec, level: Level, trials: Sequence[Trial]) -> CodecMeans:
    """The means of one codec level over at least one trial."""
    psnrs_db = [trial.psnr_db for trial in trials if trial.psnr_db is not None]
    return CodecMeans(
        codec=codec.name,
        level=level.name,
        images=len(trials),
        mean_bytes=fmean(trial.size_bytes for trial in trials),
        mean_bpp=fmean(trial.rate_bpp for trial in trials),
        psnr_db=fmean(psnrs_db) if len(psnrs_db) == len(trials) else None,
        encode_ms=1e3 * fmean(trial.encode_s for trial in trials),
        decode_ms=1e3 * fmean(trial.decode_s for trial in trials),
    )
