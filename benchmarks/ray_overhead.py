"""What Ray adds to a run, compared with the same run on this machine without it.

    PYTHONPATH=. python -m benchmarks.ray_overhead [--pairs 5] [--codecs source,jpeg] ...

Runs `eyechart-mini` on the built-in chart, as `eyechart run` and `eyechart run --ray` do: images
for codec workers, batches of questions for the VLM, scores, records on the disk. A local Ray is
started once. A pair is a run without it and a run on it, and every other pair begins with Ray. Not
counted are the start of the workers and the first batches, which load the VLM.

Printed for each pair, and as the median: questions a second of both, and what Ray adds in
wall-clock time and in processor time. Processor time is that of all processes, those of Ray
included, so that other programs on the machine change it little. At the end: the MB that this
process sent to the workers of a run on Ray, and received from them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from eyechart import api
from eyechart.api.progress import Tally
from eyechart.core.pool import WorkerPool
from eyechart.core.ray_workers import _RayActors, ray_workers
from eyechart.core.workers import OpenWorkers
from eyechart.runner.progress import SilentProgress

_FIRST = 4  # batches that are not counted: the copies load the VLM at their first ones
_TICKS = os.sysconf("SC_CLK_TCK")


class Watch(SilentProgress):
    """Notes time, processor time and questions after every batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, float, int]] = []

    def advance(self, where: str, tally: Tally) -> None:
        """After a batch."""
        self.batches.append((time.perf_counter(), cpu_s(), tally.questions_done))

    def cost(self, first_batches: int = _FIRST) -> tuple[float, float, int]:
        """Seconds, processor seconds and questions from the end of the first batches to that of
        the last one."""
        first, last = self.batches[first_batches - 1], self.batches[-1]
        return last[0] - first[0], last[1] - first[1], last[2] - first[2]


class Carried:
    """Bytes of calls, of their arrays, and of replies that pass through this process."""

    def __init__(self) -> None:
        import ray

        self.sent = self.received = 0
        call, put = _RayActors.call, ray.put

        def counted_call(
            actors: _RayActors, actor: Any, message: bytes, *rest: Any
        ) -> tuple[bytes, Sequence[Any]]:
            reply, kept = call(actors, actor, message, *rest)
            self.sent += len(message)
            self.received += len(reply)
            return reply, kept

        def counted_put(array: Any) -> Any:
            self.sent += array.nbytes
            return put(array)

        _RayActors.call = counted_call  # type: ignore[assignment, method-assign]
        ray.put = counted_put


def cpu_s() -> float:
    """Processor seconds so far of this process and all below it, those that ended included."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        used[pid] = sum(map(int, fields[11:15])) / _TICKS
    own, total = os.getpid(), 0.0
    for pid, seconds in used.items():
        above = pid
        while above not in (own, 0):
            above = parents.get(above, 0)
        total += seconds if above == own else 0
    return total


def main() -> None:
    """Print a line for each pair, and the median."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="for codecs")
    parser.add_argument("--vlm", default="eyechart-mini")
    parser.add_argument("--tasks", default="POPE,GQA")
    parser.add_argument("--codecs", default="source,jpeg")
    parser.add_argument("--images", type=int, default=16)
    arguments = parser.parse_args()
    wall, cpu = [], []
    carried = Carried()
    with ray_workers() as cluster:
        paths: list[tuple[str, OpenWorkers]] = [("processes", WorkerPool), ("Ray", cluster)]
        for pair in range(arguments.pairs):
            cost = {}
            for name, workers in paths if pair % 2 == 0 else reversed(paths):
                cost[name] = _run(arguments, workers)
            (local_s, local_cpu_s, count), (ray_s, ray_cpu_s, _) = cost["processes"], cost["Ray"]
            wall.append(ray_s / local_s)
            cpu.append(ray_cpu_s / local_cpu_s)
            print(
                f"{count} questions: {count / local_s:.1f}/s on processes, {count / ray_s:.1f}/s on"
                f" Ray ({_added(wall[-1])}); {local_cpu_s:.1f} s and {ray_cpu_s:.1f} s of processor"
                f" time ({_added(cpu[-1])})",
                flush=True,
            )
    print(f"median: time {_added(median(wall))}, processor time {_added(median(cpu))}")
    runs = arguments.pairs * 1e6
    print(f"MB of a run: {carried.sent / runs:.1f} sent, {carried.received / runs:.1f} received")


def _run(arguments: argparse.Namespace, workers: OpenWorkers) -> tuple[float, float, int]:
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        api.run(
            "quick",
            out=Path(folder) / "run",
            vlms=arguments.vlm,
            adapters="none",
            tasks=arguments.tasks,
            codecs=arguments.codecs,
            max_images=arguments.images,
            decoded_gb=0,
            workers=arguments.workers,
            open_workers=workers,
            progress=watch,
        )
    return watch.cost()


def _added(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


if __name__ == "__main__":
    main()
