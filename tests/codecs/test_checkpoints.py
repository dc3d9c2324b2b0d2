"""Digests are computed once and correctly; weights folders list their levels and missing files."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from eyechart.codecs import checkpoints
from eyechart.codecs.checkpoints import (
    LevelFile,
    PublishedCheckpoints,
    add_level,
    digest,
    read_listing,
)
from eyechart.core.errors import CodecError, InputError, PluginError

LONG_AGO_NS = 1_600_000_000 * 10**9


def weights_file(folder: Path, data: bytes, mtime_ns: int = LONG_AGO_NS) -> Path:
    path = folder / "weights.safetensors"
    path.write_bytes(data)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def level_file(name: str, data: bytes = b"") -> LevelFile:
    knobs = {"lambda": float(name)}
    return LevelFile(name=name, knobs=knobs, file=f"{name}.safetensors", sha256=sha256(data))


def reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(checkpoints, "file_sha256", refuse)


def test_a_digest_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = weights_file(tmp_path, b"weights"), tmp_path / "cache"
    assert digest(path, cache=cache) == sha256(b"weights")
    reads_nothing(monkeypatch)
    assert digest(path, cache=cache) == sha256(b"weights")


@pytest.mark.parametrize(
    ("data", "mtime_ns"), [(b"other bytes", LONG_AGO_NS), (b"WEIGHTS", LONG_AGO_NS + 1)]
)
def test_another_size_or_mtime_is_another_file(tmp_path: Path, data: bytes, mtime_ns: int) -> None:
    cache = tmp_path / "cache"
    digest(weights_file(tmp_path, b"weights"), cache=cache)
    assert digest(weights_file(tmp_path, data, mtime_ns), cache=cache) == sha256(data)


def test_a_file_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    path, cache = tmp_path / "w", tmp_path / "cache"
    for data in (b"first", b"other"):  # of one size, and perhaps within one step of the clock
        path.write_bytes(data)
        assert digest(path, cache=cache) == sha256(data)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"sha256": 3}', b"[" * 100_000, b'{"sha256":"ab"}']
)
def test_a_damaged_cache_is_ignored(tmp_path: Path, damage: bytes) -> None:
    path, cache = weights_file(tmp_path, b"weights"), tmp_path / "cache"
    digest(path, cache=cache)
    (entry,) = cache.iterdir()
    entry.write_bytes(damage)
    assert digest(path, cache=cache) == sha256(b"weights")
    assert json.loads(entry.read_bytes())["sha256"] == sha256(b"weights")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    path, cache = weights_file(tmp_path, b"weights"), tmp_path / "a file"
    cache.write_text("in the way")
    assert digest(path, cache=cache) == sha256(b"weights")


def test_many_processes_may_ask_at_once(tmp_path: Path) -> None:
    path = weights_file(tmp_path, b"weights" * 10_000)
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        asked = [pool.submit(digest, path, cache=tmp_path / "cache") for _ in range(12)]
        assert {one.result() for one in asked} == {sha256(b"weights" * 10_000)}


def test_the_cache_follows_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    digest(weights_file(tmp_path, b"weights"))
    assert len(list((tmp_path / "cache" / "eyechart").rglob("*.json"))) == 1
    assert checkpoints.data_folder("elic") == tmp_path / "data" / "eyechart" / "codecs" / "elic"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: cannot be read \(No such file"):
        digest(tmp_path / "nowhere", cache=tmp_path)


def test_a_checkpoint_that_changed_is_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path, b"weights")
    checkpoints.verify(path, sha256(b"weights"), codec="elic")
    path.write_bytes(b"retrained")
    with pytest.raises(CodecError, match=r"elic: .*has changed since it was added"):
        checkpoints.verify(path, sha256(b"weights"), codec="elic")


def test_levels_are_in_order_of_rate(tmp_path: Path) -> None:
    for name in ("0.016", "0.004", "0.032", "0.004"):
        add_level(tmp_path, "elic", level_file(name), knob="lambda", rate="rises")
    levels = checkpoints.levels_of(read_listing(tmp_path, "elic"))
    assert [(level.name, level.rank) for level in levels] == [
        ("0.004", 0),
        ("0.016", 1),
        ("0.032", 2),
    ]
    assert levels[0].weights == sha256(b"")
    add_level(tmp_path, "elic", level_file("0.064"), knob="lambda", rate="falls")
    assert read_listing(tmp_path, "elic")[0].name == "0.064"


def test_levels_added_at_once_are_all_kept(tmp_path: Path) -> None:
    names = [f"0.{index:03}" for index in range(1, 21)]

    def add(name: str) -> None:
        add_level(tmp_path, "elic", level_file(name), knob="lambda", rate="rises")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, names))
    assert [file.name for file in read_listing(tmp_path, "elic")] == names


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("{", "not a list of levels"),
        ("[]", "not a list of levels"),
        ('{"codec": "elic"}', "not a list of levels"),
        ('{"codec": "elic", "levels": [{"name": "1"}]}', "not a list of levels"),
        ('{"codec": "tic", "codec": "elic", "levels": []}', "key 'codec' occurs twice"),
        ('{"codec": "tic", "levels": []}', "weights of tic, not of elic"),
        (
            '{"codec": "elic", "levels": [{"name": "1", "knobs": {}, "file": "../x", '
            f'"sha256": "{sha256(b"")}"}}]}}',
            "not a plain file name",
        ),
    ],
)
def test_a_damaged_listing_is_one_line(tmp_path: Path, listing: str, message: str) -> None:
    (tmp_path / "levels.json").write_text(listing)
    with pytest.raises(InputError, match=message) as caught:
        read_listing(tmp_path, "elic")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("remedy", "said"),
    [
        ("", "add one with `eyechart codec add elic --level LEVEL FILE`"),
        ("look here", "look here"),
    ],
)
def test_missing_data_is_reported_with_its_source(tmp_path: Path, remedy: str, said: str) -> None:
    with pytest.raises(PluginError, match=f"elic: no checkpoint in .*; {said}"):
        checkpoints.check_files(tmp_path / "nowhere", "elic", remedy=remedy)
    add_level(tmp_path, "elic", level_file("0.004"), knob="lambda", rate="rises")
    with pytest.raises(PluginError, match=rf"level 0\.004, .*is missing; {said}"):
        checkpoints.check_files(tmp_path, "elic", remedy=remedy)


UNPUBLISHED = "level 0.1 is not published (made by `eyechart codec train`)"


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ([], f"levels 0.004, 0.008 are published at example.org (MIT); {UNPUBLISHED}"),
        ([0.004], f"level 0.008 is published at example.org (MIT); {UNPUBLISHED}"),
        ([0.008, 0.1], "level 0.004 is published at example.org (MIT)"),
        ([0.004, 0.008, 0.1], ""),
    ],
)
def test_missing_levels_are_named_with_their_source(here: list[float], said: str) -> None:
    published = [PublishedCheckpoints(levels=("0.004", "0.008"), url="example.org", licence="MIT")]
    assert checkpoints.where_levels_are(published, ["0.1"], here=here) == said


def test_the_command_for_a_folder_is_one_for_a_shell() -> None:
    said = checkpoints.how_to_add("elic", into="my weights")
    assert said.endswith("--level LEVEL FILE --into 'my weights'`")


def test_checking_reads_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0.004.safetensors").write_bytes(b"")
    add_level(tmp_path, "elic", level_file("0.004"), knob="lambda", rate="rises")
    reads_nothing(monkeypatch)
    assert [file.name for file in checkpoints.check_files(tmp_path, "elic")] == ["0.004"]
