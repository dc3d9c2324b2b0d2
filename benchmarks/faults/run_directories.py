"""Damaged run directories: a file that is changed, cut, removed, swapped or made a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.faults.damage import damaged
from benchmarks.faults.toy import pope, run_arguments
from benchmarks.faults.trial import FaultTrial, FinishedCall, Verdict, command, judge


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` tries for each command that reads a run directory."""
    data, whole, out = folder / "data", folder / "whole", folder / "run"
    pope(data, chance)
    arguments = run_arguments(data, out, codecs="jpeg,webp")
    assert command(*run_arguments(data, whole, codecs="jpeg,webp")).code == 0
    right = _tables(whole)
    commands = {
        "table": ("table", "scores", str(out), "--format", "csv"),
        "run": arguments,
        "rescore": ("rescore", str(out)),
        "records": ("export", "records", str(out), str(folder / "records.csv")),
        "report": ("report", str(out)),
    }
    for row, command_line in commands.items():
        for _ in range(count):
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(whole, out)
            what = _damage(out, chance)
            ended = command(*command_line)
            trial = judge(row, ended, lambda: _unchanged(right, out))
            yield _noted(trial, what)


def _unchanged(right: str, out: Path) -> Verdict:
    """Whether the tables are as before the damage, or the error is one clear line."""
    ended = command("table", "scores", out, "--format", "csv")
    if ended.code != 0:
        trial = judge("", ended, lambda: Verdict.right)
        return trial.verdict
    # A line that names what is missing: a cell, or records that a kill would have cut off.
    if "not shown: " in ended.said or "questions answered so far" in ended.said:
        return Verdict.refused
    return Verdict.right if ended.said == right else Verdict.wrong


def _tables(out: Path) -> str:
    ended: FinishedCall = command("table", "scores", out, "--format", "csv")
    assert ended.code == 0, ended.said
    return ended.said


def _damage(out: Path, chance: Random) -> str:
    """Damage one file; returns a description."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.stat().st_size)
    path = chance.choice(files)
    name = path.relative_to(out)
    match chance.randrange(8):
        case 0:
            path.unlink()
            return f"{name} removed"
        case 1:
            path.unlink()
            path.mkdir()
            return f"{name} is a folder"
        case 2:
            other = chance.choice([one for one in files if one.suffix == path.suffix])
            mine, its = path.read_bytes(), other.read_bytes()
            path.write_bytes(its)
            other.write_bytes(mine)
            return f"{name} and {other.relative_to(out)} swapped"
        case 3:
            path.write_bytes(path.read_bytes() * 2)
            return f"{name} doubled"
        case 4:
            path.write_bytes(b"")
            return f"{name} emptied"
        case _:
            path.write_bytes(damaged(path.read_bytes(), chance))
            return f"{name} damaged"


def _noted(trial: FaultTrial, what: str) -> FaultTrial:
    if not trial.note:
        return trial
    return FaultTrial(
        row=trial.row,
        verdict=trial.verdict,
        note=f"{what}: {trial.note}",
        took_s=trial.took_s,
        peak_mb=trial.peak_mb,
    )
