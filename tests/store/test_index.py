"""The index of a cell: derived from its records, and read instead of them while nothing changes."""

from __future__ import annotations

import os
from binascii import crc32
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from eyechart.core.errors import StoreError
from eyechart.core.records import Cell, Failure, Record
from eyechart.core.types import Component, Decoding, Level
from eyechart.store import AnsweredQuestion, Store, StoredCell
from eyechart.store import cells as cells_module
from eyechart.store.derived import Snapshot, read_derived, read_snapshot
from eyechart.store.lines import checked_values


@pytest.fixture
def stored(tmp_path: Path) -> StoredCell:
    store = Store(tmp_path / "run")
    store.create()
    part = Component(name="part", version="1")
    cell = Cell(
        task=part,
        codec=part,
        level=Level(name="1", rank=0, knobs={}),
        vlm=part,
        adapter=None,
        decoding=Decoding(),
    )
    return store.add(cell)


def a_record(question: str, answer: str = "yes") -> Record:
    return Record(
        question_id=question,
        image="i",
        answer=answer,
        value=1.0,
        parsed_answer=answer,
        parsed=True,
        payload_bytes=9,
        height_px=3,
        width_px=4,
    )


def a_failure(question: str) -> Failure:
    return Failure(
        question_id=question, image="i", stage="answer", kind="E", message="m", retryable=True
    )


def files_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files whose lines are read from now on."""
    read: list[Path] = []

    def noting(path: Path) -> Snapshot:
        read.append(path)
        return read_snapshot(path)

    monkeypatch.setattr(cells_module, "read_snapshot", noting)
    return read


def test_an_index_says_what_is_answered_and_what_failed(stored: StoredCell) -> None:
    stored.append_failures([a_failure("2"), a_failure("3")])
    stored.append_records([a_record("10"), a_record("2"), a_record("9")])
    for index in (
        stored.index(),
        stored.index(),
        stored.read(Record)[1],
        stored.read(AnsweredQuestion)[1],
    ):
        assert index.answered == ("2", "9", "10")
        assert index.failures == (a_failure("3"),)
        assert index.content == stored.content()


def test_unchanged_records_are_read_once(
    stored: StoredCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.append_records([a_record("1")])
    _as_if_old(stored)
    read = files_read(monkeypatch)
    assert stored.index().answered == ("1",)
    assert read == []
    stored.append_records([a_record("2")])
    assert stored.index().answered == ("1", "2")
    assert {path.name for path in read} == {"records.jsonl", "failures.jsonl"}


def test_every_change_is_noticed(stored: StoredCell) -> None:
    first = a_record("1")
    steps: list[tuple[Callable[[], object], int, int]] = [
        (lambda: stored.append_records([first]), 1, 0),
        (lambda: stored.append_failures([a_failure("2")]), 1, 1),
        (lambda: stored.append_records([a_record("2")]), 2, 0),
        (lambda: stored.replace_records([a_record("2")]), 1, 0),
        (lambda: (stored.path / "failures.jsonl").unlink(), 1, 0),
        (lambda: (stored.path / "records.jsonl").unlink(), 0, 0),
    ]
    seen = {stored.index().content}
    for step, answered, failed in steps:
        step()
        index = stored.index()
        assert (len(index.answered), len(index.failures)) == (answered, failed)
        assert not answered or index.content not in seen
        seen.add(index.content)


def test_a_change_of_the_same_size_and_time_is_noticed(stored: StoredCell) -> None:
    stored.append_records([a_record("1", "yes")])
    before = stored.index().content
    path = stored.path / "records.jsonl"
    found = path.stat()
    stored.replace_records([a_record("2", "yes")])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert stored.index().answered == ("2",)
    assert stored.content() != before


def test_a_copied_directory_keeps_its_indices(
    stored: StoredCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.append_records([a_record("1")])
    index = stored.index()
    copied = StoredCell(tmp_path / stored.path.name, stored.cell)
    copied.path.mkdir()
    for path in stored.path.iterdir():
        (copied.path / path.name).write_bytes(path.read_bytes())
    read = files_read(monkeypatch)
    assert copied.index() == index
    assert read == []


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\n\xff\n", b"null\nx\n", None])
def test_a_damaged_or_deleted_index_is_made_again(stored: StoredCell, damage: bytes | None) -> None:
    stored.append_records([a_record("1")])
    index = stored.index()
    (file,) = stored.path.glob("index*")
    whole = file.read_bytes()
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert stored.index() == index
    assert file.read_bytes() == whole


def test_damaged_records_are_an_error_as_before(stored: StoredCell) -> None:
    stored.append_records([a_record("1")])
    stored.index()
    path = stored.path / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b"yes", b"no!", 1))
    with pytest.raises(StoreError, match="line 1 is damaged"):
        stored.index()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_has_an_index(stored: StoredCell) -> None:
    stored.append_records([a_record("1")])
    stored.path.chmod(0o500)
    assert stored.index().answered == ("1",)
    stored.path.chmod(0o700)


def _as_if_old(stored: StoredCell) -> None:
    """Make the index, and date it as if the records had been there for a while."""
    stored.index()
    (file,) = stored.path.glob("index*")
    found = file.stat()
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns + 10**9))


def test_some_records_are_found_without_the_others(stored: StoredCell) -> None:
    stored.append_records([a_record("1", 'says "question_id":"2"'), a_record("2"), a_record("20")])
    assert stored.records_of({"2", "none"}) == [a_record("2")]
    assert stored.records_of(()) == []


def test_a_field_of_another_kind_is_named_also_with_a_right_checksum(stored: StoredCell) -> None:
    stored.append_records([a_record("1")])
    stored.append_records([replace(a_record("2"), value="much")])  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"line 2 is damaged .*value"):
        stored.records()


@pytest.mark.parametrize("body", [b'{"a":"\xff"}', b'{"\xff":"a"}', b'{"a":1}', b"["])
def test_a_derived_file_of_bytes_that_are_no_such_value_is_not_there(
    tmp_path: Path, body: bytes
) -> None:
    path = tmp_path / "derived.json"
    path.write_bytes(body + b"\n" + sha256(body).hexdigest().encode() + b"\n")
    assert read_derived(path, dict[str, str]) is None


def test_a_checked_line_that_is_no_utf_8_is_read_as_damaged() -> None:
    body = b'{"question_id":"\xff"'
    check = crc32(b"}", crc32(body, crc32(b"key")))
    line = b'%b,"check":"%08x"}\n' % (body, check)
    assert checked_values(line, "key", Record) is None
