"""Rates and qualities that were measured once: a wrong QP, range or header changes them."""

from __future__ import annotations

import numpy as np
import pytest

from eyechart.codecs.hevc import HevcCodec
from eyechart.codecs.vvc import VvcCodec
from eyechart.core.types import Codec
from eyechart.testing.codecs import sample_image

PHOTO = sample_image(240, 320, np.random.default_rng(11))
# codec, level, bytes, PSNR in dB; 3 QP less are 50 % more bytes and 1.5 dB
GOLDENS = [
    (HevcCodec(), "51", 418, 23.72),
    (HevcCodec(), "45", 803, 26.50),
    (HevcCodec(), "42", 1208, 27.93),
    (VvcCodec(), "53", 320, 22.79),
    (VvcCodec(), "45", 774, 26.09),
    (VvcCodec(), "42", 1132, 27.61),
]


@pytest.mark.parametrize(("codec", "name", "size_bytes", "psnr_db"), GOLDENS)
def test_rate_and_quality(codec: Codec, name: str, size_bytes: int, psnr_db: float) -> None:
    level = next(level for level in codec.levels if level.name == name)
    bitstream = codec.encode(PHOTO, level)
    decoded = codec.decode(bitstream)
    measured = 10 * np.log10(255**2 / np.mean((PHOTO.astype(float) - decoded) ** 2))
    assert len(bitstream.payload) == pytest.approx(size_bytes, rel=0.1)
    assert measured == pytest.approx(psnr_db, abs=0.4)
