"""Who may write: locks that end with their process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from eyechart.core.types import Component
from eyechart.store import HeldError, Store

A = (Component(name="a", version="1"), None)
B = (Component(name="b", version="1"), None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "run")
    made.create()
    return made


def test_the_same_lane_twice_is_refused_by_name(store: Store) -> None:
    with store.writing([A]):
        with pytest.raises(HeldError, match="in use by process "), store.writing([A]):
            pass
        with store.writing([B]):
            pass
    with store.writing([A, B]):
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
