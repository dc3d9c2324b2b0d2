"""Megapixels per second and memory of the full-size learned codecs on a GPU, with random weights.

    PYTHONPATH=src python benchmarks/codec_speed_gpu.py [--device cuda] [--codec elic ...]
    python benchmarks/codec_speed_gpu.py --device cpu --codec elic --precision float32 \\
        --size 4000x3000

Each codec encodes and decodes synthetic images through real bitstreams, 1 and 16 of 768x512 and 8
of 224x224 pixels in one call, or one image of --size. On a GPU, what is measured was warmed up with
one call of the same image size, and memory is the GPU's. On a CPU times are CPU seconds of one
thread, and memory is the process's.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import TypeVar, get_args

import numpy as np
import torch
from torch import nn

from eyechart.codecs.learned.architecture import Architecture
from eyechart.codecs.learned.neural import LoadedNetwork, Precision
from eyechart.codecs.learned.plugins import ELIC, MLICPP, TCM, TIC, TRANSTIC
from eyechart.core.types import Level, Rgb8
from eyechart.testing.codecs import sample_image

CODECS = {one.name: one for one in (ELIC, TCM, MLICPP, TIC, TRANSTIC)}
IMAGES: tuple[tuple[int, tuple[int, int]], ...] = (
    (1, (512, 768)),
    (16, (512, 768)),
    (8, (224, 224)),
)
LEVEL = Level(name="1", rank=0, knobs={}, weights="00" * 32)
_T = TypeVar("_T")


def random_network(architecture: Architecture) -> nn.Module:
    """Random weights with a latent that is mostly 0 and 1, as at low rates."""
    torch.manual_seed(0)
    network = architecture.build().eval()
    side = architecture.multiple * -(-256 // architecture.multiple)
    image = torch.tensor(sample_image(side, side, np.random.default_rng(0)))
    weights = [one for one in network.get_submodule("g_a").parameters() if one.ndim == 4]
    with torch.no_grad():
        y = network.get_submodule("g_a")(image.permute(2, 0, 1)[None] / 255)
        weights[-1].mul_(0.6 / y.std())
    return network


def timed(call: Callable[[], _T], device: str) -> tuple[_T, float]:
    """The result and seconds of a call."""
    if not device.startswith("cuda"):
        start_s = time.process_time()
        return call(), time.process_time() - start_s
    start_s = time.perf_counter()
    result = call()
    torch.cuda.synchronize(device)
    return result, time.perf_counter() - start_s


def measure(loaded: LoadedNetwork, images: list[Rgb8], device: str) -> str:
    """Encoding and decoding speed, peak memory and bpp, as cells of a table."""
    if device.startswith("cuda"):
        loaded.decode(loaded.encode(images[:1]))
        torch.cuda.reset_peak_memory_stats(device)
    bitstreams, encode_s = timed(lambda: loaded.encode(images), device)
    _, decode_s = timed(lambda: loaded.decode(bitstreams), device)
    pixels = sum(image.shape[0] * image.shape[1] for image in images)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if device.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated(device)
    bpp = 8 * sum(len(one.payload) for one in bitstreams) / pixels
    return (
        f"{pixels / 1e6 / encode_s:.2f} | {pixels / 1e6 / decode_s:.2f} "
        f"| {peak / 2**30:.1f} | {bpp:.2f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--codec", action="append", choices=CODECS)
    parser.add_argument("--precision", action="append", choices=get_args(Precision))
    parser.add_argument("--size", metavar="WxH", help="One image of this size only.")
    parser.add_argument("--seconds", type=float, default=90, help="Start no codec later than this.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    start_s = time.perf_counter()
    rng = np.random.default_rng(1)
    numbers = IMAGES
    if given.size:
        width, _, height = given.size.partition("x")
        numbers = ((1, (int(height), int(width))),)
    sets = [[sample_image(*size, rng) for _ in range(count)] for count, size in numbers]
    about = torch.cuda.get_device_name(given.device) if given.device.startswith("cuda") else "CPU"
    print(f"{about}, torch {torch.__version__}")
    print("| codec | precision | images | encode MP/s | decode MP/s | peak GiB | bpp |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    precisions: list[Precision] = given.precision or ["float32", "bfloat16"]
    for name in given.codec or CODECS:
        network = random_network(CODECS[name])
        for precision in precisions:
            if time.perf_counter() - start_s > given.seconds:
                print(f"| {name} | {precision} | left out for lack of time |")
                continue
            loaded = LoadedNetwork(network, CODECS[name], LEVEL, given.device, precision=precision)
            for (count, (height, width)), images in zip(numbers, sets, strict=True):
                cells = measure(loaded, images, given.device)
                print(
                    f"| {name} | {precision} | {count} of {width}x{height} | {cells} |", flush=True
                )
            loaded.close()
            if given.device.startswith("cuda"):
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
