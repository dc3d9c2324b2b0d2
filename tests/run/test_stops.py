"""Runs that are interrupted, whose workers are killed, and whose VLM gives up, at random moments.

EYECHART_STRESS=1 makes 200 interruptions and 100 kills; the usual test run makes fewer.
"""

from __future__ import annotations

import base64
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from eyechart.core.images import encode_png
from eyechart.core.records import Record
from eyechart.store import Store

STRESS = bool(os.environ.get("EYECHART_STRESS"))
INTERRUPTIONS, KILLS, GIVEN_UP = (200, 100, 30) if STRESS else (8, 6, 2)
ENDS_S = 20  # from the stop to the end of the last process; a run that takes longer hangs
COMPLETE_S = 300  # for all that a run has to do, on a busy machine
IMAGES = 24

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """POPE.tsv with noisy images: compressing them takes a moment."""
    folder = tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0)
    rows = ["index\timage\tquestion\tanswer\tcategory"]
    for n in range(IMAGES):
        png = encode_png(noise.integers(0, 256, (160, 160, 3), np.uint8))
        image = base64.b64encode(png).decode()
        rows.append(f"{n}\t{image}\tIs it red?\tYes\trandom,popular,adversarial")
    (folder / "POPE.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Record]]:
    """The records of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    child = start(data, out)
    assert end(child, COMPLETE_S)[0] == 0
    return records(out)


def start(data: Path, out: Path, *gives_up: str) -> subprocess.Popen[str]:
    """A run in its own session, from the start of its command line."""
    child = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("stop_child.py"), data, out, *gives_up],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    return child


def end(child: subprocess.Popen[str], limit_s: float = ENDS_S) -> tuple[int, str]:
    """Exit code and stderr; a run that hangs is an error."""
    try:
        _, said = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    return child.returncode, said


def runs_for(child: subprocess.Popen[str], seconds: float) -> bool:
    """Let a run continue for some time; False if it ended before."""
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def records(out: Path) -> dict[str, list[Record]]:
    return {stored.key: stored.records() for stored in Store(out).cells()}


def workers_of(child: subprocess.Popen[str]) -> list[int]:
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends meanwhile
        for thread in Path(f"/proc/{child.pid}/task").glob("*/children"):
            found += map(int, thread.read_text().split())
    return found


def nothing_left_of(child: subprocess.Popen[str]) -> bool:
    """Whether all processes of an ended run end too."""
    deadline = time.monotonic() + ENDS_S
    while time.monotonic() < deadline:
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            return True
        os.sched_yield()
    return False


def test_an_interrupted_run_ends_with_130_and_one_line(
    data: Path, whole: dict[str, list[Record]], tmp_path: Path
) -> None:
    moments = random.Random(1)
    out = tmp_path / "run"
    interrupted = 0
    while interrupted < INTERRUPTIONS:
        child = start(data, out)
        if not runs_for(child, moments.uniform(0, 2.5)):
            assert end(child)[0] == 0
            assert records(out) == whole
            out = tmp_path / f"run{interrupted}"
            continue
        with suppress(ProcessLookupError):  # as a terminal does: the whole group of processes
            os.killpg(child.pid, signal.SIGINT)
        code, said = end(child)
        if code == 0:  # it had just finished
            continue
        interrupted += 1
        assert code == 130, said
        assert "Traceback" not in said
        assert "stopped" in said
        assert nothing_left_of(child)


def test_a_run_whose_workers_are_killed_ends_and_loses_no_answer_but_theirs(
    data: Path, whole: dict[str, list[Record]], tmp_path: Path
) -> None:
    moments = random.Random(2)
    kills = turn = 0
    while kills < KILLS:
        out = tmp_path / f"run{turn}"
        turn += 1
        child = start(data, out)
        last = min(KILLS, kills + 8)  # so that the images that are left take a limited time
        while kills < last and runs_for(child, moments.uniform(0.05, 0.8)):
            workers = workers_of(child)
            if workers:
                with suppress(ProcessLookupError):
                    os.kill(moments.choice(workers), signal.SIGKILL)
                kills += 1
        code, said = end(child, COMPLETE_S)
        assert code in (0, 1), said
        assert "Traceback" not in said
        assert nothing_left_of(child)
        assert end(start(data, out), COMPLETE_S)[0] == 0  # what was lost is asked again
        assert records(out) == whole


@pytest.mark.parametrize(("error", "code"), [("unusable", 2), ("no-reply", 1)])
def test_a_run_whose_vlm_gives_up_ends_while_workers_make_images(
    error: str, code: int, data: Path, whole: dict[str, list[Record]], tmp_path: Path
) -> None:
    questions = sum(map(len, whole.values()))
    moments = random.Random(3)
    for turn in range(GIVEN_UP):
        out = tmp_path / f"run{turn}"
        child = start(data, out, str(moments.randrange(1, questions // 2)), error)
        assert child.stdout is not None
        assert "gives up\n" in child.stdout
        ended, said = end(child)
        assert ended == code, said
        assert "Traceback" not in said
        assert "toy" in said
        assert nothing_left_of(child)
        assert end(start(data, out), COMPLETE_S)[0] == 0
        assert records(out) == whole
