"""Time that a worker on Ray adds to a call, compared with a worker process of this machine.

    PYTHONPATH=. python -m benchmarks.ray_overhead [--calls 300] [--workers 1]

Each call gets an image of 640x480, works for a fixed time on a core (about that of a JPEG encoder
and decoder, and of an x265 encoder), and returns an image of the same size. Printed: calls a second
on worker processes and on a local Ray, with as many calls in flight as a run has, and what Ray adds
to a call.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import Future

import numpy as np

from eyechart.core.pool import WorkerPool
from eyechart.core.ray_workers import ray_workers
from eyechart.core.types import Rgb8
from eyechart.core.workers import CPU, Executor

WORK_MS = (0, 4, 40)
_AHEAD = 16  # calls in flight for each worker


def work(image: Rgb8, work_s: float) -> Rgb8:
    """Use a core for `work_s` of processor time."""
    end_s = time.process_time() + work_s
    while time.process_time() < end_s:
        image = image[::-1]
    return np.ascontiguousarray(image)


def main() -> None:
    """Print a line for each length of a call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    calls, workers = arguments.calls, arguments.workers
    pool = WorkerPool(workers)
    with ray_workers() as cluster:
        on_ray = cluster(workers)
        for executor in (pool, on_ray):
            _seconds(executor, workers, workers, 0)  # starts the workers
        for work_ms in WORK_MS:
            local_s = _seconds(pool, calls, workers, work_ms)
            ray_s = _seconds(on_ray, calls, workers, work_ms)
            added_ms = 1000 * (ray_s - local_s) / calls * workers
            print(
                f"{work_ms:3} ms a call: {calls / local_s:7.1f} calls/s on processes, "
                f"{calls / ray_s:7.1f} on Ray; {added_ms:+.2f} ms a call, "
                f"{100 * (ray_s / local_s - 1):+.0f} %"
            )
    pool.close()


def _seconds(executor: Executor, calls: int, workers: int, work_ms: float) -> float:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    start_s = time.perf_counter()
    flight: list[Future[Rgb8]] = []
    for _ in range(calls):
        flight.append(executor.submit(CPU, work, image, work_ms / 1000))
        if len(flight) >= _AHEAD * workers:
            flight.pop(0).result()
    for future in flight:
        future.result()
    return time.perf_counter() - start_s


if __name__ == "__main__":
    # Workers import `work` by the name of its module, which is not that of a script.
    from benchmarks import ray_overhead

    ray_overhead.main()
