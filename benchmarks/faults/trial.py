"""One try: a call in a separate process, and its verdict."""

from __future__ import annotations

import os
import resource
import select
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from eyechart.cli import BUG, DONE, FAILURES, run_args

LIMIT_S = 120.0
MEMORY_BYTES = 4 << 30  # address space beyond what is mapped when the call begins
_LONGEST_LINE = 320  # eyechart's own limit for an error line is 300


class Verdict(StrEnum):
    """How a try ended.

    refused: one clear line and exit code 1 or 2. right: done, with the right result. other: done,
    with another result that cannot be detected as wrong (a changed text, an image file without a
    checksum). The last three are faults of eyechart.
    """

    refused = "refused"
    right = "right"
    other = "other"
    wrong = "wrong"
    crash = "crash"
    hang = "hang"


FAULTS = (Verdict.wrong, Verdict.crash, Verdict.hang)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedCall:
    """A finished call. code: exit code; minus the signal if one ended it; None for a hang."""

    code: int | None
    said: str
    took_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTrial:
    """The verdict on a try. row: of the table. note: description of a fault."""

    row: str
    verdict: Verdict
    note: str = ""
    took_s: float = 0.0
    peak_mb: float = 0.0


def command(*args: str | Path, limit_s: float = LIMIT_S) -> FinishedCall:
    """The command line in a child process."""
    return call(lambda: run_args([str(arg) for arg in args]), limit_s=limit_s)


def call(work: Callable[[], int], *, limit_s: float = LIMIT_S) -> FinishedCall:
    """A call that returns an exit code, in a child process with limits of memory and time."""
    start_s = time.monotonic()
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if pid == 0:
            _run_as_child(work, said.fileno())
        code, peak_mb = _wait(pid, limit_s)
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    return FinishedCall(code=code, said=text, took_s=time.monotonic() - start_s, peak_mb=peak_mb)


def judge(row: str, ended: FinishedCall, check: Callable[[], Verdict]) -> FaultTrial:
    """The verdict on a call. check: called where the exit code is 0."""
    verdict, note = _verdict(ended, check)
    if verdict in FAULTS:
        note = f"{note} (exit code {ended.code}) {ended.said.strip()[-600:]}"
    return FaultTrial(
        row=row, verdict=verdict, note=note, took_s=ended.took_s, peak_mb=ended.peak_mb
    )


def _verdict(ended: FinishedCall, check: Callable[[], Verdict]) -> tuple[Verdict, str]:
    if ended.code is None:
        return Verdict.hang, "still running"
    if ended.code < 0:
        return Verdict.crash, f"ended by signal {-ended.code}"
    if "Traceback" in ended.said or ended.code == BUG:
        return Verdict.crash, "a bug"
    if ended.code == DONE:
        try:
            return check(), "another result than without damage"
        except Exception as error:  # noqa: BLE001 - what was written cannot be read
            return Verdict.crash, repr(error)
    lines = ended.said.strip().splitlines()
    if ended.code != FAILURES and not any(line.startswith("eyechart: ") for line in lines):
        return Verdict.crash, "no line says why"
    if any(len(line) > _LONGEST_LINE for line in lines if line.startswith("eyechart: ")):
        return Verdict.crash, "an error line is too long"
    return Verdict.refused, ""


def _run_as_child(work: Callable[[], int], output: int) -> None:
    code = BUG
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        code = work()
    except BaseException:  # noqa: BLE001 - the parent reads it
        import traceback

        traceback.print_exc()
    finally:
        import sys

        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, limit_s: float) -> tuple[int | None, float]:
    """Exit code and peak memory (MB) of the child and its children."""
    handle = os.pidfd_open(pid)
    try:
        in_time = bool(select.select([handle], [], [], limit_s)[0])
        if not in_time:
            os.killpg(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
    finally:
        os.close(handle)
    code = os.waitstatus_to_exitcode(status) if in_time else None
    return code, used.ru_maxrss / 1024
