"""Share of the time of a run with a codec with weights that is outside the codec and the VLM.

    python -m benchmarks.neural_overhead [--images 48]

A toy network of 20 MB at four levels and a toy VLM answer POPE of the built-in chart in this
process. Printed: the share of the run's time that is neither in the codec (load, encode, decode)
nor in the VLM. Aim: less than 5 %.
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
from eyechart.core.workers import SerialExecutor
from eyechart.runner.engine import run
from eyechart.runner.options import Options
from eyechart.runner.progress import SilentProgress
from eyechart.runner.work import CodecLevels, ModelConfig, Work, task_work
from eyechart.store import Store

_PATCH = 16
_WIDTH = 3 * _PATCH * _PATCH
_LAYERS = 9  # of 768 x 768 float32: 21 MB
_SPENT_S: dict[str, float] = {}


@contextmanager
def _spent(what: str) -> Iterator[None]:
    start_s = time.perf_counter()
    yield
    _SPENT_S[what] = _SPENT_S.get(what, 0.0) + time.perf_counter() - start_s


class ToyNetwork:
    """Quantises an image and computes as much as a network of 20 MB."""

    name, version = "toy-network", "1"
    options: Mapping[str, Json] = {}
    reproducible: Reproducible = "per device"
    levels = tuple(
        Level(name=str(step), rank=rank, knobs={"step": step}, weights=f"{step:064}")
        for rank, step in enumerate((64, 48, 32, 16))
    )

    def check(self) -> None:
        """Its weights are made when they are loaded."""

    def load(self, level: Level, device: str) -> LoadedToy:
        """Make the weights of a level; their time counts as the codec's."""
        with _spent("codec"):
            return LoadedToy(level)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return self.load(level, "cpu").encode([rgb8])[0]

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return self.load(self.levels[0], "cpu").decode([bitstream])[0]


class LoadedToy:
    """One level in memory."""

    def __init__(self, level: Level) -> None:
        step = level.knobs["step"]
        assert isinstance(step, int)
        self._step = step
        random = np.random.default_rng(step)
        shape = (_LAYERS, _WIDTH, _WIDTH)
        self._weights = random.standard_normal(shape, dtype=np.float32) / np.float32(_WIDTH**0.5)

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        with _spent("codec"):
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
        with _spent("codec"):
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

    def __init__(self) -> None:
        self._weights = np.ones((1024, 1024), np.float32)

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One answer a question."""
        with _spent("VLM"):
            answers = []
            for request in requests:
                for _ in request.prompts:
                    self._weights @ self._weights
                answers.append([Answer(text="Yes", tokens=1) for _ in request.prompts])
            return answers


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


def measure(images: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Share of a run's time outside the codec and the VLM, 0 to 1."""
    from benchmarks.neural_overhead import _SPENT_S, ToyNetwork, ToyVLM
    from eyechart.tasks import open_tasks

    (task,) = open_tasks(("POPE",), "eyechart-mini")
    vlm, codec = ToyVLM(), ToyNetwork()
    entry = CodecLevels(codec=codec, plugin="toy-network", options={}, levels=codec.levels)
    work = Work(
        models=(ModelConfig(vlm=component_of(vlm), adapter=None, open=lambda: vlm),),
        codecs=(entry,),
        tasks=(task_work(task, images),),
    )
    with tempfile.TemporaryDirectory() as folder, _registered():
        store = Store(Path(folder, "run"))
        store.create()
        _SPENT_S.clear()
        start_s = clock()
        outcome = run(work, store, SerialExecutor(), SilentProgress(), Options())
        took_s = clock() - start_s
    assert outcome.clean
    return 1 - sum(_SPENT_S.values()) / took_s


def main() -> None:
    """Print the share."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=48)
    share = measure(parser.parse_args().images)
    print(f"outside the codec and the VLM: {100 * share:.1f} % of the run")


if __name__ == "__main__":
    main()
