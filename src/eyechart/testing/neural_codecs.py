"""Requirements of codecs with weights beyond those of all codecs: levels, batches, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

import numpy as np

from eyechart.codecs import container
from eyechart.core.errors import CodecError
from eyechart.core.types import (
    Bitstream,
    Json,
    Level,
    LoadedCodec,
    NeuralCodec,
    Reproducible,
    Rgb8,
)
from eyechart.testing.fresh import build_again, image_sha256, payload_sha256

Checks = Mapping[str, Callable[[], list[str]]]

_THREADS = (1, 3)
_OTHER_WEIGHTS = "0123456789abcdef" * 4


def neural_checks(
    codec: NeuralCodec,
    options: Mapping[str, Json],
    images: Sequence[Rgb8],
    damage_seed: int,
    device: str = "cpu",
) -> Checks:
    """The additional checks of a NeuralCodec by name; each returns its errors.

    images: of several sizes. They are encoded in one batch. device: that levels are loaded on.
    """
    return {
        "files": lambda: _files(codec),
        "batches": lambda: _batches(codec, images, device),
        "load and close": lambda: _load_and_close(codec, images[-1], device),
        "other weights": lambda: _other_weights(codec, images[-1], device),
        "damage in batches": lambda: _damage(codec, images[-1], damage_seed, device),
        "reproducible": lambda: _reproducible(codec, options, images[-1], device),
    }


@contextmanager
def loaded(codec: NeuralCodec, level: Level, device: str) -> Iterator[LoadedCodec]:
    """One level in memory while the block runs."""
    held = codec.load(level, device)
    try:
        yield held
    finally:
        held.close()


def _files(codec: NeuralCodec) -> list[str]:
    codec.check()
    digits = set("0123456789abcdef")
    return [
        f"level {level.name}: weights {level.weights!r} are no sha256 in hex; results of another "
        "checkpoint could not be distinguished"
        for level in codec.levels
        if len(level.weights) != 64 or not set(level.weights) <= digits
    ]


def _batches(codec: NeuralCodec, images: Sequence[Rgb8], device: str) -> list[str]:
    found = []
    alone = device == "cpu"  # `encode` and `decode` compute on a CPU
    for level in codec.levels:
        with loaded(codec, level, device) as held:
            batch = held.encode(images)
            if len(batch) != len(images):
                return [f"level {level.name}: {len(images)} images gave {len(batch)} bitstreams"]
            pairs = list(zip(images, batch, strict=True))
            if [held.encode([image])[0] for image in images] != batch:
                found.append(f"level {level.name}: payloads of a batch differ from single ones")
            if alone and [codec.encode(image, level) for image in images] != batch:
                found.append(f"level {level.name}: encode differs from the loaded level's")
            decoded = held.decode(batch)
            if [rgb8.shape for rgb8 in decoded] != [image.shape for image in images]:
                found.append(f"level {level.name}: decoded images of a batch have other sizes")
            if any(
                not np.array_equal(rgb8, held.decode([bitstream])[0])
                for rgb8, (_, bitstream) in zip(decoded, pairs, strict=True)
            ):
                found.append(f"level {level.name}: images of a batch differ from single ones")
            if alone and any(
                not np.array_equal(rgb8, codec.decode(bitstream))
                for rgb8, bitstream in zip(decoded, batch, strict=True)
            ):
                found.append(f"level {level.name}: decode differs from the loaded level's")
            if held.encode([]) != [] or held.decode([]) != []:
                found.append(f"level {level.name}: an empty batch is not an empty list")
    return found


def _load_and_close(codec: NeuralCodec, image: Rgb8, device: str) -> list[str]:
    found = []
    for level in codec.levels:
        with loaded(codec, level, device) as first:
            wanted = first.encode([image])
            codec.load(level, device).close()
            if first.encode([image]) != wanted:
                found.append(f"level {level.name}: closing one copy changes another one")
        with loaded(codec, level, device) as again:
            if again.encode([image]) != wanted:
                found.append(f"level {level.name}: loaded again it gives another payload")
    return found


def _other_weights(codec: NeuralCodec, image: Rgb8, device: str) -> list[str]:
    found = []
    payloads = {level.name: codec.encode(image, level) for level in codec.levels}
    for level in codec.levels:
        refused: dict[str, Bitstream] = {
            f"a payload of level {name}": bitstream
            for name, bitstream in payloads.items()
            if name != level.name
        }
        try:
            fields = container.read(codec.name, payloads[level.name].payload)
        except CodecError:
            pass  # the codec has another header
        else:
            other = replace(level, weights=_OTHER_WEIGHTS)
            height, width, _ = image.shape
            refused["a payload of other weights"] = container.pack(
                codec.name,
                other,
                fields.stream,
                height_px=height,
                width_px=width,
                version=fields.version,
            )
        with loaded(codec, level, device) as held:
            for what, bitstream in refused.items():
                said = _outcome(held, bitstream)
                if said != "CodecError":
                    found.append(f"level {level.name}: {what} {said} instead of CodecError")
    return found


def _damage(codec: NeuralCodec, image: Rgb8, seed: int, device: str) -> list[str]:
    found = []
    rng = np.random.default_rng(seed)
    level = codec.levels[0]
    with loaded(codec, level, device) as held:
        whole = held.encode([image])[0]
        for number in range(24):
            data = bytearray(whole.payload)
            bit = int(rng.integers(8 * len(data)))
            data[bit // 8] ^= 1 << (bit % 8)
            cut = len(data) if number % 2 else int(rng.integers(len(data)))
            damaged = replace(whole, payload=bytes(data[:cut]))
            said = _outcome(held, damaged)
            if said not in ("CodecError", f"gave {image.shape}"):
                found.append(f"bit {bit} flipped, {cut} of {len(data)} bytes: {said}")
        if held.encode([image])[0] != whole:
            found.append("after damaged payloads the loaded level gives another payload")
    return found


def _outcome(held: LoadedCodec, bitstream: Bitstream) -> str:
    try:
        return f"gave {held.decode([bitstream])[0].shape}"
    except CodecError:
        return "CodecError"
    except Exception as error:  # noqa: BLE001 - to name any error of a third party's codec
        return f"raised {type(error).__name__} ({error})"


def _reproducible(
    codec: NeuralCodec, options: Mapping[str, Json], image: Rgb8, device: str
) -> list[str]:
    """Another process gives the same bytes and pixels: on the same device, or `bitwise` with any
    number of threads."""
    allowed = get_args(Reproducible)
    if codec.reproducible not in allowed:
        return [f"{codec.reproducible!r}; allowed are {', '.join(allowed)}"]
    numbers: tuple[int | None, ...] = _THREADS
    if codec.reproducible != "bitwise":
        if device == "cpu":
            return []
        numbers = (None,)
    found = []
    level = codec.levels[-1]
    with loaded(codec, level, device) as held:
        (bitstream,) = held.encode([image])
        decoded = image_sha256(held.decode([bitstream])[0])
    here = {"payload": payload_sha256(bitstream), "decoded": decoded}
    for threads in numbers:
        there = build_again(
            codec, options, bitstream, image=image, level=level, threads=threads, device=device
        )
        if isinstance(there, str):
            return [there]
        where = "in another process" if threads is None else f"with {threads} threads"
        for part, name in (("payload", "payload"), ("decoded", "decoded image")):
            if there[part] != here[part]:
                found.append(f"declared {codec.reproducible}, but {where} the {name} differs")
    return found
