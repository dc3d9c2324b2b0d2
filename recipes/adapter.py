"""Make the adapters of the built-in VLM with the settings of `adapter.yaml`.

    python -m recipes.adapter images   --work DIR        render the uncompressed images
    python -m recipes.adapter compress --work DIR        compress all of them in advance
    python -m recipes.adapter train    --work DIR NAME... single trainings; no NAME: all
    python -m recipes.adapter ablation --work DIR        injection x conditioning x seed

Every command continues where it was stopped. Results are in DIR/NAME.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from eyechart.adapters.base import open_base
from eyechart.adapters.package import read_config, with_conditioning
from eyechart.adapters.pairs import CodecPairs
from eyechart.adapters.recipe import Recipe
from eyechart.adapters.training import TrainingSettings, train
from eyechart.adapters.watcher import StepLog
from eyechart.codecs import open_codec
from eyechart.vlms.adapter_identity import CONDITIONINGS, CONFIG
from recipes.chart.render import render
from recipes.chart.sample import sample_scene

PLAN = Path(__file__).with_suffix(".yaml")


class LineObserver:
    """Prints a line at intervals, for logs of long trainings."""

    def __init__(self, name: str) -> None:
        self.name = name

    def validated(self, step: int, errors: Mapping[str, float]) -> None:
        """Mean error on held-out images."""
        print(
            f"{self.name}: step {step}, held-out {np.mean(list(errors.values())):.4f}", flush=True
        )

    def stepped(self, log: StepLog, steps: int) -> None:
        """Every 50th step."""
        if log.step % 50 == 0:
            print(
                f"{self.name}: step {log.step}/{steps}, error {log.loss:.4f}, "
                f"{log.pairs_per_s} pairs/s",
                flush=True,
            )


def main() -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Make the adapters of the built-in VLM.")
    parser.add_argument("what", choices=["images", "compress", "train", "ablation"])
    parser.add_argument("names", nargs="*", help="trainings, or injections; none: all")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--vlm", help="another VLM than the plan's, NAME:key=value or a directory")
    parser.add_argument("--steps", type=int, help="instead of the plan's")
    args = parser.parse_intermixed_args()  # names may follow options
    plan: dict[str, Any] = yaml.safe_load(PLAN.read_text())
    if args.what == "images":
        draw(args.work / "images", **plan["images"])
    elif args.what == "compress":
        compress(pairs_of(args.work, plan["codecs"].values()))
    elif args.what == "train":
        for name in args.names or plan["trainings"]:
            run(plan, plan["trainings"][name], args, args.work / name)
    else:
        ablation(plan, args)


def draw(folder: Path, count: int, first_seed: int) -> None:
    """Write training scenes as PNG files; existing files are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"{number:05d}.png"
        if not path.exists():
            Image.fromarray(render(sample_scene("train", first_seed + number))).save(path)


def pairs_of(work: Path, specs: Iterable[str]) -> CodecPairs:
    """The images with some codecs; all trainings share one cache."""
    return CodecPairs(work / "images", [open_codec(spec) for spec in specs], work / "cache")


def compress(pairs: CodecPairs) -> None:
    """Make all of them, one after another, because encoders may use several cores."""
    pairs.prepare((image, entry) for image in range(len(pairs.names)) for entry in pairs.entries)
    for image, name in enumerate(pairs.names):
        pairs.images(image, pairs.entries)
        if image % 100 == 99:
            print(f"{image + 1}/{len(pairs.names)} images, last {name}", flush=True)


def run(
    plan: dict[str, Any], training: dict[str, Any], args: argparse.Namespace, out: Path
) -> None:
    """One training, unless it is finished."""
    if (out / CONFIG).exists():
        print(f"{out.name}: already finished", flush=True)
        return
    settings = {**plan["settings"], **training}
    pairs = pairs_of(args.work, [plan["codecs"][name] for name in settings.pop("codecs")])
    if args.steps:
        settings["steps"] = args.steps
    vlm = open_base(args.vlm or plan["vlm"])
    train(
        vlm, pairs, Recipe(**settings), TrainingSettings(out=out, loaders=1), LineObserver(out.name)
    )


def ablation(plan: dict[str, Any], args: argparse.Namespace) -> None:
    """Train every injection with every seed, copy it with each conditioning, print the errors."""
    settings = dict(plan["ablation"])
    injections, seeds = settings.pop("injections"), settings.pop("seeds")
    for seed in seeds:
        for injection in args.names or injections:
            out = args.work / "ablation" / f"{injection}-{seed}"
            run(plan, {**settings, "injection": injection, "seed": seed}, args, out)
            for conditioning in CONDITIONINGS:
                copy = args.work / "ablation" / f"{injection}-{conditioning}-{seed}"
                if not (copy / CONFIG).exists():
                    with_conditioning(out, copy, conditioning)
            print(table(args.work / "ablation"), flush=True)


def table(folder: Path) -> str:
    """Mean feature error over compressed conditions and seeds, by injection and conditioning."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    clean: dict[tuple[str, str], list[float]] = defaultdict(list)
    for path in sorted(folder.glob(f"*/{CONFIG}")):
        config = read_config(path.parent)
        errors: Any = config.results["feature_error"]
        if path.parent.name.count("-") == 1:  # not the copies
            for conditioning in CONDITIONINGS:
                by_name = errors[conditioning]
                key = (config.injection, conditioning)
                lossy = [e for name, e in by_name.items() if name != "source/lossless"]
                found[key].append(float(np.mean(lossy)))
                clean[key].append(by_name["source/lossless"])
    lines = ["injection         conditioning  compressed (sd)     clean    seeds"]
    for (injection, given), values in found.items():
        spread = f"{np.std(values, ddof=1):.4f}" if len(values) > 1 else "one seed"
        lines.append(
            f"{injection:<18}{given:<14}{np.mean(values):.4f} ({spread})   "
            f"{np.mean(clean[injection, given]):.4f}   {len(values)}"
        )
    (folder / "table.json").write_text(
        json.dumps({"/".join(key): values for key, values in found.items()}, indent=1)
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
