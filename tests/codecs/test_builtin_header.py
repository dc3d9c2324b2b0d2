"""The header before a raw stream: round trips, and detection of damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.codecs.builtin_header import pack, stream_of, unpack
from eyechart.core.errors import CodecError
from eyechart.core.types import Bitstream

sides = st.integers(1, 8000)
streams = st.binary(max_size=300)


@given(stream=streams, height_px=sides, width_px=sides)
def test_a_payload_holds_its_size_and_stream(stream: bytes, height_px: int, width_px: int) -> None:
    packed = pack("vvc", stream, height_px=height_px, width_px=width_px)
    assert unpack("vvc", packed.payload) == (packed, stream)


def test_the_header_of_a_small_image_has_seven_bytes() -> None:
    assert len(pack("hevc", b"", height_px=224, width_px=224).payload) == 7


@given(stream=streams, height_px=sides, width_px=sides, data=st.data())
def test_every_flipped_bit_is_noticed(
    stream: bytes, height_px: int, width_px: int, data: st.DataObject
) -> None:
    payload = bytearray(pack("hm", stream, height_px=height_px, width_px=width_px).payload)
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(CodecError):
        unpack("hm", bytes(payload))


def test_every_cut_is_noticed() -> None:
    payload = pack("vtm", bytes(range(256)) * 2, height_px=300, width_px=70_000).payload
    for size_bytes in range(len(payload)):
        with pytest.raises(CodecError, match="vtm"):
            unpack("vtm", payload[:size_bytes])


@given(payload=st.binary(max_size=40))
def test_noise_is_refused(payload: bytes) -> None:
    with pytest.raises(CodecError):
        unpack("jpegxl", payload)


def test_another_codecs_payload_is_refused() -> None:
    payload = pack("vvc", b"stream", height_px=2, width_px=3).payload
    with pytest.raises(CodecError, match="not a payload of this codec"):
        unpack("hevc", payload)


def test_a_size_over_the_pixel_limit_is_refused() -> None:
    payload = pack("vvc", b"stream", height_px=100_000, width_px=100_000).payload
    with pytest.raises(CodecError, match="100000x100000"):
        unpack("vvc", payload)


def test_the_header_must_agree_with_the_bitstream() -> None:
    payload = pack("vvc", b"stream", height_px=20, width_px=30).payload
    with pytest.raises(CodecError, match="30x20"):
        stream_of("vvc", Bitstream(payload=payload, height_px=30, width_px=20))
