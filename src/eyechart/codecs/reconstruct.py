"""Encoding and decoding images with a codec: the only place that calls one.

    images -> stored bitstreams?     -> encode what is missing
           -> stored decoded images? -> decode the others      -> store what is new

Runs, adapter training, examples, exports and the command line all reconstruct images here. `make`
neither reads nor writes a file, for workers: the main process looks up and stores.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from eyechart.codecs.one_by_one import OneByOne
from eyechart.core import plugins
from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import CodecError, InputError, one_line
from eyechart.core.hooks import EstimatesRate, SelfDescribing, restores_size
from eyechart.core.identity import image_digest
from eyechart.core.images import decode_image, encode_png
from eyechart.core.records import Stage
from eyechart.core.types import (
    Bitstream,
    Codec,
    Component,
    Level,
    LoadedCodec,
    Rgb8,
    component_of,
    is_neural,
)
from eyechart.store import StoredImage, StoredImages

# If a codec without weights decodes an image faster than this, the decoded image is not stored,
# because reading it would take as long. Those of codecs with weights are always stored, for the
# VLMs and adapters that use them later.
SLOW_DECODE_S = 0.03
BATCH_IMAGES = 8
_MOST_BATCH_IMAGES = 1 << 16

_B = TypeVar("_B")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """An uncompressed image. rgb8: of this shape, or (0, 0, 3) where its bitstream is stored. name:
    for messages. digest: `core.identity.image_digest` of it."""

    rgb8: Rgb8
    name: str
    digest: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, rgb8: Rgb8, name: str) -> SourceImage:
        """An image whose digest is computed here."""
        return cls(rgb8=rgb8, name=name, digest=image_digest(rgb8), shape=rgb8.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """An image after encoding and decoding.

    rgb8: of the original size, or smaller (`core.hooks.Resizing`). encode_s, decode_s: seconds for
    this image, 0 if it was stored.
    png: the decoded image as a new file, if it is worth storing; else empty.
    """

    rgb8: Rgb8
    bitstream: Bitstream
    encode_s: float = 0.0
    decode_s: float = 0.0
    png: bytes = field(default=b"", repr=False)

    @property
    def payload_bytes(self) -> int:
        """Size of the bitstream."""
        return len(self.bitstream.payload)

    def new(self, before: StoredImage) -> StoredImage:
        """The parts to store that were not stored before."""
        payload = self.bitstream.payload if before.payload is None else None
        return StoredImage(payload=payload, png=self.png or None)


class Reconstructor:
    """Reconstructs images in one process; one level of one codec with weights stays in memory.

    stored: what `reconstruct` looks up and adds to; None: it stores nothing.
    device, batch_images: for codecs with weights. clock: seconds.
    """

    def __init__(
        self,
        stored: StoredImages | None = None,
        *,
        device: str = "cpu",
        batch_images: int = BATCH_IMAGES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._stored = stored
        self._device, self._batch_images, self._clock = device, batch_images, clock
        self._loaded: tuple[Codec, Level, LoadedCodec] | None = None

    def reconstruct(
        self,
        codec: Codec,
        level: Level,
        images: Sequence[SourceImage],
        *,
        keep: bool = True,
        component: Component | None = None,
        encode: bool = True,
    ) -> list[DecodedImage | Failed]:
        """Encode and decode images at a level; results in order. An error affects only its image.

        keep: decoded images may be stored. component: the codec's identity, if it is known.
        encode: False uses stored bitstreams only.

        Raises:
            StoreError: the folder cannot be read or written.
        """
        component = component or _component(codec)
        if self._stored is None:
            return self.make(codec, level, images, component=component, encode=encode)
        found = [self._stored.get(component, level, image.digest) for image in images]
        made = self.make(codec, level, images, found, keep=keep, component=component, encode=encode)
        for image, before, result in zip(images, found, made, strict=True):
            if isinstance(result, DecodedImage):
                self._stored.add(component, level, image.digest, result.new(before))
        return made

    def make(
        self,
        codec: Codec,
        level: Level,
        images: Sequence[SourceImage],
        found: Sequence[StoredImage] = (),
        *,
        keep: bool = False,
        component: Component | None = None,
        encode: bool = True,
    ) -> list[DecodedImage | Failed]:
        """As `reconstruct`, without files. found: what is stored of each image; (): nothing.

        keep: results contain decoded images that are worth storing as files.
        """
        made = _Batch(
            images=images,
            found=found or [StoredImage()] * len(images),
            component=component or _component(codec),
            level=level,
        )
        bitstreams = self._encoded(codec, made, encode=encode)
        return self._decoded_of(codec, made, bitstreams, keep=keep)

    def estimate_bits(
        self, codec: Codec, level: Level, images: Sequence[SourceImage]
    ) -> list[float | None]:
        """Estimated bits of each image from the likelihoods; None for codecs without them."""
        loaded = attempt("encode", lambda: self._load(codec, level))
        if isinstance(loaded, Failed) or not isinstance(loaded, EstimatesRate):
            return [None] * len(images)
        found: list[float | None] = []
        for image in images:
            bits = attempt("encode", lambda rgb8=image.rgb8: loaded.estimate_bits([rgb8]))  # type: ignore[misc]
            found.append(None if isinstance(bits, Failed) else bits[0])
        return found

    def close(self) -> None:
        """Free the level in memory. An error of its `close` affects no other level or codec."""
        held, self._loaded = self._loaded, None
        if held is not None:
            attempt("decode", lambda: held[2].close())  # reading `close` can fail, too

    def _encoded(
        self, codec: Codec, made: _Batch, *, encode: bool
    ) -> list[tuple[Bitstream, float] | Failed]:
        found: dict[int, tuple[Bitstream, float] | Failed] = {}
        missing = []
        for place, (image, stored) in enumerate(zip(made.images, made.found, strict=True)):
            if stored.payload is not None:
                found[place] = (_bitstream(stored.payload, image), 0.0)
            elif encode:
                missing.append(place)
            else:
                found[place] = _failed("encode", made, image, "its bitstream is not stored")

        def call(places: list[int]) -> list[tuple[Bitstream, float]]:
            start_s = self._clock()
            loaded = self._load(codec, made.level)
            streams = loaded.encode([made.images[place].rgb8 for place in places])
            took_s = (self._clock() - start_s) / len(places)
            return [
                (_bitstream(_checked(made, stream.payload), made.images[place]), took_s)
                for place, stream in zip(places, streams, strict=True)
            ]

        for place, result in self._in_batches("encode", codec, made, missing, call):
            found[place] = result
        return [found[place] for place in range(len(made.images))]

    def _decoded_of(
        self,
        codec: Codec,
        made: _Batch,
        bitstreams: Sequence[tuple[Bitstream, float] | Failed],
        *,
        keep: bool,
    ) -> list[DecodedImage | Failed]:
        found: dict[int, DecodedImage | Failed] = {}
        streams: dict[int, Bitstream] = {}
        for place, (image, encoded) in enumerate(zip(made.images, bitstreams, strict=True)):
            if isinstance(encoded, Failed):
                found[place] = encoded
                continue
            png = made.found[place].png
            if png is None:
                streams[place] = encoded[0]
                continue
            rgb8 = decode_image(png, name=image.name)
            found[place] = DecodedImage(rgb8=rgb8, bitstream=encoded[0], encode_s=encoded[1])

        def call(places: list[int]) -> list[tuple[Rgb8, float]]:
            start_s = self._clock()
            loaded = self._load(codec, made.level)
            decoded = loaded.decode([streams[place] for place in places])
            took_s = (self._clock() - start_s) / len(places)
            for place, rgb8 in zip(places, decoded, strict=True):
                _check_size(codec, made, made.images[place], rgb8)
            return [(rgb8, took_s) for rgb8 in decoded]

        for place, result in self._in_batches("decode", codec, made, list(streams), call):
            if isinstance(result, Failed):
                found[place] = result
                continue
            encoded = bitstreams[place]
            assert not isinstance(encoded, Failed)
            rgb8, took_s = result
            slow = is_neural(codec) or took_s > SLOW_DECODE_S
            found[place] = DecodedImage(
                rgb8=rgb8,
                bitstream=encoded[0],
                encode_s=encoded[1],
                decode_s=took_s,
                png=encode_png(rgb8, fast=True) if keep and slow else b"",
            )
        return [found[place] for place in range(len(made.images))]

    def _in_batches(
        self,
        stage: Stage,
        codec: Codec,
        made: _Batch,
        places: list[int],
        call: Callable[[list[int]], list[_B]],
    ) -> list[tuple[int, _B | Failed]]:
        """The call's results by place. A batch that fails, for lack of memory or because of one
        image, is halved until only images that fail alone are left."""
        size = self._batch_images if is_neural(codec) else 1
        # Loaded before the halving, so that an unreadable level is not tried again for every image.
        loaded = attempt(stage, lambda: self._load(codec, made.level)) if places else None
        if isinstance(loaded, Failed):
            return [(place, _named(loaded, made, made.images[place])) for place in places]
        waiting = [places[at : at + size] for at in range(0, len(places), size)]
        done: list[tuple[int, _B | Failed]] = []
        while waiting:
            batch = waiting.pop(0)
            results = attempt(stage, lambda batch=batch: call(batch))  # type: ignore[misc]
            if not isinstance(results, Failed):
                done += zip(batch, results, strict=True)
            elif len(batch) == 1:
                done.append((batch[0], _named(results, made, made.images[batch[0]])))
            else:
                _free_memory()
                middle = len(batch) // 2
                waiting[:0] = [batch[:middle], batch[middle:]]
        return done

    def _load(self, codec: Codec, level: Level) -> LoadedCodec:
        if not is_neural(codec):
            return OneByOne(codec, level)
        if self._loaded is None or self._loaded[:2] != (codec, level):
            self.close()  # before the next one is read, because both may not fit in memory
            self._loaded = (codec, level, codec.load(level, self._device))
        return self._loaded[2]


def check_batch(images: int | None) -> int:
    """Images in one call of a codec with weights; None: `BATCH_IMAGES`. Raises InputError."""
    if images is not None and not 1 <= images <= _MOST_BATCH_IMAGES:
        shown = one_line(str(images), 60)
        raise InputError(f"codec_batch is {shown}; allowed: 1 to {_MOST_BATCH_IMAGES:,}")
    return images or BATCH_IMAGES


def reconstruct_one(codec: Codec, level: Level, image: SourceImage) -> DecodedImage:
    """Encode and decode one image. Raises CodecError or another EyechartError."""
    reconstructor = Reconstructor()
    try:
        (made,) = reconstructor.reconstruct(codec, level, [image])
    finally:
        reconstructor.close()
    return made.raise_error() if isinstance(made, Failed) else made


def decode_payload(codec: Codec, payload: bytes, name: str) -> Rgb8:
    """The image in a payload of any level. name: for messages.

    Raises:
        CodecError: damaged, or of another codec. InputError: the codec cannot decode a payload
            without its size.
    """
    if not isinstance(codec, SelfDescribing):
        raise InputError(
            f"{plugins.name_of(codec)}: cannot decode a payload alone "
            "(no method bitstream_from_payload)"
        )
    decoded = attempt(
        "decode",
        lambda: codec.decode(codec.bitstream_from_payload(payload)),
        plugins.name_of(codec),
    )
    if isinstance(decoded, Failed):
        if isinstance(decoded.error, CodecError):
            raise decoded.error.named(image=name)
        decoded.raise_error()
    return decoded


def _component(codec: Codec) -> Component:
    with plugins.guarded(plugins.name_of(codec)):
        return component_of(codec)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Images under one codec at one level, and what is stored of them."""

    images: Sequence[SourceImage]
    found: Sequence[StoredImage]
    component: Component
    level: Level


