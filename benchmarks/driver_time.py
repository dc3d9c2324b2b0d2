"""Time and memory of the main process of a run, with a codec and a VLM that take no time.

    python -m benchmarks.driver_time DIR [--images 25000] [--per-image 18] [--levels 40]

The default is a grid of a million images (25,000 at 40 levels) and 18 million questions. Everything
runs in one process, so that its CPU time after the start is what a run costs beside codec and VLM:
tasks, stored bitstreams, scores and records. Printed at each tenth: questions, CPU time a question,
peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.store_size import register, write_questions
from eyechart import api
from eyechart.api.progress import Tally
from eyechart.core.types import Bitstream, Json, Level, Rgb8
from eyechart.runner.progress import SilentProgress

_SHOWN = 10  # lines


@dataclass
class InstantCodec:
    """Keeps one pixel. count: of levels."""

    count: int = 40
    name: str = "instant-codec"
    version: str = "1"

    @property
    def options(self) -> Mapping[str, Json]:
        """The number of levels."""
        return {"count": self.count}

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels that differ in their name only."""
        return tuple(Level(name=str(n), rank=n, knobs={"n": n}) for n in range(self.count))

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        """The size, the level and the first pixel."""
        height, width, _ = rgb8.shape
        payload = bytes([height, width, level.rank]) + rgb8[0, 0].tobytes()
        return Bitstream(payload=payload, height_px=height, width_px=width)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        """An image of one colour."""
        height, width = bitstream.payload[:2]
        image = np.empty((height, width, 3), np.uint8)
        image[:] = np.frombuffer(bitstream.payload[3:], np.uint8)
        return image


class _Figures(SilentProgress):
    """Prints what the process has used, ten times in a run."""

    def __init__(self) -> None:
        self._shown = 0
        self._start_s = 0.0

    def begin(self, label: str, tally: Tally) -> None:
        self._start_s, self._before = time.process_time(), tally.questions_done

    def advance(self, where: str, tally: Tally) -> None:
        done = tally.questions_done - self._before
        if tally.questions_done * _SHOWN < (self._shown + 1) * tally.questions:
            return
        self._shown = tally.questions_done * _SHOWN // tally.questions
        used_ms = 1000 * (time.process_time() - self._start_s) / max(done, 1)
        print(f"{done:12,} questions  {used_ms:.3f} ms each  {_peak_mb():6.0f} MB", flush=True)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the grid, and then once more, which finds everything done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--images", type=int, default=25_000)
    parser.add_argument("--per-image", type=int, default=18)
    parser.add_argument("--levels", type=int, default=40)
    given = parser.parse_args()
    folder = given.directory
    register(folder / "plugin")
    write_questions(folder / "data", given.images, given.per_image)
    plan = {
        "vlms": "instant:seed=0",
        "tasks": "POPE",
        "codecs": f"instant-codec:count={given.levels}",
        "data": str(folder / "data"),
    }
    for name in ("run", "resumed"):
        start_s, cpu_s = time.perf_counter(), time.process_time()
        outcome = api.run(plan, out=folder / "run", workers=0, progress=_Figures())
        seconds, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
        print(
            f"{name}: {outcome.answered:,} answers in {seconds:.1f} s, {cpu_s:.1f} s of CPU, "
            f"{_peak_mb():.0f} MB"
        )


if __name__ == "__main__":
    main()
