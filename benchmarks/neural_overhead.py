"""Share of the time of a run with a codec with weights that is outside the codec and the VLM.

    python -m benchmarks.neural_overhead [--images 48]

A toy network with a file of 20 MB for each of four levels and a toy VLM answer POPE of the built-in
chart: in one process, with one codec worker, and with two. Each call of the codec (load, encode,
decode) and of the VLM notes when it began and ended. Printed: the share of the run's time, with the
start of the worker processes, in which neither of them worked. Aim: less than 5 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from eyechart.codecs import checkpoints
from eyechart.core.pool import WorkerPool
from eyechart.core.types import (
    Answer,
    Bitstream,
    Decoding,
    Json,
    Level,
    Reproducible,
    Request,
    Rgb8,
    component_of,
)
from eyechart.core.workers import Executor, SerialExecutor
from eyechart.runner.engine import run
from eyechart.runner.progress import SilentProgress
from eyechart.runner.work import CodecLevels, ModelConfig, Work, task_work
from eyechart.store import Store

_PATCH = 16
_WIDTH = 3 * _PATCH * _PATCH
_LAYERS = 9  # of 768 x 768 float32: 21 MB
_STEPS = (64, 48, 32, 16)


@contextmanager
def _noted(folder: str, what: str) -> Iterator[None]:
    """Note when a call began and ended; the clock is the same in all processes."""
    start_s = time.monotonic()
    yield
    with Path(folder, "calls.txt").open("a") as file:
        file.write(f"{what} {start_s} {time.monotonic()}\n")


class ToyNetwork:
    """Quantises an image and computes as much as a network of 20 MB. folder: of its weights."""

    name, version = "toy-network", "1"
    reproducible: Reproducible = "per device"

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @property
    def options(self) -> Mapping[str, Json]:
        return {"folder": self.folder}

    @property
    def levels(self) -> tuple[Level, ...]:
        """With the digests of their files."""
        cache = Path(self.folder, "digests")
        return tuple(
            Level(
                name=str(step),
                rank=rank,
                knobs={"step": step},
                weights=checkpoints.digest(_weights_file(self.folder, step), cache=cache),
            )
            for rank, step in enumerate(_STEPS)
        )

    def check(self) -> None:
        """The benchmark makes the files."""

    def load(self, level: Level, device: str) -> LoadedToy:
        """Read the weights of a level."""
        with _noted(self.folder, "codec"):
            return LoadedToy(self.folder, int(level.name))

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return self.load(level, "cpu").encode([rgb8])[0]

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return self.load(self.levels[0], "cpu").decode([bitstream])[0]


class LoadedToy:
    """One level in memory."""

    def __init__(self, folder: str, step: int) -> None:
        self._folder, self._step = folder, step
        self._weights = load_file(_weights_file(folder, step))["weights"]

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        with _noted(self._folder, "codec"):
            self._compute(images)
            return [
                Bitstream(
                    payload=(rgb8[::8, ::8] // self._step).tobytes(),
                    height_px=rgb8.shape[0],
                    width_px=rgb8.shape[1],
                )
                for rgb8 in images
            ]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        with _noted(self._folder, "codec"):
            decoded = []
            for one in bitstreams:
                small = np.frombuffer(one.payload, np.uint8).reshape(
                    -(-one.height_px // 8), -(-one.width_px // 8), 3
                )
                whole = (small * np.uint8(self._step)).repeat(8, 0).repeat(8, 1)
                decoded.append(whole[: one.height_px, : one.width_px])
            self._compute(decoded)
            return decoded

    def close(self) -> None:
        """The weights go with the object."""

    def _compute(self, images: Sequence[Rgb8]) -> npt.NDArray[np.float32]:
        pixels = np.concatenate([rgb8.reshape(-1) for rgb8 in images])
        rows = pixels[: len(pixels) // _WIDTH * _WIDTH].reshape(-1, _WIDTH)
        hidden = rows.astype(np.float32) / np.float32(255)
        for layer in self._weights:
            hidden = np.maximum(hidden @ layer, 0)
        return hidden


class ToyVLM:
    """Computes for each image and question, and answers Yes."""

    name, version, family = "toy-vlm", "1", "default"
    options: Mapping[str, Json] = {}

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._weights = np.ones((512, 512), np.float32)

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One answer a question."""
        with _noted(self._folder, "VLM"):
            answers = []
            for request in requests:
                for _ in request.prompts:
                    self._weights @ self._weights
                answers.append([Answer(text="Yes", tokens=1) for _ in request.prompts])
            return answers


