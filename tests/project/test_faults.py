"""Damaged and malicious input of every kind, one try a row: `python -m benchmarks.faults`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = [
    "answers",
    "bitstreams",
    "clock",
    "decoders",
    "disks",
    "images",
    "kills",
    "run-directories",
    "scorers",
    "servers",
    "small-files",
    "task-files",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc"),
]


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(tried, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("kind", KINDS)
def test_faults_end_in_a_clear_line_or_in_the_right_result(kind: str) -> None:
    if kind == "disks" and not may_mount():
        pytest.skip("file systems cannot be mounted here")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--kind", kind, "--count", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) > 1
