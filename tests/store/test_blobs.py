"""Bitstreams on disk: found by identity, checked by content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyechart.core.errors import StoreError
from eyechart.core.types import Component, Level
from eyechart.store import Blobs

CODEC = Component(name="jpeg", version="1")
LEVEL = Level(name="3", rank=1, knobs={"quality": 3})


def test_bytes_round_trip(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = blobs.path(CODEC, LEVEL, "a" * 64)
    assert blobs.get(path) is None
    for body in (b"", b"\x00\xff" * 99):
        blobs.put(path, body)
        assert blobs.get(path) == body


def test_a_cut_or_a_flipped_bit_is_not_there(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = blobs.path(CODEC, LEVEL, "a" * 64)
    blobs.put(path, b"payload")
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert blobs.get(path) is None
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert blobs.get(path) is None


def test_a_file_under_the_name_of_another_is_an_error(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "bitstreams")
    one, other = (blobs.path(CODEC, LEVEL, letter * 64) for letter in "ab")
    blobs.put(one, b"payload")
    other.write_bytes(one.read_bytes())
    with pytest.raises(StoreError, match=r"bbb\.bin: was stored under another name"):
        blobs.get(other)
    (tmp_path / "bitstreams").rename(tmp_path / "moved")
    (tmp_path / "moved").rename(tmp_path / "bitstreams")
    assert blobs.get(one) == b"payload"


def test_a_file_without_a_stored_name_is_read(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = blobs.path(CODEC, LEVEL, "a" * 64)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"payload" + hashlib.sha256(b"payload").digest())
    assert blobs.get(path) == b"payload"


def test_another_version_or_knob_is_another_blob(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    others = [
        (Component(name="jpeg", version="2"), LEVEL),
        (Component(name="jpeg", version="1", options={"optimize": True}), LEVEL),
        (CODEC, Level(name="3", rank=1, knobs={"quality": 4})),
    ]
    paths = {blobs.path(codec, level, "a") for codec, level in [(CODEC, LEVEL), *others]}
    assert len(paths) == 4


def test_a_level_s_place_in_a_list_makes_no_other_blob(tmp_path: Path) -> None:
    alone = Level(name="3", rank=0, knobs={"quality": 3})
    assert Blobs(tmp_path).path(CODEC, alone, "a") == Blobs(tmp_path).path(CODEC, LEVEL, "a")


@settings(max_examples=50)
@given(name=st.text())
def test_any_name_stays_inside_its_folder(tmp_path_factory: object, name: str) -> None:
    root = Path("/nowhere")
    path = Blobs(root).path(
        Component(name=name, version="1"), Level(name=name, rank=0, knobs={}), "a"
    )
    assert path.parent.parent.parent == root
    assert len(path.relative_to(root).parts) == 3
    assert ".." not in path.parts
