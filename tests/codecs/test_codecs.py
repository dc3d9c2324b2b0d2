"""Requirements of every built-in codec on any image size, and the effect of damage."""

from __future__ import annotations

import io
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyechart.codecs import builtin_header
from eyechart.codecs.avif import AvifCodec
from eyechart.codecs.hevc import HevcCodec
from eyechart.codecs.jpeg import JpegCodec
from eyechart.codecs.jpegxl import JpegXlCodec
from eyechart.codecs.source import SourceCodec
from eyechart.codecs.vvc import VvcCodec
from eyechart.codecs.webp import WebpCodec
from eyechart.core.errors import CodecError, EyechartError, InputError
from eyechart.core.hooks import SelfDescribing
from eyechart.core.types import Bitstream, Codec, Level, Rgb8
from eyechart.testing.codecs import check_codec, sample_image

IMAGE_FILES = [SourceCodec(), JpegCodec(), WebpCodec(), AvifCodec(speed=9)]
VIDEO = [
    HevcCodec(levels=[51, 40], preset="fast"),
    VvcCodec(levels=[53, 40], preset="faster"),
    JpegXlCodec(levels=[15, 4], effort=3),
]
FINE = [
    *(JpegCodec(levels=[95]), WebpCodec(levels=[95]), AvifCodec(levels=[95], speed=9)),
    *(HevcCodec(levels=[10]), VvcCodec(levels=[10], preset="faster"), JpegXlCodec(levels=[0.5])),
]
PHOTO = sample_image(120, 160, np.random.default_rng(7))


def name_of(codec: Codec) -> str:
    return codec.name


def psnr_db(first: Rgb8, second: Rgb8) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2)))


@pytest.mark.parametrize("codec", [*IMAGE_FILES, *VIDEO], ids=name_of)
def test_it_meets_the_requirements_of_a_codec(codec: Codec) -> None:
    sizes = [(1, 1), (1, 9), (17, 33)]
    options = dict(codec.options)
    report = check_codec(codec, sizes=sizes, options=options)
    assert list(report.mean_bpp) == [level.name for level in codec.levels]


@pytest.mark.parametrize("codec", IMAGE_FILES, ids=name_of)
@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 99))
def test_any_size_round_trips(codec: Codec, height: int, width: int, seed: int) -> None:
    comes_back(codec, height, width, seed)


@pytest.mark.parametrize("codec", VIDEO, ids=name_of)
@settings(max_examples=6, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 99))
def test_any_size_round_trips_through_a_process(
    codec: Codec, height: int, width: int, seed: int
) -> None:
    comes_back(codec, height, width, seed)


def comes_back(codec: Codec, height: int, width: int, seed: int) -> None:
    rgb8 = sample_image(height, width, np.random.default_rng(seed))
    bitstream = codec.encode(rgb8, codec.levels[-1])
    assert bitstream.bpp == 8 * len(bitstream.payload) / (height * width)
    assert isinstance(codec, SelfDescribing)
    assert codec.bitstream_from_payload(bitstream.payload) == bitstream
    assert codec.decode(bitstream).shape == rgb8.shape


@pytest.mark.parametrize("codec", VIDEO, ids=name_of)
def test_long_thin_images_round_trip(codec: Codec) -> None:
    rgb8 = sample_image(2, 1500, np.random.default_rng(1))
    assert codec.decode(codec.encode(rgb8, codec.levels[0])).shape == rgb8.shape


@pytest.mark.parametrize("size", [(16, 4300), (5, 4209), (4300, 20)])
def test_hevc_takes_long_strips(size: tuple[int, int]) -> None:
    codec = HevcCodec(preset="ultrafast")
    rgb8 = sample_image(*size, np.random.default_rng(1))
    assert codec.decode(codec.encode(rgb8, codec.levels[0])).shape == rgb8.shape


@pytest.mark.parametrize("mode", ["RGBA", "L"])
@pytest.mark.parametrize("codec", [WebpCodec(), AvifCodec(), SourceCodec()], ids=name_of)
def test_what_the_encoder_never_writes_is_refused_before_decoding(codec: Codec, mode: str) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    formats = {"webp": "WEBP", "avif": "AVIF", "source": "PNG"}
    Image.new(mode, (20, 10), 77).save(buffer, format=formats[codec.name], lossless=True)
    payload = buffer.getvalue()
    with Image.open(io.BytesIO(payload)) as opened:
        if opened.mode == "RGB":
            pytest.skip("the format stores this as RGB")
    with pytest.raises(CodecError, match=f"claims 20x10 {mode}"):
        codec.decode(Bitstream(payload=payload, height_px=10, width_px=20))


