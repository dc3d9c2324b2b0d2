"""Reconstruction of batches: stored results, calls of the codec, effects of errors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from eyechart.codecs.jpeg import JpegCodec
from eyechart.codecs.opening import open_spec
from eyechart.codecs.reconstruct import (
    DecodedImage,
    Reconstructor,
    SourceImage,
    decode_payload,
    reconstruct_one,
)
from eyechart.core.attempt import Failed
from eyechart.core.errors import CodecError, InputError, PluginError
from eyechart.core.types import Bitstream, CodecSpec, Component, Json, Level, Rgb8, component_of
from eyechart.store import StoredImages


class NeuralToy:
    """Inverts images; at most `most` fit into its memory at a time."""

    name, version, reproducible = "toy", "1", "bitwise"
    options: Mapping[str, Json] = {}
    levels = tuple(Level(name=str(n), rank=n, knobs={}, weights=f"{n:064}") for n in range(2))

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.batches: list[tuple[str, str, int]] = []
        self.in_memory = 0

    def check(self) -> None: ...

    def load(self, level: Level, device: str) -> LoadedToy:
        self.in_memory += 1
        assert self.in_memory == 1
        return LoadedToy(self, level)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        raise AssertionError("images go through load")

    def decode(self, bitstream: Bitstream) -> Rgb8:
        raise AssertionError("images go through load")


class LoadedToy:
    def __init__(self, toy: NeuralToy, level: Level) -> None:
        self.toy, self.level = toy, level

    def _note(self, what: str, images: int) -> None:
        if images > self.toy.most:
            raise MemoryError("out of memory")
        self.toy.batches.append((what, self.level.name, images))

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        self._note("encode", len(images))
        for rgb8 in images:
            if rgb8[0, 0, 0] == 66:
                raise CodecError("cannot", codec="toy")
        return [
            Bitstream(payload=(255 - rgb8).tobytes(), height_px=len(rgb8), width_px=len(rgb8[0]))
            for rgb8 in images
        ]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        self._note("decode", len(bitstreams))
        return [
            255 - np.frombuffer(one.payload, np.uint8).reshape(one.height_px, one.width_px, 3)
            for one in bitstreams
        ]

    def close(self) -> None:
        self.toy.in_memory -= 1


def images(*greys: int) -> list[SourceImage]:
    return [SourceImage.of(np.full((4, 5, 3), grey, np.uint8), f"g{grey}") for grey in greys]


def good(results: Sequence[DecodedImage | Failed]) -> list[DecodedImage]:
    assert all(isinstance(result, DecodedImage) for result in results)
    return [result for result in results if isinstance(result, DecodedImage)]


@pytest.fixture
def slow(tmp_path: Path) -> Reconstructor:
    """Its clock advances by a second at each reading, so that decoding counts as slow."""
    ticks = count()
    return Reconstructor(StoredImages(tmp_path), batch_images=4, clock=lambda: next(ticks))


def test_a_batch_is_one_call_and_stored_images_ask_nothing(slow: Reconstructor) -> None:
    toy, batch = NeuralToy(), images(1, 2, 3)
    first = good(slow.reconstruct(toy, toy.levels[0], batch))
    assert toy.batches == [("encode", "0", 3), ("decode", "0", 3)]
    assert all(result.png for result in first)
    again = good(slow.reconstruct(toy, toy.levels[0], [*images(4), *batch]))
    assert toy.batches[2:] == [("encode", "0", 1), ("decode", "0", 1)]
    for image, result in zip([*images(4), *batch], again, strict=True):
        assert np.array_equal(result.rgb8, image.rgb8)
        assert result.payload_bytes == 60


def test_images_of_codecs_with_weights_are_decoded_once(tmp_path: Path) -> None:
    toy = NeuralToy()
    for _ in range(3):  # as three VLMs do; the clock stands, so that decoding is fast
        stored = Reconstructor(StoredImages(tmp_path), clock=lambda: 0.0)
        good(stored.reconstruct(toy, toy.levels[0], images(1, 2)))
        stored.close()
    assert [what for what, *_ in toy.batches] == ["encode", "decode"]


def test_images_that_are_not_kept_are_decoded_again(slow: Reconstructor) -> None:
    toy = NeuralToy()
    for _ in range(2):
        (made,) = good(slow.reconstruct(toy, toy.levels[0], images(1), keep=False))
        assert not made.png
    assert [what for what, *_ in toy.batches] == ["encode", "decode", "decode"]


def test_one_level_is_in_memory_at_a_time(slow: Reconstructor) -> None:
    toy = NeuralToy()
    for level in (*toy.levels, *toy.levels):
        slow.reconstruct(toy, level, images(1, 2))
    slow.close()
    assert toy.in_memory == 0


def test_a_level_that_cannot_be_closed_affects_no_other_codec(slow: Reconstructor) -> None:
    class Stuck(LoadedToy):
        def close(self) -> None:
            raise ZeroDivisionError("by design")

    class StuckToy(NeuralToy):
        def load(self, level: Level, device: str) -> LoadedToy:
            return Stuck(self, level)

    stuck, toy = StuckToy(), NeuralToy()
    good(slow.reconstruct(stuck, stuck.levels[0], images(1)))
    good(slow.reconstruct(stuck, stuck.levels[1], images(2)))
    good(slow.reconstruct(toy, toy.levels[0], images(3)))
    slow.close()
    assert toy.in_memory == 0


def test_a_payload_that_is_not_bytes_is_a_failure(slow: Reconstructor) -> None:
    class Text(JpegCodec):
        def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
            return Bitstream(payload="text", height_px=4, width_px=5)  # type: ignore[arg-type]

    (failed,) = slow.reconstruct(Text(), Text().levels[0], images(1))
    assert isinstance(failed, Failed)
    assert "payload of type str, not bytes" in failed.message


def test_a_batch_that_does_not_fit_into_memory_is_halved(tmp_path: Path) -> None:
    toy = NeuralToy(most=2)
    reconstructor = Reconstructor(batch_images=7)
    made = good(reconstructor.reconstruct(toy, toy.levels[0], images(*range(7))))
    assert [int(result.rgb8[0, 0, 0]) for result in made] == list(range(7))
    assert max(size for *_, size in toy.batches) <= 2


def test_memory_of_a_failed_batch_is_given_back_before_half_of_it_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toy = NeuralToy(most=2)
    tries_before_clearing: list[int] = []
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        empty_cache=lambda: tries_before_clearing.append(len(toy.batches)),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    good(Reconstructor(batch_images=4).reconstruct(toy, toy.levels[0], images(1, 2, 3, 4)))
    assert tries_before_clearing == [0, 2]  # a batch of four to encode, and one to decode


def test_a_level_that_cannot_be_read_is_tried_once_for_all_images(slow: Reconstructor) -> None:
    class Unreadable(NeuralToy):
        tries = 0

        def load(self, level: Level, device: str) -> LoadedToy:
            self.tries += 1
            raise CodecError("its file is damaged", codec="toy")

    toy = Unreadable()
    results = slow.reconstruct(toy, toy.levels[0], images(1, 2, 3))
    assert [str(failed.message) for failed in results if isinstance(failed, Failed)] == [
        f"toy level 0 image g{n}: its file is damaged" for n in (1, 2, 3)
    ]
    assert toy.tries == 1


def test_an_error_fails_and_names_only_its_image(slow: Reconstructor) -> None:
    toy = NeuralToy()
    results = slow.reconstruct(toy, toy.levels[1], images(64, 65, 66, 67, 68))
    failed = [result for result in results if isinstance(result, Failed)]
    assert [failure.message for failure in failed] == ["toy level 1 image g66: cannot"]
    assert failed[0].stage == "encode"
    with pytest.raises(CodecError, match="toy level 1 image g66: cannot"):
        failed[0].raise_error()
    assert len(results) == 5


def test_only_stored_bitstreams_are_decoded_where_encoding_is_not_wanted(
    slow: Reconstructor,
) -> None:
    toy = NeuralToy()
    (missing,) = slow.reconstruct(toy, toy.levels[0], images(1), encode=False)
    assert isinstance(missing, Failed)
    slow.reconstruct(toy, toy.levels[0], images(1))
    assert good(slow.reconstruct(toy, toy.levels[0], images(1), encode=False))


def test_a_codec_without_weights_takes_one_image_after_another() -> None:
    codec = JpegCodec()
    (image,) = images(100)
    made = reconstruct_one(codec, codec.levels[0], image)
    assert np.array_equal(made.rgb8, codec.decode(codec.encode(image.rgb8, codec.levels[0])))
    assert np.array_equal(decode_payload(codec, made.bitstream.payload, "p"), made.rgb8)
    with pytest.raises(CodecError, match=r"jpeg image p\.bin: damaged"):
        decode_payload(codec, b"nonsense", "p.bin")
    with pytest.raises(InputError, match="cannot decode a payload alone"):
        decode_payload(NeuralToy(), b"x", "p")


def test_a_spec_opens_the_same_codec_or_is_refused() -> None:
    codec = JpegCodec(levels=[10])
    spec = CodecSpec(plugin="jpeg", options={"levels": [10]}, component=component_of(codec))
    assert [level.name for level in open_spec(spec).levels] == ["10"]
    other = Component(name="jpeg", version="of another machine", options=codec.options)
    with pytest.raises(PluginError, match="planned with 'of another machine'"):
        open_spec(CodecSpec(plugin="jpeg", component=other))
