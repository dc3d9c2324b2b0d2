"""Put trained levels into the package, in half precision, lowest rate first.

python -m recipes.codecs.ship elic-mini RUN RUN ... [--out DIR]

RUN is a folder of `eyechart codec train`. Levels are named 1, 2, ... in order of lambda, or of the
target rate of a GAN codec.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from eyechart.codecs.add import ARCHITECTURES
from eyechart.codecs.learned.train import WEIGHTS, trained_with
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
    for number, (value, run) in enumerate(sorted((_knob(run), run) for run in arguments.runs), 1):
        tensors = load_file(run / WEIGHTS)
        halves = {
            key: value if key.startswith(_EXACT) else value.to(torch.float16)
            for key, value in tensors.items()
        }
        problem = misfit(architecture.network_of(halves), halves)
        if problem:
            parser.error(f"{run}: {problem}")
        level = write_level(
            out,
            arguments.codec,
            name=str(number),
            lmbda=value,
            weights=halves,
            knob=architecture.knob,
            shared=architecture.shared,
        )
        size = (out / level.file).stat().st_size
        knob = f"{architecture.knob} {value:g}"
        print(f"level {number}: {knob}, {size:,} bytes, sha256 {level.sha256[:8]}")


def _knob(run: Path) -> float:
    found = trained_with(run / WEIGHTS)
    if found is None:
        raise InputError(f"{run / WEIGHTS}: holds no settings of a training")
    return found.target_bpp or found.lmbda


if __name__ == "__main__":
    _main()
