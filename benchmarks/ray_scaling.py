"""Questions a second on one and on two workers of a local Ray, where the work is waiting.

    PYTHONPATH=. python -m benchmarks.ray_scaling [--pairs 3]

A codec and a VLM wait for as long as a slow codec and a VLM on a GPU work, and use no core. So this
measures how far the scheduler, and the driver that writes the records, let runs scale; it says
nothing about cores that are shared. Each pair is a run with one codec worker and one copy of the
VLM, and a run with two of each. Not counted are the start of the workers and the first batches.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.ray_overhead import Watch
from benchmarks.store_size import write_questions
from eyechart import api
from eyechart.codecs.source import SourceCodec
from eyechart.core.ray_workers import ray_workers
from eyechart.core.types import Answer, Bitstream, Decoding, Json, Level, Request, Rgb8

_CODEC_S = 0.1  # of an image
_IMAGES, _PER_IMAGE = 300, 5
_FIRST = 20  # batches that are not counted: their images were made while the VLM was loaded
_IMAGE_S, _QUESTION_S = 0.05, 0.005  # of an answer


class WaitingCodec(SourceCodec):
    """Keeps the image, after a wait."""

    name = "waiting-codec"

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        """After a wait."""
        time.sleep(_CODEC_S)
        return super().encode(rgb8, level)


@dataclass
class WaitingVlm:
    """Answers Yes after a wait."""

    name: str = "waiting"
    version: str = "1"
    family: str = "default"
    options: Mapping[str, Json] = field(default_factory=dict)
    questions_at_once: int = 20

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One answer a question."""
        questions = sum(len(request.prompts) for request in requests)
        time.sleep(_IMAGE_S * len(requests) + _QUESTION_S * questions)
        return [[Answer(text="Yes", tokens=1) for _ in request.prompts] for request in requests]


def main() -> None:
    """Print a line for each pair, and the median."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args().pairs
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        _register(Path(folder))
        write_questions(Path(folder) / "data", _IMAGES, _PER_IMAGE)
        with ray_workers() as cluster:
            for pair in range(pairs):
                speeds = {}
                for workers in (1, 2) if pair % 2 == 0 else (2, 1):
                    cluster.devices = ("auto",) * workers
                    watch = Watch()
                    api.run(
                        {"vlms": "waiting", "tasks": "POPE", "codecs": "waiting-codec"},
                        out=Path(folder) / f"run-{pair}-{workers}",
                        data=Path(folder) / "data",
                        workers=workers,
                        open_workers=cluster,
                        progress=watch,
                    )
                    seconds, _, questions = watch.cost(_FIRST)
                    speeds[workers] = questions / seconds
                ratios.append(speeds[2] / speeds[1])
                print(
                    f"{speeds[1]:.1f} questions/s on one worker, {speeds[2]:.1f} on two: "
                    f"{ratios[-1]:.2f} times as many",
                    flush=True,
                )
    print(f"median: {median(ratios):.2f} times as many")


def _register(folder: Path) -> None:
    """Register codec and VLM as an installed package does, here and in workers."""
    info = folder / "waiting-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: waiting\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[eyechart.vlms]\nwaiting = benchmarks.ray_scaling:WaitingVlm\n"
        "[eyechart.codecs]\nwaiting-codec = benchmarks.ray_scaling:WaitingCodec\n"
    )
    sys.path.append(str(folder))
    places = (str(folder), *filter(None, [os.environ.get("PYTHONPATH")]))
    os.environ["PYTHONPATH"] = os.pathsep.join(places)


if __name__ == "__main__":
    main()
