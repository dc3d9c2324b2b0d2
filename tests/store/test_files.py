"""Whole-file replacement and appended lines, under full disks and cuts at every byte."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import pytest

from eyechart.core.errors import InputError, StoreError
from eyechart.core.files import check_out
from eyechart.store.files import (
    append_lines,
    cut_torn_line,
    open_atomic,
    read_lines,
    write_atomic,
)


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """A disk that is full after `size_bytes`: root is stopped by it too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


def test_appended_lines_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_lines(path, ["one", "zwei ü"])
    append_lines(path, [])
    append_lines(path, ["three"])
    assert read_lines(path) == ["one", "zwei ü", "three"]


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none") == []
    assert cut_torn_line(tmp_path / "none") == 0


def test_a_cut_at_every_byte_keeps_the_complete_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    lines = ["first", "ünï ☃", "last"]
    append_lines(path, lines)
    data = path.read_bytes()
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        whole = lines[: data[:size].count(b"\n")]
        assert read_lines(path) == whole
        cut_torn_line(path)
        append_lines(path, ["after"])
        assert read_lines(path) == [*whole, "after"]


def test_a_full_disk_appends_all_lines_or_none(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_lines(path, ["kept"])
    with file_size_limit(10), pytest.raises(StoreError, match="cannot be appended to"):
        append_lines(path, ["a line that is too long for this disk"])
    assert path.read_bytes() == b"kept\n"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with file_size_limit(2), pytest.raises(StoreError, match="cannot be written"):
        write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_file_in_place_of_a_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for act in (append_lines, lambda path, lines: write_atomic(path, b"")):
        with pytest.raises(StoreError) as caught:
            act(tmp_path / "file" / "x", ["line"])
        assert "\n" not in str(caught.value)
        assert str(tmp_path / "file" / "x") in str(caught.value)


def test_bytes_that_are_not_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"good\n\xff\n")
    with pytest.raises(StoreError, match="damaged"):
        read_lines(path)


def test_threads_that_write_one_file_do_not_mix_their_data(tmp_path: Path) -> None:
    path = tmp_path / "file"
    both_open = Barrier(2)

    def write(text: bytes) -> None:
        with open_atomic(path, sync=False) as file:
            file.write(text)
            both_open.wait(timeout=60)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, [b"one", b"two"]))
    assert path.read_bytes() in (b"one", b"two")
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_out(pipe)
    read: list[bytes] = []
    reader = Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_atomic(pipe, b"figures")
    reader.join(60)
    assert read == [b"figures"]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_an_input_that_is_missing_is_no_input_to_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"")
    check_out(out, source=tmp_path / "missing")
    with pytest.raises(InputError, match="is the input"):
        check_out(out, source=tmp_path / "." / "out")


def test_a_full_device_is_an_error() -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("needs /dev/full")
    with pytest.raises(StoreError, match="/dev/full: cannot be written"):
        write_atomic(full, b"figures")
    assert full.is_char_device()
