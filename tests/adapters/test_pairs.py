"""Training pairs: made once, kept on disk, or read from folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyechart.adapters.condition import SOURCE
from eyechart.adapters.pairs import CodecPairs, FolderPairs, prepare
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.errors import CodecError, ImageError, InputError
from eyechart.core.images import find_images, read_image
from eyechart.core.types import Bitstream, Level, Rgb8

Q1 = ("jpeg", "1")


class CountingJpeg(JpegCodec):
    """JPEG that counts its work."""

    def __init__(self) -> None:
        super().__init__(levels=[1, 6])
        self.encoded = self.decoded = 0

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        self.encoded += 1
        return super().encode(rgb8, level)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        self.decoded += 1
        return super().decode(bitstream)


def test_images_are_what_the_codec_makes_and_encoded_once(
    image_folder: Path, tmp_path: Path
) -> None:
    codec = CountingJpeg()
    pairs = CodecPairs(image_folder, [codec], tmp_path)
    assert pairs.entries == (SOURCE, Q1, ("jpeg", "6"))
    assert pairs.names[0] == "00.png"
    clean, low = pairs.images(0, [SOURCE, Q1])
    assert np.array_equal(clean, read_image(image_folder / "00.png"))
    plain = JpegCodec()
    assert np.array_equal(low, plain.decode(plain.encode(clean, plain.levels[0])))
    again = CodecPairs(image_folder, [codec], tmp_path).images(0, [Q1])
    assert np.array_equal(again[0], low)
    assert codec.encoded == 1


def test_over_budget_only_bitstreams_are_kept(image_folder: Path, tmp_path: Path) -> None:
    codec = CountingJpeg()
    pairs = CodecPairs(image_folder, [codec], tmp_path, decoded_budget_bytes=0)
    first = pairs.images(1, [Q1])
    assert np.array_equal(first[0], pairs.images(1, [Q1])[0])
    assert (codec.encoded, codec.decoded) == (1, 2)


def test_preparing_encodes_everything_once(image_folder: Path, tmp_path: Path) -> None:
    codec = CountingJpeg()
    pairs = CodecPairs(image_folder, [codec], tmp_path)
    prepare(pairs)
    assert codec.encoded == 20
    prepare(pairs)
    assert codec.encoded == 20


def test_pairs_are_read_from_folders(image_folder: Path, tmp_path: Path) -> None:
    jpeg = JpegCodec()
    for path in find_images(image_folder)[0][:3]:
        clean = read_image(path)
        for place, rgb8 in (
            ("source", clean),
            ("hm/51", jpeg.decode(jpeg.encode(clean, jpeg.levels[0]))),
        ):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(rgb8).save(tmp_path / place / path.name)
    pairs = FolderPairs(tmp_path)
    assert pairs.entries == (SOURCE, ("hm", "51"))
    assert len(pairs.names) == 3
    clean, low = pairs.images(2, pairs.entries)
    assert clean.shape == low.shape
    assert not np.array_equal(clean, low)
    digest = pairs.digest()
    assert FolderPairs(tmp_path).digest() == digest
    Image.fromarray(255 - low).save(tmp_path / "hm" / "51" / "02.png")
    assert FolderPairs(tmp_path).digest() != digest
    (tmp_path / "hm" / "51" / "01.png").unlink()
    with pytest.raises(InputError, match="1 images missing, first 01"):
        FolderPairs(tmp_path)


def test_bad_folders_and_images_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        CodecPairs(tmp_path / "nowhere", [JpegCodec()], tmp_path / "cache")
    with pytest.raises(InputError, match="holds no image"):
        CodecPairs(tmp_path, [JpegCodec()], tmp_path / "cache")
    (tmp_path / "broken.png").write_bytes(b"not an image")
    pairs = CodecPairs(tmp_path, [JpegCodec()], tmp_path / "cache")
    with pytest.raises(ImageError, match=r"broken.png: not a readable image"):
        pairs.images(0, [SOURCE])


def test_a_codec_that_fails_names_level_and_image(image_folder: Path, tmp_path: Path) -> None:
    class Failing(JpegCodec):
        def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
            raise CodecError("crashed", codec=self.name)

    pairs = CodecPairs(image_folder, [Failing()], tmp_path)
    with pytest.raises(CodecError, match=r"jpeg level 1 image 03.png: crashed"):
        pairs.images(3, [Q1])


def test_compressed_forms_of_another_size_are_named(tmp_path: Path) -> None:
    for place, width_px in (("source", 40), ("hm/51", 40), ("hm/42", 39)):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (width_px, 30)).save(tmp_path / place / "a.png")
    with pytest.raises(ImageError, match=r"hm/42/a.png: 39x30 pixels, its source has 40x30"):
        FolderPairs(tmp_path).stored(0)
    Image.new("RGB", (40, 30)).save(tmp_path / "hm" / "42" / "a.png")
    assert [rgb8.shape for rgb8 in FolderPairs(tmp_path).stored(0)] == [(30, 40, 3)] * 3


def test_a_rotated_compressed_image_is_named(tmp_path: Path) -> None:
    for place, size in (("source", (40, 30)), ("hm/51", (30, 40))):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", size).save(tmp_path / place / "a.png")
    with pytest.raises(ImageError, match=r"30x40 pixels, its source has 40x30 \(turned by 90"):
        FolderPairs(tmp_path).stored(0)
