"""A NeuralCodec in numpy alone: a learned linear transform of 8x8 blocks, deflated.

Its two levels have checkpoints of 4 KB each in a weights folder that a test makes. `broken`
violates one requirement at a time.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eyechart.codecs import checkpoints, container
from eyechart.codecs.checkpoints import LevelFile
from eyechart.codecs.frames import check_rgb8, crop, pad_edges, padded_size
from eyechart.core.errors import CodecError
from eyechart.core.types import Bitstream, Json, Level, Reproducible, Rgb8

BLOCK = 8
STEPS = {"coarse": 90.0, "fine": 20.0}


def make_weights(folder: Path, seed: int = 0) -> Path:
    """A weights folder with both levels: a random rotation near the DCT, and a step."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    index = np.arange(BLOCK)
    dct = np.cos(np.pi * (2 * index[None] + 1) * index[:, None] / (2 * BLOCK))
    for name, step in STEPS.items():
        basis, _ = np.linalg.qr((dct + 1e-3 * rng.normal(size=dct.shape)).T)
        path = folder / f"{name}.npy"
        np.save(path, np.concatenate([basis / step, basis * step]))
        level = LevelFile(
            name=name,
            knobs={"step": step},
            file=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        checkpoints.add_level(folder, "neural-toy", level, knob="step", rate="falls")
    return folder


class NeuralToy:
    """`weights`: the folder of `make_weights`."""

    name = "neural-toy"
    version = "1"

    def __init__(self, *, weights: str, broken: str = "") -> None:
        self.folder, self.broken = Path(weights), broken
        self.options: Mapping[str, Json] = {}
        # No pickle can hold this: codecs travel by name and options.
        self.not_picklable = lambda: None
        self.reproducible: Reproducible = "bitwise"

    @property
    def levels(self) -> tuple[Level, ...]:
        levels = checkpoints.levels_of(checkpoints.read_listing(self.folder, self.name))
        if self.broken == "no digest":
            return tuple(replace(level, weights="") for level in levels)
        return levels

    def check(self) -> None:
        checkpoints.check_files(self.folder, self.name)

    def load(self, level: Level, device: str) -> LoadedToy:
        (file,) = [
            file
            for file in checkpoints.read_listing(self.folder, self.name)
            if file.name == level.name
        ]
        checkpoints.verify(self.folder / file.file, file.sha256, codec=self.name)
        return LoadedToy(np.load(self.folder / file.file), level, self.broken)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return self.load(level, "cpu").encode([rgb8])[0]

    def decode(self, bitstream: Bitstream) -> Rgb8:
        level, _ = container.unpack(self.name, bitstream, self.levels)
        return self.load(level, "cpu").decode([bitstream])[0]

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        return container.read(self.name, payload).bitstream


class LoadedToy:
    """One level: blocks @ basis / step, rounded to bytes."""

    def __init__(self, weights: np.ndarray[Any, Any], level: Level, broken: str) -> None:
        self._analysis, self._synthesis = weights[:BLOCK], weights[BLOCK:]
        self._level, self._broken = level, broken
        self._made = 0

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        made = [self._encode(image) for image in images]
        return made[::-1] if self._broken == "order" else made

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        return [self._decode(bitstream) for bitstream in bitstreams]

    def close(self) -> None:
        del self._analysis, self._synthesis

    def _encode(self, image: Rgb8) -> Bitstream:
        height, width, _ = check_rgb8(image).shape
        size = [padded_size(side, least=BLOCK, multiple=BLOCK) for side in (height, width)]
        padded = pad_edges(image, *size).astype(np.float64) - 128
        blocks = padded.reshape(size[0] // BLOCK, BLOCK, size[1] // BLOCK, BLOCK, 3)
        found = np.einsum("iyjxc,yu,xv->uvijc", blocks, self._analysis, self._analysis * 9)
        stream = zlib.compress(np.clip(np.rint(found), -128, 127).astype(np.int8).tobytes(), 9)
        # Stands for a library whose sums depend on the number of threads.
        if self._broken == "threads" and os.environ.get("OMP_NUM_THREADS") == "3":
            stream += b"3"
        if self._broken == "chance":
            self._made += 1
            stream += bytes([self._made % 256])
        return container.pack("neural-toy", self._level, stream, height_px=height, width_px=width)

    def _decode(self, bitstream: Bitstream) -> Rgb8:
        if self._broken == "any weights":
            stream = container.read("neural-toy", bitstream.payload).stream
        else:
            _, stream = container.unpack("neural-toy", bitstream, [self._level])
        rows, columns = (
            padded_size(side, least=BLOCK, multiple=BLOCK) // BLOCK
            for side in (bitstream.height_px, bitstream.width_px)
        )
        count = rows * columns * BLOCK * BLOCK * 3
        try:
            data = zlib.decompressobj().decompress(stream, count + 1)
        except zlib.error as error:
            raise CodecError(f"damaged payload ({error})", codec="neural-toy") from error
        if len(data) != count:
            raise CodecError("damaged payload (length)", codec="neural-toy")
        found = np.frombuffer(data, np.int8).reshape(BLOCK, BLOCK, rows, columns, 3)
        blocks = np.einsum("uvijc,yu,xv->iyjxc", found, self._synthesis, self._synthesis / 9)
        image = blocks.reshape(rows * BLOCK, columns * BLOCK, 3) + 128
        return crop(np.clip(np.rint(image), 0, 255).astype(np.uint8), bitstream)
