"""Trials of eyechart with damaged and malicious input; one line for each kind of fault.

    python -m benchmarks.faults --kind bitstreams --count 200 [--seed 1]

Every try is a separate process with limits of time and memory. Tries with a wrong result, a
traceback or a hang are printed. Linux only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from random import Random

from benchmarks.faults import (
    answers,
    bitstreams,
    clock,
    decoders,
    disks,
    images,
    interruptions,
    kills,
    run_directories,
    scorers,
    servers,
    small_files,
    task_files,
    toy,
)
from benchmarks.faults.trial import FAULTS, FaultTrial, Verdict

KINDS: dict[str, Callable[[int, Random, Path], Iterator[FaultTrial]]] = {
    "bitstreams": bitstreams.trials,
    "decoders": decoders.trials,
    "images": images.trials,
    "task-files": task_files.trials,
    "small-files": small_files.trials,
    "answers": answers.trials,
    "run-directories": run_directories.trials,
    "servers": servers.trials,
    "disks": disks.trials,
    "scorers": scorers.trials,
    "kills": kills.trials,
    "clock": clock.trials,
    "interruptions": interruptions.trials,
}
_SHOWN = 3  # faults of one row that are printed


def main() -> int:
    """Print the table; 1 if a fault was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=list(KINDS), required=True)
    parser.add_argument("--count", type=int, default=20, help="tries a row")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.kind == "disks":
        disks.enter_namespace()
    columns = "".join(f"{verdict:>9}" for verdict in Verdict)
    print(f"{arguments.kind:28}{'tries':>5}{columns}{'slowest s':>11}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        toy.register(Path(folder))
        toy.preload(Path(folder))
        made = KINDS[arguments.kind](arguments.count, Random(arguments.seed), Path(folder))
        found = [_print(row, list(trials)) for row, trials in groupby(made, lambda one: one.row)]
    return 1 if any(found) else 0


def _print(row: str, trials: Sequence[FaultTrial]) -> bool:
    """Print a line of the table, and the first faults; whether there is one."""
    counts = Counter(trial.verdict for trial in trials)
    columns = "".join(f"{counts[verdict]:9}" for verdict in Verdict)
    slowest_s = max(trial.took_s for trial in trials)
    peak_mb = max(trial.peak_mb for trial in trials)
    print(f"{row:28}{len(trials):5}{columns}{slowest_s:11.1f}{peak_mb:9.0f}", flush=True)
    faults = [trial for trial in trials if trial.verdict in FAULTS]
    for trial in faults[:_SHOWN]:
        print(f"    {trial.verdict}: {' '.join(trial.note.split())[:1000]}", flush=True)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
