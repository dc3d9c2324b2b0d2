"""The header before a codec's own stream, so that the payload alone decodes in a fresh process.

`pack` and `unpack` are for codecs without a file format of their own: codecs of third parties and
codecs with weights.

    +------+------------+----------+-----------+----------+-----------+---------+--------+
    | form | codec name | level    | weights   | width_px | height_px | CRC-16  | stream |
    | 1    | 2 bytes    | 1 or more| 0 or 4    | 1-4      | 1-4       | 2 bytes |        |
    +------+------------+----------+-----------+----------+-----------+---------+--------+

- form: 0xE8 + 2 * (v - 1) without weights, 1 more with weights; v is the version of the codec's
  stream, 1 to 3.
- codec name: the first bytes of sha256(name).
- level: its name, two digits in each byte ("0.008" takes 3 bytes). The name is stored instead of
  its position in the list of levels, because that list may change. It is stored instead of a hash,
  so that an error can name the level whose checkpoint is missing, and so that a level outside the
  list can be opened by its name.
- weights: the first bytes of the checkpoint's sha256 (`Level.weights`).
- sizes: LEB128. They are those of the original image; a codec that pads crops to them.
- CRC-16: of everything else. Decoders conceal damage: without a checksum, half a stream would
  decode to an image of the right size, which would be scored.

That is 16 bytes for a 224x224 image at level "0.008" of a codec with weights. The built-in video
codecs have a shorter header, see `eyechart.codecs.builtin_header`.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from eyechart.codecs.frames import check_claim
from eyechart.core.errors import CodecError, InputError
from eyechart.core.images import MAX_PIXELS
from eyechart.core.types import Bitstream, Level

CRC_BYTES = 2
_FIRST_FORM = 0xE8  # this and the next are first bytes of no file format
_VERSIONS = 3
_NAME_BYTES = 2
_WEIGHTS_BYTES = 4
_DIGITS = "0123456789.-+e"  # one half byte each
_END = 0xF
_TEXT = 0xE0  # instead of two digits: a length byte and UTF-8 follow


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFields:
    """The fields of a payload.

    level: the level's name. weights: the first 8 hex digits of the checkpoint's sha256, or "".
    stream: the codec's own stream. version: of the stream, 1 to 3.
    """

    bitstream: Bitstream
    level: str
    weights: str
    stream: bytes
    version: int


def pack(
    codec: str, level: Level, stream: bytes, *, height_px: int, width_px: int, version: int = 1
) -> Bitstream:
    """Put the header before a codec's stream.

    codec: the codec's name. height_px, width_px: size of the original image. version: of the
    codec's stream, to be raised when earlier ones cannot be decoded any more.
    Raises:
        InputError: the level's name is empty or over 255 bytes, its weights are not a sha256, or
            the version is not 1 to 3.
    """
    if not 1 <= version <= _VERSIONS:
        raise InputError(f"{codec}: version {version} of a stream; allowed: 1 to {_VERSIONS}")
    form, digest = _FIRST_FORM + 2 * (version - 1), b""
    if level.weights:
        form, digest = form + 1, _digest_start(codec, level)
    head = b"".join(
        [
            bytes([form]),
            _name_hash(codec),
            _packed_name(codec, level.name),
            digest,
            leb128(width_px),
            leb128(height_px),
        ]
    )
    payload = head + crc(head, stream) + stream
    return Bitstream(payload=payload, height_px=height_px, width_px=width_px)


def read(codec: str, payload: bytes) -> PayloadFields:
    """The fields of a payload of the codec, of any version. Needs neither levels nor weights.

    Raises:
        CodecError: a payload of another codec, cut or damaged, or a size that is not allowed.
    """
    form = payload[0] - _FIRST_FORM if payload else -1
    known = 0 <= form < 2 * _VERSIONS
    if not known or payload[1 : 1 + _NAME_BYTES] != _name_hash(codec):
        raise CodecError(f"not a payload of this codec (starts with {payload[:3]!r})", codec=codec)
    level, at = _read_name(codec, payload, 1 + _NAME_BYTES)
    weights = b""
    if form % 2:
        weights, at = payload[at : at + _WEIGHTS_BYTES], at + _WEIGHTS_BYTES
    bitstream, stream = read_size_and_stream(codec, payload, at)
    return PayloadFields(
        bitstream=bitstream,
        level=level,
        weights=weights.hex(),
        stream=stream,
        version=form // 2 + 1,
    )


def unpack(
    codec: str, bitstream: Bitstream, levels: Sequence[Level], *, version: int | None = 1
) -> tuple[Level, bytes]:
    """The level a bitstream was made at, and the codec's own stream.

    levels: those that the caller can decode: all of the codec, or the loaded one. version: of the
    stream that the caller can decode; None: any.
    Raises:
        CodecError: as `read`; a stream of another version; a size that differs from the
            bitstream's; a level that is not among `levels`; a level whose checkpoint differs from
            the encoder's.
    """
    found = read(codec, bitstream.payload)
    if version is not None and found.version != version:
        raise CodecError(
            f"the payload is of version {found.version} of this codec's bitstream, "
            f"version {version} is decoded here: encode the image again",
            codec=codec,
        )
    check_claim(bitstream, found.bitstream.height_px, found.bitstream.width_px, codec=codec)
    level = next((one for one in levels if one.name == found.level), None)
    if level is None:
        allowed = ", ".join(one.name for one in levels) or "none"
        raise CodecError(
            f"the payload was made at level {found.level!r}; levels here: {allowed}", codec=codec
        )
    here = level.weights[: 2 * _WEIGHTS_BYTES]
    if found.weights != here:
        raise CodecError(
            f"the payload was made with other weights (sha256 {found.weights or 'none'}) "
            f"than the checkpoint here (sha256 {here or 'none'})",
            codec=codec,
            level=level.name,
        )
    return level, found.stream


def read_size_and_stream(codec: str, payload: bytes, at: int) -> tuple[Bitstream, bytes]:
    """The end of every header, from byte `at`: sizes, checksum, stream. Raises CodecError."""
    width_px, at = read_leb128(codec, payload, at)
    height_px, at = read_leb128(codec, payload, at)
    if width_px < 1 or height_px < 1 or width_px * height_px > MAX_PIXELS:
        raise CodecError(f"the payload claims {width_px}x{height_px} pixels", codec=codec)
    stream = payload[at + CRC_BYTES :]
    if payload[at : at + CRC_BYTES] != crc(payload[:at], stream):
        raise CodecError("the payload is cut or damaged (checksum)", codec=codec)
    return Bitstream(payload=payload, height_px=height_px, width_px=width_px), stream


def crc(head: bytes, stream: bytes) -> bytes:
    """The checksum (CRC-16 of CCITT) of a header and its stream."""
    return binascii.crc_hqx(stream, binascii.crc_hqx(head, 0xFFFF)).to_bytes(CRC_BYTES, "big")


def leb128(value: int) -> bytes:
    """A whole number from 0 in base 128, least significant digit first."""
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | (value & 0x7F))
        value >>= 7
    return bytes([*out, value])


def read_leb128(codec: str, data: bytes, at: int) -> tuple[int, int]:
    """The number at byte `at`, and the offset of its end. Raises CodecError."""
    value = 0
    for index, byte in enumerate(data[at : at + 4]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise CodecError("the payload is cut or damaged (size field)", codec=codec)


def _name_hash(codec: str) -> bytes:
    return hashlib.sha256(codec.encode()).digest()[:_NAME_BYTES]


def _digest_start(codec: str, level: Level) -> bytes:
    try:
        digest = bytes.fromhex(level.weights)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise InputError(
            f"{codec}: the weights {level.weights!r} of level {level.name!r} are no sha256 in hex"
        )
    return digest[:_WEIGHTS_BYTES]


def _packed_name(codec: str, name: str) -> bytes:
    if name and all(char in _DIGITS for char in name):
        halves = [*(_DIGITS.index(char) for char in name), _END]
        if len(halves) % 2:
            halves.append(_END)
        return bytes(16 * high + low for high, low in zip(halves[::2], halves[1::2], strict=True))
    text = name.encode()
    if not 1 <= len(text) <= 255:
        raise InputError(f"{codec}: level {name!r}; allowed are names of 1 to 255 bytes")
    return bytes([_TEXT, len(text)]) + text


def _read_name(codec: str, data: bytes, at: int) -> tuple[str, int]:
    damaged = CodecError("the payload is cut or damaged (level field)", codec=codec)
    if data[at : at + 1] == bytes([_TEXT]):
        start = at + 2
        text = data[start : start + data[at + 1]] if len(data) > at + 1 else b""
        if not text:
            raise damaged
        return text.decode("utf-8", "replace"), start + len(text)
    name = ""
    for index, byte in enumerate(data[at:]):
        for half in (byte >> 4, byte & 0xF):
            if half == _END:
                return name, at + index + 1
            if half >= len(_DIGITS):
                raise damaged
            name += _DIGITS[half]
    raise damaged
