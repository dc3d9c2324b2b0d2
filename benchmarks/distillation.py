"""Speed of the distillation of an adapter, compared with a plain loop, on this machine.

    python -m benchmarks.distillation [--vlm eyechart-mini] [--codecs jpeg] [--threads 2]

The plain loop takes one pair at a time: codec, teacher on the uncompressed image, student on the
compressed one, float32, the library's own attention, one optimizer step for as many pairs. The
training of this package processes all levels of several images together: the teacher encodes an
image once, images are read from the cache, windows are one batch, bfloat16 where it is faster. Both
use the same images and pairs, in one run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from eyechart.adapters.base import open_base
from eyechart.adapters.pairs import CodecPairs
from eyechart.adapters.recipe import Recipe, plan_step
from eyechart.adapters.training import AdapterTraining, TrainingSettings
from eyechart.adapters.watcher import SilentWatcher
from eyechart.core import plugins
from eyechart.core.images import read_image
from eyechart.core.types import Codec
from eyechart.vlms.towers import Tower

SIZE_PX = 224


def main() -> None:
    """Measure and print; `--json FILE` keeps the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--vlm", default="eyechart-mini")
    parser.add_argument("--codecs", default="jpeg", help="names, by comma")
    parser.add_argument("--images", type=int, default=8, help="most images a step")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, Path(folder))
    print(json.dumps(found, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All numbers of one run."""
    make_images(folder / "images", count=2 * args.images + 2)
    codecs: list[Codec] = [plugins.load("eyechart.codecs", name) for name in args.codecs.split(",")]
    pairs = CodecPairs(folder / "images", codecs, folder / "cache")
    for image in range(len(pairs.names)):
        pairs.images(image, pairs.entries)  # so that no step waits for a codec
    peaks = {"float32": matmul_peak(torch.float32), "bfloat16": matmul_peak(torch.bfloat16)}
    plain_per_s = plain_loop(args, folder / "images", codecs)
    counts = [n for n in (1, 2, 4, 8, 16, 32) if n <= args.images]
    ours = {n: distil(args, pairs, folder / f"out{n}", n) for n in counts}
    flops = flops_per_pair(args, pairs, folder / "flops")
    best = max(ours.values())
    return {
        "threads": args.threads,
        "levels": len(pairs.entries),
        "plain_pairs_per_s": round(plain_per_s, 2),
        "pairs_per_s_by_images_a_step": {n: round(rate, 2) for n, rate in ours.items()},
        "speedup": round(best / plain_per_s, 2),
        "gflop_per_pair": round(flops / 1e9, 2),
        "matmul_peak_gflop_per_s": {name: round(peak / 1e9, 1) for name, peak in peaks.items()},
        "share_of_bfloat16_peak": round(best * flops / peaks["bfloat16"], 3),
    }


def make_images(folder: Path, count: int) -> None:
    """Smooth random images with texture; what they show does not change the time they take."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 255, (14, 14, 3), dtype=np.uint8))
        small.resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def distil(args: argparse.Namespace, pairs: CodecPairs, out: Path, images: int) -> float:
    """Pairs per second of this package's training, with reading images, without the first step."""
    recipe = Recipe(
        injection="adaln", steps=args.steps + 1, images_a_step=images, validation_images=1
    )
    run = AdapterTraining(
        open_base(args.vlm), pairs, recipe, TrainingSettings(out=out), SilentWatcher(), {}
    )
    shown, began_s = 0, 0.0
    for step, batch in enumerate(run.batches(0)):
        run.step(step, batch)
        if step == 0:
            began_s = time.perf_counter()
        else:
            shown += len(batch.rows)
    return shown / (time.perf_counter() - began_s)


def plain_loop(args: argparse.Namespace, images: Path, codecs: list[Codec]) -> float:
    """Pairs per second of a simple loop."""
    backbone, student = open_base(args.vlm).build()
    teacher = open_base(args.vlm).build()[1]
    tower, frozen = library_tower(student), library_tower(teacher)
    student.requires_grad_(False)
    tower.module.requires_grad_(True)
    optimizer = torch.optim.AdamW(tower.module.parameters(), lr=1e-4)
    forms = [(codec, level) for codec in codecs for level in codec.levels]
    paths = sorted(images.iterdir())[: args.steps + 1]
    shown, began_s = 0, 0.0
    for number, path in enumerate(paths):
        for codec, level in forms:
            clean = read_image(path)
            made = codec.decode(codec.encode(clean, level))
            with torch.no_grad():
                goal = frozen.features(backbone.prepare(clean).inputs)
            got = tower.features(backbone.prepare(made).inputs)
            torch.autograd.backward(torch.nn.functional.mse_loss(got, goal) / len(forms))
            shown += number > 0
        optimizer.step()
        optimizer.zero_grad()
        if number == 0:
            began_s = time.perf_counter()
    return shown / (time.perf_counter() - began_s)


def library_tower(model: Any) -> Tower:
    """The tower with the library's attention, one kernel call a window."""
    from eyechart.adapters.towers import tower_of

    tower = tower_of(model)
    for block in getattr(tower.module, "blocks", ()):
        block.attn.__dict__.pop("forward", None)
    return tower


def flops_per_pair(args: argparse.Namespace, pairs: CodecPairs, out: Path) -> float:
    """Floating-point operations of one training step over its pairs, teacher included."""
    from torch.utils.flop_counter import FlopCounterMode

    recipe = Recipe(injection="adaln", steps=1, images_a_step=1, validation_images=1, bf16=False)
    run = AdapterTraining(
        open_base(args.vlm), pairs, recipe, TrainingSettings(out=out), SilentWatcher(), {}
    )
    shown = plan_step(recipe, 0, run.train_images, pairs.entries)
    batch = next(run.batches(0))
    with FlopCounterMode(display=False) as counter:
        run.step(0, batch)
    return float(counter.get_total_flops()) / len(shown[0].entries)


def matmul_peak(dtype: torch.dtype, size: int = 1536, repeats: int = 6) -> float:
    """Operations per second of a large square matrix product, as the machine's peak."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    torch.mm(a, b)
    best_s = float("inf")
    for _ in range(repeats):
        start_s = time.perf_counter()
        torch.mm(a, b)
        best_s = min(best_s, time.perf_counter() - start_s)
    return float(2 * size**3 / best_s)


if __name__ == "__main__":
    main()
