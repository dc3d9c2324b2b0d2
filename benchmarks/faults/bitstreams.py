"""Damaged bitstreams of every codec that is ready here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.faults.damage import damaged
from benchmarks.faults.trial import FaultTrial, Verdict, call, command, judge
from eyechart.cli import BAD_INPUT, DONE
from eyechart.codecs import builtin_header, container
from eyechart.core import plugins
from eyechart.core.errors import CodecError, EyechartError, InputError, one_line
from eyechart.core.images import read_image
from eyechart.core.types import Bitstream, Codec, Level, Rgb8, is_neural

_SIZE = (72, 90)
_SLOW = 10  # a codec with weights is loaded in every try: it gets a tenth of the tries


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` tries for each codec, and as many with a corrected checksum."""
    image = sample(chance)
    for name in plugins.names("eyechart.codecs"):
        with suppress(EyechartError):
            codec: Codec = plugins.load("eyechart.codecs", name, {})
            if is_neural(codec):
                codec.check()
            level = codec.levels[len(codec.levels) // 2]
            whole = codec.encode(image, level)
            right = codec.decode(whole)
            few = max(1, count // _SLOW) if is_neural(codec) else count
            for _ in range(few):
                payload = damaged(whole.payload, chance)
                yield _try(name, codec, payload, whole, right, folder, chance)
            for _ in range(few):
                made = resealed(codec, level, whole, chance)
                if made is not None:
                    row = f"{name}, right checksum"
                    yield _try(row, codec, made, whole, right, folder, chance)


def _try(
    row: str,
    codec: Codec,
    payload: bytes,
    whole: Bitstream,
    right: Rgb8,
    folder: Path,
    chance: Random,
) -> FaultTrial:
    """As runs decode (the image's size is known) or as `codec decode` does (it is not)."""
    out, file = folder / "out.png", folder / "in.bin"
    out.unlink(missing_ok=True)
    if chance.random() < 0.5:
        file.write_bytes(payload)
        ended = command("codec", "decode", file, out, "--codec", codec.name)
        return judge(row, ended, lambda: _compared(read_image(out), right, any_size=True))
    array = folder / "out.npy"

    def decode() -> int:
        stream = Bitstream(payload=payload, height_px=whole.height_px, width_px=whole.width_px)
        try:
            np.save(array, codec.decode(stream))
        except (CodecError, InputError) as error:
            print(f"eyechart: {one_line(str(error), 280)}")
            return BAD_INPUT
        return DONE

    return judge(row, call(decode), lambda: _compared(np.load(array), right, any_size=False))


def _compared(made: Rgb8, right: Rgb8, *, any_size: bool) -> Verdict:
    if made.shape == right.shape:
        return Verdict.right if np.array_equal(made, right) else Verdict.other
    return Verdict.other if any_size else Verdict.wrong


def resealed(codec: Codec, level: Level, whole: Bitstream, chance: Random) -> bytes | None:
    """A damaged stream with a correct header; None for a codec without a checksum."""
    size = {"height_px": whole.height_px, "width_px": whole.width_px}
    with suppress(KeyError, CodecError):
        _, stream = builtin_header.unpack(codec.name, whole.payload)
        return builtin_header.pack(codec.name, damaged(stream, chance), **size).payload
    with suppress(CodecError):
        _, stream = container.unpack(codec.name, whole, [level])
        return container.pack(codec.name, level, damaged(stream, chance), **size).payload
    return None


def sample(chance: Random) -> Rgb8:
    """A slope of colours with noise."""
    height, width = _SIZE
    noise = np.random.default_rng(chance.randrange(1 << 32))
    slope = np.linspace(0, 200, width)[None, :, None] * np.array([1.0, 0.6, 0.3])
    image: Rgb8 = (slope + noise.integers(0, 55, (height, width, 3))).astype(np.uint8)
    return image
