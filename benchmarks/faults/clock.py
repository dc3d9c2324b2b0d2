"""A clock that was set back: files of a run directory from the future."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.faults.toy import pope, run_arguments
from benchmarks.faults.trial import FaultTrial, Verdict, command, judge

_MOST_S = 10 * 365 * 86_400.0


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` tries for each command. All files are from the future, or some; in half of the tries
    the last answers of a cell were lost, too, which only `run` asks again."""
    data, whole, out = folder / "data", folder / "whole", folder / "run"
    pope(data, chance)
    arguments = run_arguments(data, out, codecs="jpeg,webp")
    assert command(*run_arguments(data, whole, codecs="jpeg,webp")).code == 0
    right = _table(whole)
    commands = {"table": ("table", "scores", str(out)), "run": arguments, "report": ("report", out)}
    for row, command_line in commands.items():
        for _ in range(count):
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(whole, out)
            if chance.random() < 0.5:  # so that there are derived files, from now
                command("table", "scores", out)
            lost = chance.random() < 0.5
            if lost:
                path = chance.choice(sorted(out.glob("cells/*/records.jsonl")))
                path.write_bytes(path.read_bytes()[: -chance.randrange(10, 300)])
            share = chance.choice((0.5, 1.0))
            for path in sorted(out.rglob("*")):
                if chance.random() < share:
                    when_s = time.time() + chance.uniform(1, _MOST_S)
                    os.utime(path, (when_s, when_s))
            ended = command(*command_line)
            partly = lost and row != "run"

            def check(partly: bool = partly) -> Verdict:
                # A table that lacks answers says so.
                said = _table(out)
                seen = "questions answered so far" in said if partly else said == right
                return Verdict.right if seen else Verdict.wrong

            yield judge(row, ended, check)


def _table(out: Path) -> str:
    ended = command("table", "scores", out, "--format", "csv")
    assert ended.code == 0, ended.said
    return ended.said
