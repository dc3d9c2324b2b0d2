"""Training pairs: made once, kept on disk, or read from folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyechart.adapters.condition import SOURCE
from eyechart.adapters.pairs import CodecPairs, FolderPairs
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.errors import CodecError, ImageError, InputError
from eyechart.core.images import find_images, read_image
from eyechart.core.types import Bitstream, Json, Level, Reproducible, Rgb8

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


class NeuralShift:
    """A codec with weights that adds its level's rank + 1 to every pixel. `log`: its calls."""

    name, version = "shift", "1"
    options: Mapping[str, Json] = {}
    reproducible: Reproducible = "bitwise"
    levels = tuple(
        Level(name=name, rank=rank, knobs={}, weights=f"{rank}" * 64)
        for rank, name in enumerate(("low", "high"))
    )

    def __init__(self) -> None:
        self.log: list[str] = []

    def check(self) -> None: ...

    def load(self, level: Level, device: str) -> LoadedShift:
        self.log.append(f"load {level.name} {device}")
        return LoadedShift(level, self.log)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return self.load(level, "cpu").encode([rgb8])[0]

    def decode(self, bitstream: Bitstream) -> Rgb8:
        raise NotImplementedError


class LoadedShift:
    def __init__(self, level: Level, log: list[str]) -> None:
        self.level, self.log = level, log

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        self.log.append(f"encode {len(images)}")
        return [
            Bitstream(payload=image.tobytes(), height_px=image.shape[0], width_px=image.shape[1])
            for image in images
        ]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        self.log.append(f"decode {len(bitstreams)}")
        return [
            np.frombuffer(one.payload, np.uint8).reshape(one.height_px, one.width_px, 3)
            + np.uint8(self.level.rank + 1)
            for one in bitstreams
        ]

    def close(self) -> None:
        self.log.append(f"close {self.level.name}")


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


def test_codecs_with_weights_are_prepared_level_by_level_in_batches(
    image_folder: Path, tmp_path: Path
) -> None:
    codec = NeuralShift()
    pairs = CodecPairs(image_folder, [codec], tmp_path, device="cuda:1", batch_images=3)
    wanted = [(image, entry) for image in (4, 0, 2, 1) for entry in pairs.entries]
    pairs.prepare(iter(wanted))
    levels = ["low", "high"]
    assert codec.log == [
        step
        for level in levels
        for step in (
            f"load {level} cuda:1",
            *("encode 3", "decode 3", "encode 1", "decode 1"),
            f"close {level}",
        )
    ]
    clean, low, high = pairs.images(4, pairs.entries)
    assert np.array_equal(low, clean + 1)
    assert np.array_equal(high, clean + 2)
    assert len(codec.log) == 12  # nothing was made again
    pairs.prepare(iter(wanted))
    assert len(codec.log) == 12
    CodecPairs(image_folder, [codec], tmp_path).prepare([(3, ("shift", "high"))])
    assert codec.log[12:] == ["load high cpu", "encode 1", "decode 1", "close high"]


def test_images_made_ahead_are_those_made_one_by_one(image_folder: Path, tmp_path: Path) -> None:
    pairs = [CodecPairs(image_folder, [NeuralShift()], tmp_path / name) for name in "ab"]
    pairs[0].prepare((image, entry) for image in range(3) for entry in pairs[0].entries)
    for image in range(3):
        made = [one.images(image, one.entries) for one in pairs]
        assert all(np.array_equal(ahead, alone) for ahead, alone in zip(*made, strict=True))


def test_codecs_without_weights_make_nothing_ahead(image_folder: Path, tmp_path: Path) -> None:
    codec = CountingJpeg()
    CodecPairs(image_folder, [codec], tmp_path).prepare([(0, Q1)])
    assert codec.encoded == 0


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
    with pytest.raises(InputError, match="1 image missing, first 01"):
        FolderPairs(tmp_path)


def test_pairs_of_subfolders_are_matched_by_their_whole_path(tmp_path: Path) -> None:
    for place, values in (("source", (10, 200)), ("hm/51", (20, 220))):
        for name, value in zip(("a/0001.png", "b/0001.png"), values, strict=True):
            path = tmp_path / place / name
            path.parent.mkdir(parents=True)
            Image.new("RGB", (8, 8), (value, value, value)).save(path)
    pairs = FolderPairs(tmp_path)
    assert [pairs.images(image, pairs.entries)[1][0, 0, 0] for image in (0, 1)] == [20, 220]
    Image.new("RGB", (8, 8)).save(tmp_path / "hm" / "51" / "b" / "0001.bmp")
    with pytest.raises(InputError, match=r"0001\.png and 0001\.bmp have the same name"):
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
