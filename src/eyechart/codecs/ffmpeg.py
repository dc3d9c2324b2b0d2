"""Coding one image with the ffmpeg of the PyPI package imageio-ffmpeg, through pipes.

    rgb24 --pipe--> ffmpeg: full-range BT.709, encoder --pipe--> raw stream
    raw stream --pipe--> ffmpeg: decoder, full-range BT.709 --pipe--> PPM

The defaults of video tools are limited range and BT.601, so every scale filter here sets range and
matrix for its side. The decoder writes PPM, because the header of each frame shows its real size
and a second frame is noticed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from eyechart.codecs.process import OUTPUT, Output, ProcessLimits, run
from eyechart.core.errors import CodecError, InputError
from eyechart.core.ffmpeg import executable
from eyechart.core.types import Rgb8

TIMEOUT_S = 300.0  # for a small image on a busy machine; more is allowed per megapixel
_TIMEOUT_S_PER_MEGAPIXEL = 60.0
_DECODE_CPU_S = 10  # and as much more per megapixel
_SCALER = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")


def job_for(
    codec: str, level: str, timeout_s: float, *, height_px: int, width_px: int
) -> ProcessLimits:
    """Limits that grow with the image: time, and output of two uncompressed frames."""
    pixels = height_px * width_px
    return ProcessLimits(
        codec=codec,
        level=level,
        timeout_s=timeout_s + _TIMEOUT_S_PER_MEGAPIXEL * pixels / 1e6,
        output_limit_bytes=6 * pixels + 65_536,
    )


def encode_frame(
    rgb8: Rgb8, encoder: Sequence[str], muxer: str, job: ProcessLimits, *, yuv: str = ""
) -> bytes:
    """One image -> raw stream. yuv: pixel format to convert to (BT.709, full range), or RGB.

    Raises:
        CodecError: ffmpeg failed, hung, or wrote nothing.
    """
    height, width, _ = rgb8.shape
    to_yuv = f"scale=in_range=full:out_range=full:out_color_matrix=bt709:{_SCALER},format={yuv}"
    command = [
        *(executable(), *_QUIET, "-f", "rawvideo", "-pix_fmt", "rgb24"),
        *("-video_size", f"{width}x{height}", "-i", "pipe:0", "-frames:v", "1"),
        *(("-vf", to_yuv) if yuv else ()),
        *encoder,
        *("-threads", "1", "-f", muxer, OUTPUT),
    ]
    stream = _run_encoder(command, rgb8.tobytes(), encoder[1], job).result
    if not stream:
        raise job.error("the encoder wrote nothing")
    return stream


def _run_encoder(command: Sequence[str], feed: bytes, encoder: str, job: ProcessLimits) -> Output:
    try:
        return run(command, feed, job)
    except CodecError as error:
        # An ffmpeg without the encoder fails at its name, or at the first of its options.
        if "Unknown encoder" in error.message or "Unrecognized option" in error.message:
            raise InputError(
                f"{job.codec}: {command[0]} has no {encoder} (or an old one); "
                "pip install 'imageio-ffmpeg>=0.8', or unset IMAGEIO_FFMPEG_EXE"
            ) from error
        raise


def decode_frame(
    stream: bytes, demuxer: str, job: ProcessLimits, *, height_px: int, width_px: int, yuv: bool
) -> Rgb8:
    """Raw stream -> its only image, which must have the given (coded) size.

    Raises:
        CodecError: a damaged stream, another size, no image or several.
    """
    to_rgb = f"scale=in_range=full:out_range=full:in_color_matrix=bt709:{_SCALER},format=rgb24"
    # Coded sizes are multiples of coding units of up to 128; a damaged size may not be larger.
    most_pixels = (width_px + 128) * (height_px + 128)
    command = [
        *(executable(), *_QUIET, "-threads", "1", "-xerror", "-err_detect", "explode"),
        *("-max_pixels", str(most_pixels), "-f", demuxer, "-i", "pipe:0", "-frames:v", "2"),
        *(("-vf", to_rgb) if yuv else ("-pix_fmt", "rgb24")),
        *("-f", "image2pipe", "-c:v", "ppm", OUTPUT),
    ]
    # A crafted stream can keep a decoder busy for ever. Sound ones take less than 1 s a megapixel.
    cpu_limit_s = _DECODE_CPU_S + math.ceil(_DECODE_CPU_S * height_px * width_px / 1e6)
    ppm = run(command, stream, replace(job, cpu_limit_s=cpu_limit_s)).result
    head = b"P6\n%d %d\n255\n" % (width_px, height_px)
    pixel_bytes = 3 * height_px * width_px
    if not ppm.startswith(head) or len(ppm) != len(head) + pixel_bytes:
        raise job.error(f"did not decode to one {width_px}x{height_px} image")
    return np.frombuffer(ppm, np.uint8, offset=len(head)).reshape(height_px, width_px, 3).copy()


@cache
def version_of(codec: str, encoder: tuple[str, ...], muxer: str, yuv: str, pattern: str) -> str:
    """Versions of ffmpeg and its encoder, from their messages while coding a 16x16 image.

    pattern: finds the encoder's version in the messages; "" if it prints none (ffmpeg's own version
    then stands for the library that is built into it).
    """
    command = [
        *(executable(), "-nostdin", "-loglevel", "verbose", "-f", "rawvideo", "-pix_fmt", "rgb24"),
        *("-video_size", "16x16", "-i", "pipe:0", "-frames:v", "1", "-pix_fmt", yuv or "rgb24"),
        *encoder,
        *("-f", muxer, OUTPUT),
    ]
    job = ProcessLimits(codec=codec, timeout_s=TIMEOUT_S)
    messages = _run_encoder(command, bytes(16 * 16 * 3), encoder[1], job).messages
    ffmpeg = re.search(r"ffmpeg version (\S+)", messages)
    library = re.search(pattern, messages) if pattern else None
    parts = [library[1] if library else "", f"ffmpeg {ffmpeg[1] if ffmpeg else 'unknown'}"]
    return ", ".join(filter(None, parts))
