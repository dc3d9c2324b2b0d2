"""The few bytes before a raw video stream, so that the payload alone decodes.

    +----+-----------+------------+----------+------------------------------+
    | id | width_px  | height_px  | CRC-16   | raw stream (Annex B or JXL)  |
    | 1  | 1-4 bytes | 1-4 bytes  | 2 bytes  |                              |
    +----+-----------+------------+----------+------------------------------+

Sizes are LEB128. The crop is not stored: padding is always at the bottom and right, and how much
follows from the size. 7 bytes for a 224x224 picture; a video container would be 700 to 1000.

The checksum covers everything else. Video decoders conceal damage: without it a stream that was
cut in half would come back as a picture of the right size, and be scored.
"""

from __future__ import annotations

import binascii
from typing import Protocol, runtime_checkable

from eyechart.codecs.frames import check_claim
from eyechart.core.errors import CodecError
from eyechart.core.images import MAX_PIXELS
from eyechart.core.types import Bitstream

# First byte of a payload: which codec's stream follows. Never reuse a number.
_IDS = {"hevc": 0xE1, "vvc": 0xE2, "hm": 0xE3, "vtm": 0xE4, "jpegxl": 0xE5}
_CRC_BYTES = 2


@runtime_checkable
class SelfDescribing(Protocol):
    """A codec that can tell a picture's size from a payload (needed to decode a file alone)."""

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        """Raises CodecError if the payload is not one of this codec's."""
        ...


def pack(codec: str, stream: bytes, *, height_px: int, width_px: int) -> Bitstream:
    """Put the header before a raw stream."""
    head = bytes([_IDS[codec]]) + _leb128(width_px) + _leb128(height_px)
    payload = head + _crc(head, stream) + stream
    return Bitstream(payload=payload, height_px=height_px, width_px=width_px)


def unpack(codec: str, payload: bytes) -> tuple[Bitstream, bytes]:
    """Payload -> what it says about itself, and the raw stream.

    Raises:
        CodecError: another codec's, cut, damaged, or a size that is not allowed.
    """
    if not payload or payload[0] != _IDS[codec]:
        raise CodecError(f"not a payload of this codec (starts with {payload[:1]!r})", codec=codec)
    width_px, at = _read_leb128(codec, payload, 1)
    height_px, at = _read_leb128(codec, payload, at)
    if width_px < 1 or height_px < 1 or width_px * height_px > MAX_PIXELS:
        raise CodecError(f"the payload claims {width_px}x{height_px} pixels", codec=codec)
    stream = payload[at + _CRC_BYTES :]
    if payload[at : at + _CRC_BYTES] != _crc(payload[:at], stream):
        raise CodecError("the payload is cut or damaged (checksum)", codec=codec)
    return Bitstream(payload=payload, height_px=height_px, width_px=width_px), stream


def stream_of(codec: str, bitstream: Bitstream) -> bytes:
    """The raw stream, once its header agrees with the Bitstream. Raises CodecError."""
    found, stream = unpack(codec, bitstream.payload)
    check_claim(bitstream, found.height_px, found.width_px, codec=codec)
    return stream


def _crc(head: bytes, stream: bytes) -> bytes:
    return binascii.crc_hqx(stream, binascii.crc_hqx(head, 0xFFFF)).to_bytes(_CRC_BYTES, "big")


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | (value & 0x7F))
        value >>= 7
    return bytes([*out, value])


def _read_leb128(codec: str, data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + 4]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise CodecError("the payload is cut or damaged (size field)", codec=codec)
