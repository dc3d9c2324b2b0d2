"""SIGKILL at every write of a run: only the batch in flight is lost, and no file is corrupt."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_fakes import FakeCodec, FakeTask, FakeVLM, fake_work

from eyechart.core.records import Record
from eyechart.core.types import component_of
from eyechart.core.workers import SerialExecutor
from eyechart.runner.engine import run
from eyechart.runner.options import Options
from eyechart.runner.progress import SilentProgress
from eyechart.runner.work import Work
from eyechart.store import HeldError, Store

TASKS = (FakeTask(), FakeTask(name="Other", images=2, per_image=3))


def work() -> Work:
    return fake_work(codecs=[FakeCodec(bad_images=(25,))], tasks=TASKS)


def go(root: Path) -> None:
    store, todo = Store(root), work()
    store.create()
    with store.writing([(model.vlm, model.adapter) for model in todo.models]):
        run(todo, store, SerialExecutor(), SilentProgress(), Options(batch=4))


def records(root: Path) -> dict[str, list[Record]]:
    return {stored.key: stored.records() for stored in Store(root).cells()}


def failures(root: Path) -> list[tuple[str, str, str]]:
    return [(c.key, f.question_id, f.message) for c in Store(root).cells() for f in c.failures()]


def killed_at(point: int, root: Path) -> bool:
    """A forked child runs until its `point`-th write, which it does by half, then SIGKILL."""
    child = os.fork()
    if child == 0:
        left = iter(range(point, -1, -1))

        def dying(call: Callable[..., Any], half: bool) -> Callable[..., Any]:
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                if next(left) == 0:
                    if half:
                        call(args[0], args[1][: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return wrapped

        os.write = dying(os.write, half=True)
        os.open = dying(os.open, half=False)
        Path.replace = dying(Path.replace, half=False)  # type: ignore[method-assign]
        Path.mkdir = dying(Path.mkdir, half=False)  # type: ignore[method-assign]
        try:
            go(root)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_kill_at_any_write_changes_no_record_of_the_rerun(tmp_path: Path) -> None:
    go(tmp_path / "whole")
    expected, lost = records(tmp_path / "whole"), failures(tmp_path / "whole")
    assert sum(map(len, expected.values())) == 20
    assert len(lost) == 4
    point = 0
    while killed_at(point, tmp_path / f"cut{point}"):
        root = tmp_path / f"cut{point}"
        if (root / "cells").is_dir():
            for key, stored in records(root).items():  # readable before anything is repaired
                assert set(stored) <= set(expected[key])
        go(root)
        assert (records(root), failures(root)) == (expected, lost)
        point += 1
    assert point > 50


def test_a_run_killed_again_and_again_finishes(tmp_path: Path) -> None:
    go(tmp_path / "whole")
    points = random.Random(0)
    kills = 0
    while killed_at(points.randrange(10, 26), tmp_path / "run"):
        kills += 1
    assert kills > 2
    assert records(tmp_path / "run") == records(tmp_path / "whole")
    assert failures(tmp_path / "run") == failures(tmp_path / "whole")


def test_records_cut_at_any_byte_are_asked_again(tmp_path: Path) -> None:
    go(tmp_path / "run")
    whole = records(tmp_path / "run")
    path = Store(tmp_path / "run").cells()[0].path / "records.jsonl"
    data = path.read_bytes()
    for size in range(0, len(data), 29):
        path.write_bytes(data[:size])
        go(tmp_path / "run")
        assert records(tmp_path / "run") == whole


CHILD = """
import signal, sys
from pathlib import Path
from run_fakes import FakeCodec, FakeVLM, fake_work
from eyechart.runner.engine import run
from eyechart.runner.reconstruction import open_executor
from eyechart.runner.progress import SilentProgress
from eyechart.store import Store

def hold(request):
    print("answering", flush=True)
    sys.stdin.read()

if __name__ == "__main__":
    # A background job is started with Ctrl-C ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    store = Store(sys.argv[1])
    store.create()
    work = fake_work(FakeVLM(refuse=hold), [FakeCodec(bad_images=(25,))])
    codecs = [entry.codec for entry in work.codecs]
    with store.writing([(model.vlm, model.adapter) for model in work.models]):
        run(work, store, open_executor(2), SilentProgress())
"""


@pytest.fixture
def busy(tmp_path: Path) -> subprocess.Popen[str]:
    """A real run with two workers, in the middle of an answer."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    child = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "answering\n"
    return child


def children_of(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_workers_end_with_a_killed_run_and_its_lease_with_them(
    busy: subprocess.Popen[str], tmp_path: Path
) -> None:
    workers = children_of(busy.pid)
    assert len(workers) >= 2
    store = Store(tmp_path / "run")
    model = (component_of(FakeVLM()), None)
    with pytest.raises(HeldError, match=f"process {busy.pid} "), store.writing([model]):
        pass
    busy.kill()
    busy.communicate()
    deadline = time.monotonic() + 60
    while any(_alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "workers outlive their run"
        os.sched_yield()
    with store.writing([model]):
        pass
    go(tmp_path / "run")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_ctrl_c_ends_a_run_at_once_and_keeps_what_was_answered(
    busy: subprocess.Popen[str], tmp_path: Path
) -> None:
    busy.send_signal(signal.SIGINT)
    assert busy.wait(timeout=60) != 0
    go(tmp_path / "whole")
    go(tmp_path / "run")
    assert records(tmp_path / "run") == records(tmp_path / "whole")