def _weights_file(folder: str, step: int) -> Path:
    return Path(folder, f"{step}.safetensors")


def _write_weights(folder: str) -> None:
    random = np.random.default_rng(0)
    for step in _STEPS:
        weights = random.standard_normal((_LAYERS, _WIDTH, _WIDTH), dtype=np.float32)
        save_file({"weights": weights / np.float32(_WIDTH**0.5)}, _weights_file(folder, step))


@contextmanager
def _registered() -> Iterator[None]:
    """Register the toy as a plug-in while the block runs, because workers open codecs by name."""
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder, "eyechart_toy-1.dist-info")
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: eyechart-toy\nVersion: 1\n")
        (info / "entry_points.txt").write_text(
            "[eyechart.codecs]\ntoy-network = benchmarks.neural_overhead:ToyNetwork\n"
        )
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)


def _together_s(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds that are in at least one of the spans."""
    total_s, until_s = 0.0, float("-inf")
    for start_s, end_s in sorted(spans):
        total_s += max(0.0, end_s - max(start_s, until_s))
        until_s = max(until_s, end_s)
    return total_s


def measure(images: int, executor: Executor) -> dict[str, float]:
    """Seconds of the run, in the codec, in the VLM, in neither, and before the first call."""
    from eyechart.tasks import open_tasks

    (task,) = open_tasks(("POPE",), "eyechart-mini")
    with tempfile.TemporaryDirectory() as folder, _registered():
        _write_weights(folder)
        vlm, codec = ToyVLM(folder), ToyNetwork(folder)
        options = {"folder": folder}
        entry = CodecLevels(codec=codec, plugin="toy-network", options=options, levels=codec.levels)
        work = Work(
            models=(ModelConfig(vlm=component_of(vlm), adapter=None, open=lambda: vlm),),
            codecs=(entry,),
            tasks=(task_work(task, images),),
        )
        store = Store(Path(folder, "run"))
        store.create()
        start_s = time.monotonic()
        outcome = run(work, store, executor, SilentProgress())
        took_s = time.monotonic() - start_s
        calls = [line.split() for line in Path(folder, "calls.txt").read_text().splitlines()]
    assert outcome.clean
    spans = [(what, float(begin), float(end)) for what, begin, end in calls]
    return {
        "run": took_s,
        "codec": sum(end - begin for what, begin, end in spans if what == "codec"),
        "VLM": sum(end - begin for what, begin, end in spans if what == "VLM"),
        "neither": took_s - _together_s([span[1:] for span in spans]),
        "start": min(begin for _, begin, _ in spans) - start_s,
    }


def main() -> None:
    """Print one line for each way to run the codec."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=48)
    images = parser.parse_args().images
    executors: dict[str, Callable[[], Executor]] = {
        "one process": SerialExecutor,
        "one worker": lambda: WorkerPool(1),
        "two workers": lambda: WorkerPool(1, ("cpu", "cpu")),
    }
    print("| codec in | run, s | codec, s | VLM, s | neither, s | of these start, s | share |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, executor in executors.items():
        seconds = measure(images, executor())
        columns = " | ".join(f"{value:.2f}" for value in seconds.values())
        print(f"| {name} | {columns} | {100 * seconds['neither'] / seconds['run']:.1f} % |")


if __name__ == "__main__":
    main()
