"""The short header of the built-in codecs that write raw streams (hevc, vvc, jpegxl, hm, vtm).

    +----+-----------+-----------+---------+------------------------------+
    | id | width_px  | height_px | CRC-16  | raw stream (Annex B or JXL)  |
    | 1  | 1-4 bytes | 1-4 bytes | 2 bytes |                              |
    +----+-----------+-----------+---------+------------------------------+

It is 7 bytes for a 224x224 image; a video container would be 700 to 1000. Their streams hold all
settings that a decoder needs, so no level is stored. Padding is always at the bottom and right; its
extent follows from the size. All other codecs use `eyechart.codecs.container`, which identifies the
codec by a hash instead of an id, because ids would have to be registered in this package.
"""

from __future__ import annotations

from eyechart.codecs.container import crc, leb128, read_size_and_stream
from eyechart.codecs.frames import check_claim
from eyechart.core.errors import CodecError
from eyechart.core.types import Bitstream

# First byte of a payload: which codec's stream follows. Never reuse a number.
_IDS = {"hevc": 0xE1, "vvc": 0xE2, "hm": 0xE3, "vtm": 0xE4, "jpegxl": 0xE5}


def pack(codec: str, stream: bytes, *, height_px: int, width_px: int) -> Bitstream:
    """Put the header before a raw stream."""
    head = bytes([_IDS[codec]]) + leb128(width_px) + leb128(height_px)
    payload = head + crc(head, stream) + stream
    return Bitstream(payload=payload, height_px=height_px, width_px=width_px)


def unpack(codec: str, payload: bytes) -> tuple[Bitstream, bytes]:
    """Split a payload into a Bitstream with the stored size, and the raw stream.

    Raises:
        CodecError: a payload of another codec, cut or damaged, or a size that is not allowed.
    """
    if not payload or payload[0] != _IDS[codec]:
        raise CodecError(f"not a payload of this codec (starts with {payload[:1]!r})", codec=codec)
    return read_size_and_stream(codec, payload, 1)


def stream_of(codec: str, bitstream: Bitstream) -> bytes:
    """The raw stream of a bitstream whose header has the same size. Raises CodecError."""
    found, stream = unpack(codec, bitstream.payload)
    check_claim(bitstream, found.height_px, found.width_px, codec=codec)
    return stream
