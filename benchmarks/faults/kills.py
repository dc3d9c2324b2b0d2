"""Runs that are ended by SIGKILL at a random moment, and called again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.faults.toy import pope, run_arguments
from benchmarks.faults.trial import FaultTrial, Verdict, command, judge
from eyechart.store import Store


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` kills. Before the second call, what can be read is part of the right records."""
    data, whole, out = folder / "data", folder / "whole", folder / "run"
    pope(data, chance, images=40)
    uninterrupted = command(*run_arguments(data, whole))
    assert uninterrupted.code == 0, uninterrupted.said
    right = _lines(whole)
    kills = 0
    while kills < count:
        shutil.rmtree(out, ignore_errors=True)
        arguments = run_arguments(data, out)
        killed = command(*arguments, limit_s=chance.uniform(0, uninterrupted.took_s))
        if killed.code is not None:  # it had just ended
            continue
        kills += 1
        kept = _lines(out)
        sound = all(lines <= right[key] for key, lines in kept.items())
        again = command(*arguments)
        same = sound and _lines(out) == right and _counts(out) == _counts(whole)
        yield judge("run", again, lambda same=same: Verdict.right if same else Verdict.wrong)  # type: ignore[misc]


def _lines(out: Path) -> dict[str, set[str]]:
    """The records of each cell, without what differs between equal runs."""
    if not Store(out).is_run():
        return {}
    return {stored.key: set(map(repr, stored.records())) for stored in Store(out).cells()}


def _counts(out: Path) -> dict[str, int]:
    """Lines of each cell: a question that was answered twice has two."""
    return {
        stored.key: len((stored.path / "records.jsonl").read_bytes().splitlines())
        for stored in Store(out).cells()
    }
