"""Put trained levels into the package, in half precision, lowest rate first.

python -m recipes.codecs.ship elic-mini RUN RUN ... [--out DIR]

RUN is a folder of `eyechart codec train`. Levels are named 1, 2, ... in order of lambda.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from eyechart.codecs.learned.plugins import ARCHITECTURES
from eyechart.codecs.learned.train import WEIGHTS, trained_lambda
from eyechart.codecs.learned.weights import misfit, write_level
from eyechart.core.errors import InputError

_EXACT = "entropy_bottleneck."  # its cumulative distributions need float32


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("codec", choices=ARCHITECTURES)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, help="a weights folder; default: the package's")
    arguments = parser.parse_args()
    architecture = ARCHITECTURES[arguments.codec]
    out = arguments.out or architecture.shipped
    if out is None:
        parser.error(f"{arguments.codec} has no folder in the package; give --out")
    for number, (lmbda, run) in enumerate(sorted((_lambda(run), run) for run in arguments.runs), 1):
        tensors = load_file(run / WEIGHTS)
        halves = {
            key: value if key.startswith(_EXACT) else value.to(torch.float16)
            for key, value in tensors.items()
        }
        problem = misfit(architecture.network_of(halves), halves)
        if problem:
            parser.error(f"{run}: {problem}")
        level = write_level(out, arguments.codec, name=str(number), lmbda=lmbda, weights=halves)
        size = (out / level.file).stat().st_size
        print(f"level {number}: lambda {lmbda:g}, {size:,} bytes, sha256 {level.sha256[:8]}")


def _lambda(run: Path) -> float:
    found = trained_lambda(run / WEIGHTS)
    if found is None:
        raise InputError(f"{run / WEIGHTS}: holds no lambda")
    return found


if __name__ == "__main__":
    _main()
