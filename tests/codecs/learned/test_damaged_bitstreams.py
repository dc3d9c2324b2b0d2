"""Damaged bitstreams of the codecs that ship: an error each, no crash and no wrong-sized image.

EYECHART_STRESS=1 damages ten thousand bitstreams a codec; the usual test run damages fewer.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.codecs.add import ARCHITECTURES
from eyechart.codecs.learned import payloads
from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.neural import NetworkCodec
from eyechart.core import plugins
from eyechart.core.errors import CodecError
from eyechart.core.types import Bitstream, Level, Rgb8
from eyechart.testing.codecs import sample_image

STRESS = bool(os.environ.get("EYECHART_STRESS"))
SHIPPED = [one for one in ARCHITECTURES.values() if one.shipped is not None]
BITSTREAMS = 10_000 if STRESS else 240
SIZES = ((16, 16), (17, 40), (48, 33))
# Codecs whose images have noise that follows from the payload. One latent with the noise of another
# payload gives images with a mean absolute difference of up to 2.5 (rdeic-mini, 50 for each size
# and level); images of other content differ by 58 or more.
WITH_NOISE = ("rdeic-mini",)
MOST_BY_NOISE = 8.0

pytestmark = pytest.mark.slow


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def cut_start(data: bytes, rng: random.Random) -> bytes:
    return data[rng.randrange(1, len(data) + 1) :]


def overwrite(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.randrange(1, 40))
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


def lengthen(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]


def noise(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(data))


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bits, cut, cut_start, overwrite, lengthen, noise,
)  # fmt: skip


@pytest.mark.parametrize("architecture", SHIPPED, ids=lambda architecture: architecture.name)
def test_damage_is_an_error(architecture: Architecture) -> None:
    """Half of the payloads are damaged as they are, half below a header that fits the damage."""
    codec: NetworkCodec = plugins.load("eyechart.codecs", architecture.name)
    rng = random.Random(0)
    images = [sample_image(*size, np.random.default_rng(1)) for size in SIZES]
    whole = [(level, codec.encode(image, level)) for level in codec.levels for image in images]
    decoded = {bitstream.payload: codec.decode(bitstream) for _, bitstream in whole}
    messages: list[str] = []
    undetected = 0
    for count in range(BITSTREAMS):
        level, bitstream = whole[count * len(whole) // BITSTREAMS]  # level by level
        damage = DAMAGES[rng.randrange(len(DAMAGES))]
        if count % 2:
            damaged = _below_header(codec, level, bitstream, damage, rng)
        else:
            damaged = damage(bitstream.payload, rng)
        if damaged == bitstream.payload:
            continue
        try:
            claimed = codec.bitstream_from_payload(damaged)
            rgb8 = codec.decode(claimed)
        except CodecError as error:
            messages.append(str(error))
            continue
        assert rgb8.shape == (claimed.height_px, claimed.width_px, 3)
        # What is added behind the end, and another size of as many blocks, leave the latent whole.
        most = MOST_BY_NOISE if codec.name in WITH_NOISE else 0
        undetected += _difference(rgb8, decoded[bitstream.payload]) > most
    assert undetected <= 1 + BITSTREAMS // 2000  # checksums of 16 bits
    assert len(messages) > BITSTREAMS // 2
    assert all("\n" not in message for message in messages)


def _difference(rgb8: Rgb8, whole: Rgb8) -> float:
    """Mean absolute difference of two images where both have pixels."""
    height_px, width_px = (min(sides) for sides in zip(rgb8.shape[:2], whole.shape, strict=False))
    cut, wanted = rgb8[:height_px, :width_px].astype(int), whole[:height_px, :width_px]
    return float(np.abs(cut - wanted).mean())


def _below_header(
    codec: NetworkCodec,
    level: Level,
    bitstream: Bitstream,
    damage: Callable[[bytes, random.Random], bytes],
    rng: random.Random,
) -> bytes:
    """The codec's own stream damaged, or another size claimed, with a checksum that fits."""
    (stream,) = payloads.strings_of(codec.name, [bitstream], level)
    height_px, width_px = bitstream.height_px, bitstream.width_px
    if rng.randrange(8):
        stream = damage(stream, rng)
    else:
        height_px, width_px = rng.randrange(1, 100), rng.randrange(1, 100)
    return payloads.pack(codec.name, level, stream, height_px=height_px, width_px=width_px).payload
