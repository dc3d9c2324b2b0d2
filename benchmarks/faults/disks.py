"""Full and read-only disks: small file systems in memory, in a separate mount namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.faults.toy import pope, run_arguments
from benchmarks.faults.trial import FaultTrial, Verdict, command, judge
from eyechart.core.records import Record
from eyechart.store import Store

_INSIDE = "EYECHART_FAULTS_NAMESPACE"
_LEAST_KB, _MOST_KB = 4, 600  # a whole run takes about 400 KB


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` disks that fill up in a run, and `count` that become read-only before the next."""
    data, whole, disk = folder / "data", folder / "whole", folder / "disk"
    pope(data, chance, images=40)
    assert command(*run_arguments(data, whole)).code == 0
    right = _records(whole)
    disk.mkdir()
    for _ in range(count):
        with _Mounted(disk, chance.randint(_LEAST_KB, _MOST_KB)) as mounted:
            out = disk / "run"
            trial = judge("full", command(*run_arguments(data, out)), lambda: Verdict.right)
            mounted.change("size=64m")
            yield _continued(trial, data, out, right)
    for _ in range(count):
        with _Mounted(disk, chance.randint(_MOST_KB, 2 * _MOST_KB)) as mounted:
            out = disk / "run"
            if chance.random() < 0.8:
                command(
                    *run_arguments(data, out, codecs=chance.choice(("webp", "jpeg:levels=[1]")))
                )
            mounted.change("ro")
            trial = judge("read-only", command(*run_arguments(data, out)), lambda: Verdict.wrong)
            mounted.change("rw,size=64m")
            yield _continued(trial, data, out, right)


def _continued(
    trial: FaultTrial, data: Path, out: Path, right: dict[str, list[Record]]
) -> FaultTrial:
    """The trial, or the error after the disk was repaired and the run was called again."""
    again = judge(trial.row, command(*run_arguments(data, out)), lambda: Verdict.right)
    if again.verdict == Verdict.right:
        found = _records(out)
        if all(found[key] == records for key, records in right.items()):
            return trial
    note = again.note or "after it was repaired, the records differ or the run fails"
    return FaultTrial(row=trial.row, verdict=Verdict.wrong, note=note, took_s=trial.took_s)


def _records(out: Path) -> dict[str, list[Record]]:
    return {stored.key: stored.records() for stored in Store(out).cells()}


class _Mounted:
    """Mount a file system in memory at a folder. size: in KB."""

    def __init__(self, folder: Path, size_kb: int) -> None:
        self._folder, self._size_kb = folder, size_kb

    def __enter__(self) -> _Mounted:
        _mount("-t", "tmpfs", "-o", f"size={self._size_kb}k", "tmpfs", str(self._folder))
        return self

    def change(self, options: str) -> None:
        _mount("-o", f"remount,{options}", str(self._folder))

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self._folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def enter_namespace() -> None:
    """Start this program again in a namespace that allows mounting. Raises SystemExit."""
    if os.environ.get(_INSIDE):
        return
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode
    ):
        raise SystemExit("disks: needs Linux's unshare and a kernel that allows user namespaces")
    os.environ[_INSIDE] = "1"
    command = ["unshare", "-Urm", sys.executable, "-m", "benchmarks.faults", *sys.argv[1:]]
    os.execvp(command[0], command)
