"""Sizes, target rates and chains: settings that every codec has."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyechart.codecs import open_codec
from eyechart.codecs.levels import choose_level
from eyechart.codecs.reconstruct import Reconstructor, SourceImage, reconstruct_one
from eyechart.core.attempt import Failed
from eyechart.core.errors import CodecError, InputError, PluginError
from eyechart.core.hooks import facts_of, restores_size
from eyechart.core.types import Rgb8, component_of, is_neural
from eyechart.store import StoredImages
from eyechart.testing.codecs import check_codec, sample_image

PHOTO = sample_image(120, 160, np.random.default_rng(3))
SOURCE = SourceImage.of(PHOTO, "photo")


def pillow(rgb8: Rgb8, form: str, **settings: object) -> tuple[bytes, Rgb8]:
    buffer = io.BytesIO()
    Image.fromarray(rgb8).save(buffer, form, **settings)
    return buffer.getvalue(), np.asarray(Image.open(buffer).convert("RGB"))


def test_levels_and_sizes_make_a_grid_named_by_what_they_are() -> None:
    codec = open_codec("jpeg:quality=[30,50],long_side=[80,40]")
    assert [level.name for level in codec.levels] == ["q30@40", "q50@40", "q30@80", "q50@80"]
    assert [level.rank for level in codec.levels] == [0, 1, 2, 3]
    assert [level.name for level in open_codec("hevc:qp=[45],long_side=40").levels] == ["qp45@40"]
    assert [level.name for level in open_codec("jpegxl:distance=3,long_side=40").levels] == [
        "d3@40"
    ]
    assert codec.name == "jpeg"


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("jpeg:quality=[30,50]", "jpeg:levels=[30,50]"),
        ("jpeg:75", "jpeg:levels=[75]"),
        ("jpeg:75,optimize=true", "jpeg:levels=[75],optimize=true"),
        ("hevc:qp=45", "hevc:levels=[45]"),
    ],
)
def test_a_level_can_be_named_by_its_setting(spec: str, same: str) -> None:
    codec, other = open_codec(spec), open_codec(same)
    assert tuple(codec.levels) == tuple(other.levels)
    assert component_of(codec) == component_of(other)  # the cells are those of before


def test_a_restored_size_meets_the_requirements_of_a_codec() -> None:
    codec = open_codec("webp:long_side=16")
    report = check_codec(codec, sizes=[(1, 1), (17, 33)], options=dict(codec.options))
    assert "fresh process" in report.passed


@pytest.mark.parametrize(
    "spec", ["jpeg:50,long_side=12", "hevc:levels=[45],preset=fast,long_side=9"]
)
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (17, 33)])
def test_any_size_is_restored(spec: str, size: tuple[int, int]) -> None:
    codec = open_codec(spec)
    rgb8 = sample_image(*size, np.random.default_rng(1))
    payload = codec.encode(rgb8, codec.levels[0]).payload
    bitstream = codec.bitstream_from_payload(payload)
    assert (bitstream.height_px, bitstream.width_px) == size
    assert codec.decode(bitstream).shape == rgb8.shape


def test_a_codec_with_weights_stays_one() -> None:
    codec = open_codec("tic-mini:long_side=40")
    assert is_neural(codec)
    assert facts_of(codec) == facts_of(open_codec("tic-mini"))
    level = codec.levels[0]
    assert level.name.endswith("@40")
    assert level.weights
    made = reconstruct_one(codec, level, SOURCE)
    small = np.asarray(Image.fromarray(PHOTO).resize((40, 30), Image.Resampling.LANCZOS))
    plain = open_codec("tic-mini")
    inside = plain.encode(small, plain.levels[0]).payload
    assert made.bitstream.payload.endswith(inside)
    assert made.rgb8.shape == PHOTO.shape


def test_an_image_that_is_not_restored_is_handed_on_and_its_payload_is_a_file() -> None:
    codec = open_codec("jpeg:quality=50,long_side=80,restore=false")
    assert not restores_size(codec)
    made = reconstruct_one(codec, codec.levels[0], SOURCE)
    assert made.rgb8.shape == (60, 80, 3)
    assert Image.open(io.BytesIO(made.bitstream.payload)).size == (80, 60)
    assert made.bitstream.bpp == 8 * made.payload_bytes / (120 * 160)  # original pixels
    again = open_codec("jpeg:restore=false")  # as from the options in a cell
    assert component_of(again) == component_of(codec)
    assert np.array_equal(again.decode(made.bitstream), made.rgb8)


def test_a_smaller_image_is_not_enlarged() -> None:
    codec = open_codec("jpeg:quality=50,long_side=999,restore=false")
    plain = open_codec("jpeg:quality=50")
    made = codec.encode(PHOTO, codec.levels[0])
    assert made.payload == plain.encode(PHOTO, plain.levels[0]).payload


def test_stored_images_are_found_again(tmp_path: Path) -> None:
    codec = open_codec("jpeg:quality=50,long_side=80,restore=false")
    (first,) = Reconstructor(StoredImages(tmp_path)).reconstruct(codec, codec.levels[0], [SOURCE])
    found = Reconstructor(StoredImages(tmp_path))
    (second,) = found.reconstruct(codec, codec.levels[0], [SOURCE], encode=False)
    assert not isinstance(first, Failed)
    assert not isinstance(second, Failed)
    assert np.array_equal(first.rgb8, second.rgb8)


@pytest.mark.parametrize("target", ["target_bytes=3000", "target_bpp=1.25"])
@pytest.mark.parametrize("codec", ["jpeg", "webp", "avif"])
def test_a_target_is_reached_from_below(codec: str, target: str) -> None:
    searched = open_codec(f"{codec}:{target}")
    made = searched.encode(PHOTO, searched.levels[0])
    assert 0.8 * 3000 < len(made.payload) <= 3000  # 1.25 bpp of 120 x 160 pixels
    assert open_codec(codec).decode(made).shape == PHOTO.shape


def test_a_target_counts_the_pixels_of_the_original() -> None:
    searched = open_codec("jpeg:target_bpp=[0.6,1.0],long_side=80")
    assert [level.name for level in searched.levels] == ["0.6bpp@80", "1bpp@80"]
    for level, limit in zip(searched.levels, (0.6, 1.0), strict=True):
        assert 0.7 * limit < searched.encode(PHOTO, level).bpp <= limit


def test_a_target_that_cannot_be_reached_is_an_error() -> None:
    codec = open_codec("jpeg:target_bytes=100")
    with pytest.raises(CodecError, match="100B cannot be reached: the lowest rate takes"):
        codec.encode(PHOTO, codec.levels[0])


def test_a_chain_equals_the_manual_calls() -> None:
    codec = open_codec("jpeg:75 > resize:80 > webp:60")
    assert (codec.name, codec.levels[0].name) == ("jpeg:75 > resize:80 > webp", "60")
    _, first = pillow(PHOTO, "JPEG", quality=75, subsampling="4:2:0")
    small = np.asarray(Image.fromarray(first).resize((80, 60), Image.Resampling.LANCZOS))
    payload, decoded = pillow(small, "WEBP", quality=60, method=6)
    made = reconstruct_one(codec, codec.levels[0], SOURCE)
    assert made.bitstream.payload == payload
    assert np.array_equal(made.rgb8, decoded)
    assert len(open_codec("jpeg:75 > webp:levels=[20,60]").levels) == 2


def test_a_step_that_hands_on_a_smaller_image_makes_the_result_smaller() -> None:
    codec = open_codec("jpeg:75,long_side=80,restore=false > webp:60")
    made = reconstruct_one(codec, codec.levels[0], SOURCE)
    assert made.rgb8.shape == (60, 80, 3)
    assert not restores_size(codec)


def test_the_chroma_format_is_that_of_the_codec() -> None:
    assert facts_of(open_codec("webp:long_side=40")) == facts_of(open_codec("webp"))
    assert facts_of(open_codec("jpeg:75 > webp:60")).chroma == "4:2:0"
    assert not facts_of(open_codec("jpeg:long_side=40")).chroma


def test_a_size_needs_a_codec_that_restores_it_or_hands_it_on() -> None:
    codec = open_codec("jpeg:target_bpp=1.25")
    with pytest.raises(InputError, match="no level 'q50@40'; a size needs the option long_side"):
        choose_level(codec, "q50@40")
    assert choose_level(codec, "q50").knobs == {"quality": 50}


@pytest.mark.parametrize("name", ["q50@40", "50@40", "q61@33"])
def test_a_level_that_is_not_listed_can_be_used_alone(name: str) -> None:
    codec = open_codec("jpeg:quality=[30,50],long_side=80")
    level = choose_level(codec, name)
    assert level.knobs["long_side"] == int(name.partition("@")[2])
    assert reconstruct_one(codec, level, SOURCE).rgb8.shape == PHOTO.shape


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("jpeg:long_side=0", "long_side 0; allowed are pixels from 1 to 65535"),
        ("jpeg:long_side=[80,80]", "names a size twice"),
        ("jpeg:long_side=big", "long_side 'big'"),
        ("jpeg:long_side=80,restore=1", "restore 1; allowed are true and false"),
        ("jpeg:target_bpp=0.2,levels=[10]", "jpeg: target_bpp and levels; allowed is one of them"),
        ("jpeg:75,target_bytes=900", "jpeg: target_bytes and levels; allowed is one of them"),
        ("webp:quality=9,target_bpp=1", "webp: target_bpp and quality; allowed is one of them"),
        ("jpeg:target_bpp=0", "target_bpp 0; allowed are numbers over 0"),
        ("tic-mini:target_bpp=0.2", "has no setting that a target rate could be searched with"),
        ("jpeg:qp=30", "unknown option 'qp'"),
        ("jpeg:quality=high", "quality is 'high'; allowed: numbers"),
        ("jpeg > webp:60", "has 4 levels, one is needed"),
        ("resize:0 > webp:60", "allowed is resize:PIXELS"),
        ("jpeg:75 > resize:80", "unknown codec 'resize'"),
        ("tic-mini > webp:60", "a codec with weights is allowed in the last step only"),
        ("nope:75 > webp:60", "unknown codec 'nope'"),
        ("> webp:60", "unknown codec ''"),
        ("jpeg:75 >", "unknown codec ''"),
    ],
)
def test_wrong_settings_are_one_line(spec: str, says: str) -> None:
    with pytest.raises((InputError, PluginError)) as caught:
        open_codec(spec)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