def _free_memory() -> None:
    """Free the memory that torch keeps after a failed batch; otherwise half a batch may not fit
    either. This module does not import torch; it is loaded if the codec uses it."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _bitstream(payload: bytes, image: SourceImage) -> Bitstream:
    return Bitstream(payload=payload, height_px=image.shape[0], width_px=image.shape[1])


def _checked(made: _Batch, payload: bytes) -> bytes:
    if not isinstance(payload, bytes):
        message = f"encoded to a payload of type {type(payload).__name__}, not bytes"
        raise CodecError(message, codec=made.component.name)
    return payload


def _check_size(codec: Codec, made: _Batch, image: SourceImage, rgb8: Rgb8) -> None:
    shape, original = rgb8.shape, image.shape
    handed_on = not restores_size(codec) and len(shape) == 3 and shape[2] == original[2]
    smaller = handed_on and shape[0] <= original[0] and shape[1] <= original[1]
    if rgb8.dtype != np.uint8 or not (shape == original or smaller):
        raise CodecError(
            f"decoded to {rgb8.dtype} {rgb8.shape} instead of uint8 {original}",
            codec=made.component.name,
        )


def _failed(stage: Stage, made: _Batch, image: SourceImage, message: str) -> Failed:
    def fail() -> Failed:
        raise CodecError(message, codec=made.component.name)

    return _named(attempt(stage, fail), made, image)


def _named(failed: Failed, made: _Batch, image: SourceImage) -> Failed:
    """A failure with the level and the image, which the codec does not know."""
    if failed.trace:
        where = f"{made.component.name} level {made.level.name} image {image.name}"
        return replace(failed, message=f"{where}: {failed.message}")
    if not isinstance(failed.error, CodecError):
        return failed
    error = failed.error.named(level=made.level.name, image=image.name)
    return replace(failed, error=error, message=str(error))
