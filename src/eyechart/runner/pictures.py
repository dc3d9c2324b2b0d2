"""One image under one codec at one level: encoded once, decoded, and remembered on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.core.errors import CodecError
from eyechart.core.images import decode_image
from eyechart.core.types import Bitstream, Codec, Level, Rgb8, component_of
from eyechart.runner.attempt import Failed, attempt
from eyechart.store import Blobs, Store

# Decoding faster than this is not worth a file; a process start alone costs more.
SLOW_DECODE_S = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureJob:
    """What to make. codec: place in the list of codecs. image: key, for messages; digest: of rgb8.

    keep: the decoded picture may be written to disk.
    """

    codec: int
    level: Level
    rgb8: Rgb8
    image: str
    digest: str
    keep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A decoded picture of the original size, and what it cost. kept_bytes: written to disk."""

    rgb8: Rgb8
    payload_bytes: int
    kept_bytes: int = 0


class PictureMaker:
    """Makes pictures in one process; its codecs stay loaded from one picture to the next."""

    def __init__(
        self,
        codecs: Sequence[Codec],
        store: Store,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._codecs, self._clock = codecs, clock
        self._components = [component_of(codec) for codec in codecs]
        self._bitstreams: Blobs = store.bitstreams
        self._decoded: Blobs = store.decoded

    def make(self, job: PictureJob) -> Picture | Failed:
        """Encode and decode, or take from disk what was made before. Raises StoreError."""
        bitstream = attempt("encode", lambda: self._encode(job))
        if isinstance(bitstream, Failed):
            return bitstream
        return attempt("decode", lambda: self._decode(job, bitstream))

    def _encode(self, job: PictureJob) -> Bitstream:
        path = self._bitstreams.path(self._components[job.codec], job.level, job.digest)
        height_px, width_px, _ = job.rgb8.shape
        payload = self._bitstreams.get(path)
        if payload is None:
            try:
                payload = self._codecs[job.codec].encode(job.rgb8, job.level).payload
            except CodecError as error:
                raise error.named(level=job.level.name, image=job.image) from error
            self._bitstreams.put(path, payload)
        return Bitstream(payload=payload, height_px=height_px, width_px=width_px)

    def _decode(self, job: PictureJob, bitstream: Bitstream) -> Picture:
        path = self._decoded.path(self._components[job.codec], job.level, job.digest)
        size_bytes = len(bitstream.payload)
        png = self._decoded.get(path)
        if png is not None:
            return Picture(rgb8=decode_image(png, name=job.image), payload_bytes=size_bytes)
        start_s = self._clock()
        try:
            rgb8 = self._codecs[job.codec].decode(bitstream)
        except CodecError as error:
            raise error.named(level=job.level.name, image=job.image) from error
        slow = self._clock() - start_s > SLOW_DECODE_S
        if rgb8.shape != job.rgb8.shape or rgb8.dtype != np.uint8:
            raise CodecError(
                f"decoded to {rgb8.dtype} {rgb8.shape} instead of uint8 {job.rgb8.shape}",
                codec=self._components[job.codec].name,
                level=job.level.name,
                image=job.image,
            )
        if not (slow and job.keep):
            return Picture(rgb8=rgb8, payload_bytes=size_bytes)
        png = _fast_png(rgb8)
        self._decoded.put(path, png)
        return Picture(rgb8=rgb8, payload_bytes=size_bytes, kept_bytes=len(png))


def _fast_png(rgb8: Rgb8) -> bytes:
    """Lossless like any PNG; quick to write and to read, a little larger."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb8).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
