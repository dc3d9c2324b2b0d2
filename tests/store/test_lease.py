"""Leases: locks that end with their process."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest

from eyechart.core.errors import StoreError
from eyechart.core.types import Component
from eyechart.store import HeldError, Store

A = (Component(name="a", version="1"), None)
B = (Component(name="b", version="1"), None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "run")
    made.create()
    return made


def test_the_same_model_twice_is_refused_by_name(store: Store) -> None:
    with store.writing([A]):
        with pytest.raises(HeldError, match="in use by process "), store.writing([A]):
            pass
        with store.writing([B]):
            pass
    with store.writing([A, B]):
        pass


def test_files_of_the_whole_directory_are_updated_one_run_at_a_time(store: Store) -> None:
    """Two models read a file, then write it anew: neither loses the other's part."""
    path, both_read = store.root / "shared", Barrier(2)
    path.write_text("")

    def update(name: str) -> None:
        with store.updating("shared"):
            before = path.read_text()
            with suppress(BrokenBarrierError):  # the other one is kept waiting outside
                both_read.wait(timeout=0.3)
            path.write_text(before + name)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(update, ("a", "b")))
    assert sorted(path.read_text()) == ["a", "b"]


def test_a_full_disk_does_not_keep_a_run_from_its_lock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with store.writing([A]), pytest.raises(HeldError, match="in use by"), store.writing([A]):
        pass


def test_a_file_system_without_locks_is_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(StoreError, match="cannot be locked"), store.writing([A]):
        pass


def test_rewriting_needs_the_directory_alone(store: Store) -> None:
    with store.writing([A]), pytest.raises(HeldError), store.rewriting():
        pass
    with (
        store.rewriting(),
        pytest.raises(HeldError, match="in use by process"),
        store.writing([A]),
    ):
        pass


def test_a_killed_holder_holds_nothing(store: Store) -> None:
    code = (
        "import sys\n"
        "from eyechart.core.types import Component\n"
        "from eyechart.store import Store\n"
        "with Store(sys.argv[1]).writing([(Component(name='a', version='1'), None)]):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(HeldError, match=f"process {child.pid} "), store.writing([A]):
            pass
    finally:
        child.kill()
        child.communicate()
    with store.writing([A]):
        pass
