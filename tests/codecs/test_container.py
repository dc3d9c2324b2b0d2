"""The header for every codec: round trips, size, detection of damage, check of the weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.codecs.container import pack, read, unpack
from eyechart.core.errors import CodecError, InputError
from eyechart.core.types import Bitstream, Level

sides = st.integers(1, 8000)
streams = st.binary(max_size=300)
names = st.text(min_size=1, max_size=30) | st.from_regex(r"[0-9.e+-]{1,12}", fullmatch=True)
digests = st.just("") | st.binary(min_size=32, max_size=32).map(bytes.hex)
WEIGHTS = hashlib.sha256(b"weights").hexdigest()
LEVEL = Level(name="0.008", rank=0, knobs={}, weights=WEIGHTS)


@given(codec=names, name=names, weights=digests, stream=streams, height_px=sides, width_px=sides)
def test_a_payload_holds_everything_that_decoding_needs(
    codec: str, name: str, weights: str, stream: bytes, height_px: int, width_px: int
) -> None:
    level = Level(name=name, rank=0, knobs={}, weights=weights)
    packed = pack(codec, level, stream, height_px=height_px, width_px=width_px)
    found = read(codec, packed.payload)
    assert (found.bitstream, found.level, found.stream) == (packed, name, stream)
    assert weights.startswith(found.weights)
    others = [Level(name=f"{name}.", rank=1, knobs={}), level]
    assert unpack(codec, packed, others) == (level, stream)


def test_the_header_of_a_small_image_is_small() -> None:
    plain = Level(name="45", rank=0, knobs={})
    assert len(pack("elic", LEVEL, b"", height_px=224, width_px=224).payload) == 16
    assert len(pack("grey", plain, b"", height_px=224, width_px=224).payload) == 11


@given(stream=streams, height_px=sides, width_px=sides, data=st.data())
def test_every_flipped_bit_is_noticed(
    stream: bytes, height_px: int, width_px: int, data: st.DataObject
) -> None:
    payload = bytearray(pack("elic", LEVEL, stream, height_px=height_px, width_px=width_px).payload)
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(CodecError):
        read("elic", bytes(payload))


@pytest.mark.parametrize("name", ["0.008", "low", "ü" * 100])
def test_every_cut_is_noticed(name: str) -> None:
    level = Level(name=name, rank=0, knobs={}, weights=WEIGHTS)
    payload = pack("elic", level, bytes(range(256)), height_px=300, width_px=70_000).payload
    for size_bytes in range(len(payload)):
        with pytest.raises(CodecError, match="elic"):
            read("elic", payload[:size_bytes])


@given(payload=st.binary(max_size=40), form=st.sampled_from([b"", b"\xe8", b"\xe9", b"\xec"]))
def test_noise_is_refused(payload: bytes, form: bytes) -> None:
    start = pack("elic", LEVEL, b"", height_px=1, width_px=1).payload[1:3]
    with pytest.raises(CodecError):
        read("elic", form + start + payload if form else payload)


def test_another_codecs_payload_is_refused() -> None:
    packed = pack("elic", LEVEL, b"stream", height_px=2, width_px=3)
    with pytest.raises(CodecError, match="not a payload of this codec"):
        unpack("tic", packed, [LEVEL])


@pytest.mark.parametrize("level", [LEVEL, Level(name="45", rank=0, knobs={})])
def test_a_stream_of_another_version_is_refused(level: Level) -> None:
    for version in (1, 2, 3):
        packed = pack("elic", level, b"stream", height_px=2, width_px=3, version=version)
        assert read("elic", packed.payload).version == version
        assert unpack("elic", packed, [level], version=version) == (level, b"stream")
        assert unpack("elic", packed, [level], version=None) == (level, b"stream")
        other = version % 3 + 1
        with pytest.raises(CodecError, match=f"of version {version} .* version {other} is decoded"):
            unpack("elic", packed, [level], version=other)
    for version in (0, 4):
        with pytest.raises(InputError, match=f"version {version} of a stream; allowed: 1 to 3"):
            pack("elic", level, b"", height_px=2, width_px=3, version=version)


def test_a_size_over_the_pixel_limit_is_refused() -> None:
    packed = pack("elic", LEVEL, b"stream", height_px=100_000, width_px=100_000)
    with pytest.raises(CodecError, match="100000x100000"):
        unpack("elic", packed, [LEVEL])


def test_the_header_must_agree_with_the_bitstream() -> None:
    payload = pack("elic", LEVEL, b"stream", height_px=20, width_px=30).payload
    with pytest.raises(CodecError, match="30x20"):
        unpack("elic", Bitstream(payload=payload, height_px=30, width_px=20), [LEVEL])


def test_other_weights_are_refused() -> None:
    packed = pack("elic", LEVEL, b"stream", height_px=2, width_px=3)
    other = hashlib.sha256(b"retrained").hexdigest()
    retrained = Level(name="0.008", rank=0, knobs={}, weights=other)
    said = f"other weights .sha256 {WEIGHTS[:8]}. than the checkpoint here .sha256 {other[:8]}."
    with pytest.raises(CodecError, match=rf"elic level 0\.008: .*{said}"):
        unpack("elic", packed, [retrained])
    without = Level(name="0.008", rank=0, knobs={})
    with pytest.raises(CodecError, match=r"than the checkpoint here .sha256 none"):
        unpack("elic", packed, [without])
    with pytest.raises(CodecError, match=r"other weights .sha256 none"):
        unpack("elic", pack("elic", without, b"", height_px=2, width_px=3), [LEVEL])


def test_a_level_that_is_not_here_is_named() -> None:
    packed = pack("elic", LEVEL, b"stream", height_px=2, width_px=3)
    levels = [Level(name=name, rank=0, knobs={}) for name in ("0.016", "0.032")]
    with pytest.raises(CodecError, match=r"at level '0\.008'; levels here: 0\.016, 0\.032"):
        unpack("elic", packed, levels)


@pytest.mark.parametrize(
    ("level", "message"),
    [
        (Level(name="", rank=0, knobs={}), "1 to 255 bytes"),
        (Level(name="x" * 256, rank=0, knobs={}), "1 to 255 bytes"),
        (Level(name="1", rank=0, knobs={}, weights="abc"), "'abc' of level '1' are no sha256"),
        (Level(name="1", rank=0, knobs={}, weights="v1.0"), "no sha256"),
    ],
)
def test_levels_that_cannot_be_stored_are_refused(level: Level, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack("elic", level, b"", height_px=1, width_px=1)


def test_the_container_reads_in_a_fresh_process() -> None:
    packed = pack("elic", LEVEL, b"stream", height_px=2, width_px=3)
    script = (
        "import sys; from eyechart.codecs.container import read; "
        f"found = read('elic', bytes.fromhex('{packed.payload.hex()}')); "
        "print(found.level, found.weights, found.stream.decode(), found.bitstream.height_px)"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert process.stdout.decode().split() == ["0.008", WEIGHTS[:8], "stream", "2"]