def test_source_is_lossless() -> None:
    codec = SourceCodec()
    assert np.array_equal(codec.decode(codec.encode(PHOTO, codec.levels[0])), PHOTO)


@pytest.mark.parametrize("codec", FINE, ids=name_of)
def test_flat_colours_keep_their_colour(codec: Codec) -> None:
    # A wrong range moves white by 20, a wrong matrix moves green by 25.
    for colour in ([255, 255, 255], [0, 0, 0], [40, 200, 60], [200, 30, 40], [30, 60, 210]):
        rgb8 = np.full((32, 32, 3), colour, np.uint8)
        decoded = codec.decode(codec.encode(rgb8, codec.levels[-1]))
        assert np.abs(decoded.astype(int).mean(axis=(0, 1)) - colour).max() <= 4, colour


@pytest.mark.parametrize("codec", [*IMAGE_FILES, *VIDEO], ids=name_of)
def test_a_codec_can_be_sent_to_workers(codec: Codec) -> None:
    again: Codec = pickle.loads(pickle.dumps(codec))
    assert (again.name, again.options, again.levels) == (codec.name, codec.options, codec.levels)


@pytest.mark.parametrize("codec", VIDEO, ids=name_of)
def test_damage_behind_a_right_checksum(codec: Codec) -> None:
    # The checksum keeps damaged streams from the decoder; here the decoder itself is shown some.
    rng = np.random.default_rng(3)
    whole = codec.encode(PHOTO, codec.levels[-1])
    stream = builtin_header.stream_of(codec.name, whole)
    damaged = []
    if codec.name != "jpegxl":  # there only the checksum and the time limit help
        damaged += [stream[:cut] for cut in (0, 5, 60, len(stream) // 2, len(stream) - 1)]
    for bit in rng.integers(8 * len(stream), size=4):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << (bit % 8)
        damaged.append(bytes(flipped))
    for data in damaged:
        packed = builtin_header.pack(codec.name, data, height_px=120, width_px=160)
        with suppress(CodecError):
            assert codec.decode(packed).shape == PHOTO.shape


@pytest.mark.parametrize("codec", VIDEO, ids=name_of)
@pytest.mark.parametrize("size", [(160, 120), (118, 160), (1, 1), (1200, 1600)])
def test_a_header_with_a_wrong_size_is_refused(codec: Codec, size: tuple[int, int]) -> None:
    stream = builtin_header.stream_of(codec.name, codec.encode(PHOTO, codec.levels[0]))
    lie = builtin_header.pack(codec.name, stream, height_px=size[0], width_px=size[1])
    with pytest.raises(CodecError):
        codec.decode(lie)


@pytest.mark.parametrize("codec", IMAGE_FILES, ids=name_of)
def test_a_bitstream_with_a_wrong_size_is_refused(codec: Codec) -> None:
    payload = codec.encode(PHOTO, codec.levels[0]).payload
    with pytest.raises(CodecError, match="160x120"):
        codec.decode(Bitstream(payload=payload, height_px=160, width_px=120))


@pytest.mark.parametrize("codec", IMAGE_FILES, ids=name_of)
def test_damaged_files_end_in_an_error_or_an_image(codec: Codec) -> None:
    rng = np.random.default_rng(5)
    whole = codec.encode(PHOTO[:40, :56], codec.levels[-1])
    for _ in range(150):
        data = bytearray(whole.payload)
        bit = int(rng.integers(8 * len(data)))
        data[bit // 8] ^= 1 << (bit % 8)
        cut = len(data) if rng.random() < 0.7 else int(rng.integers(len(data)))
        try:
            decoded = codec.decode(Bitstream(payload=bytes(data[:cut]), height_px=40, width_px=56))
        except CodecError:
            continue
        assert decoded.shape == (40, 56, 3)


def test_a_bomb_is_refused_before_a_pixel_is_decoded() -> None:
    from PIL import Image

    codec = SourceCodec()
    payload = bytearray(codec.encode(PHOTO, codec.levels[0]).payload)
    payload[16:24] = (60_000).to_bytes(4, "big") * 2  # IHDR's width and height
    with pytest.raises(CodecError):
        codec.bitstream_from_payload(bytes(payload))
    assert Image.MAX_IMAGE_PIXELS is not None


def test_an_image_over_the_limit_is_refused() -> None:
    huge = np.broadcast_to(np.zeros(3, np.uint8), (8001, 8000, 3))
    for codec in (*IMAGE_FILES, *VIDEO):
        with pytest.raises(InputError, match="8000x8001"):
            codec.encode(huge, codec.levels[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: JpegCodec(levels=[]), "jpeg: levels=.*1 to 100"),
        (lambda: JpegCodec(levels=[0]), "quality 0 .*1 to 100"),
        (lambda: JpegCodec(levels=[3, 3]), "twice"),
        (lambda: JpegCodec(levels="abc"), "levels='abc'"),
        (lambda: JpegCodec(levels=[True]), "quality True"),
        (lambda: JpegCodec(subsampling="4:1:1"), "4:4:4, 4:2:2, 4:2:0"),
        (lambda: JpegCodec(optimize="yes"), "optimize 'yes'; allowed are true and false"),
        (lambda: HevcCodec(levels=[52]), "qp 52.*0 to 51"),
        (lambda: HevcCodec(preset="quick"), "preset 'quick'.*slow"),
        (lambda: VvcCodec(levels=[64]), "qp 64.*0 to 63"),
        (lambda: VvcCodec(levels=[42.5]), r"qp 42\.5"),
        (lambda: VvcCodec(preset="veryslow"), "preset 'veryslow'.*medium"),
        (lambda: JpegXlCodec(levels=[16]), r"distance 16.*0\.1 to 15"),
        (lambda: JpegXlCodec(effort=0), "effort 0.*1 to 9"),
        (lambda: WebpCodec(method=7), "method 7.*0 to 6"),
        (lambda: AvifCodec(speed=11), "speed 11.*0 to 10"),
    ],
)
def test_options_out_of_range_name_the_allowed_values(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InputError, match=message):
        make()


def test_levels_are_named_by_their_value_lowest_rate_first() -> None:
    assert [level.name for level in JpegCodec(levels=[30, 1, 10]).levels] == ["1", "10", "30"]
    assert [level.name for level in HevcCodec().levels] == ["51", "49", "45", "42"]
    assert [level.name for level in VvcCodec().levels] == ["53", "49", "45", "42"]
    assert [level.name for level in JpegXlCodec(levels=[0.5, 12]).levels] == ["12", "0.5"]
    assert [level.rank for level in VvcCodec().levels] == [0, 1, 2, 3]


@pytest.mark.parametrize("codec", [JpegCodec(), *VIDEO], ids=name_of)
def test_another_codecs_level_is_refused(codec: Codec) -> None:
    with pytest.raises(InputError, match=f"{codec.name}: level 'q9' has no"):
        codec.encode(PHOTO, Level(name="q9", rank=0, knobs={"elephant": 9}))


def test_jpeg_options_change_the_bits() -> None:
    plain, small = JpegCodec(), JpegCodec(optimize=True)
    fine = JpegCodec(subsampling=444)
    level = plain.levels[0]
    sizes = [len(codec.encode(PHOTO, level).payload) for codec in (small, plain, fine)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert np.array_equal(
        plain.decode(plain.encode(PHOTO, level)), small.decode(small.encode(PHOTO, level))
    )


def test_jpegs_header_is_most_of_a_small_images_rate() -> None:
    codec = JpegCodec()
    flat = np.full((8, 8, 3), 128, np.uint8)
    assert 620 <= len(codec.encode(flat, codec.levels[0]).payload) <= 640


@pytest.mark.parametrize("codec", [*IMAGE_FILES, *VIDEO], ids=name_of)
def test_versions_name_the_libraries(codec: Codec) -> None:
    assert any(char.isdigit() for char in codec.version)
    library = "pillow" if codec in IMAGE_FILES else "ffmpeg"
    assert library in codec.version
    if codec.name in ("hevc", "vvc"):
        assert codec.version.split()[1][0].isdigit()  # the encoder's own, not only ffmpeg's


def test_constructors_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    for codec in (HevcCodec(), VvcCodec(), JpegXlCodec()):
        assert codec.options


def test_a_missing_ffmpeg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    codec = VvcCodec()
    with pytest.raises(EyechartError, match="ffmpeg"):
        codec.encode(PHOTO, codec.levels[0])


@pytest.mark.parametrize("complaint", ["Unknown encoder 'libvvenc'", "Unrecognized option 'qpa'."])
def test_an_ffmpeg_without_the_encoder_is_named(
    complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text(f'#!/bin/sh\necho "{complaint}" >&2\nexit 8\n')
    old.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(old))
    codec = VvcCodec(preset="slower")  # a preset whose version no other test has asked for
    with pytest.raises(InputError, match=r"has no libvvenc .*imageio-ffmpeg>=0\.8"):
        codec.encode(PHOTO, codec.levels[0])
    with pytest.raises(InputError, match="has no libvvenc"):
        assert codec.version
