"""ELIC here and CompressAI's model of it: seconds and bytes on the same weights and images.

    python benchmarks/compressai_speed.py FOLDER [--weights 0.008checkpoint.pth.tar] [--images 4]
        [--precision bfloat16]

CompressAI 1.2.8 pins numpy below 2. The script therefore makes an environment of its own (once, in
the user's cache folder; `--environment DIR` for another one), installs CompressAI and this checkout
there, and measures inside it: both codecs in one process, one image at a time, image by image in
turn, after one that does not count. Times are CPU seconds with one thread on a CPU, which other
load on the machine changes little, and seconds otherwise. The precision is that of the transforms
here; CompressAI computes all in float32. Without `--weights` the networks have random weights,
scaled so that the latent holds something.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from unittest.mock import MagicMock

COMPRESSAI = "1.2.8"
ROOT = Path(__file__).resolve().parents[1]
_T = TypeVar("_T")


def make_environment(folder: Path) -> Path:
    """An environment with CompressAI and this checkout; the path of its Python."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / "ready"
    if ready.is_file():
        return python
    import torch

    print(f"installing CompressAI {COMPRESSAI} into {folder} (some minutes)", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    same_torch = f"torch=={torch.__version__.partition('+')[0]}"
    wanted = [f"compressai=={COMPRESSAI}", same_torch, "torchvision", "-e", f"{ROOT}[learned]"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    ready.touch()
    return python


def timed(call: Callable[[], _T], clock: Callable[[], float]) -> tuple[_T, float]:
    """The result of a call and its seconds."""
    start_s = clock()
    result = call()
    return result, clock() - start_s


def _replace_torchvision_that_does_not_load() -> None:
    """CompressAI imports torchvision for its data sets, which are not used here. A package index
    may have it for CUDA alone, and that build does not load beside torch for CPUs."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in ("torchvision", "torchvision.transforms"):
            sys.modules[name] = MagicMock()


def random_weights(network: Any, x: Any) -> None:
    """Make a random network's latent of a usual size, and its entropy model fit it."""
    import torch

    with torch.no_grad():
        last = network.g_a[-2]  # the convolution that makes y, before the attention
        last.weight.mul_(4 / network.g_a(x).std())
        y = network.g_a(x)
        for name in ("h_a", "h_s"):
            getattr(network, name)[-1].weight.mul_(0.1)
        stds = torch.split(y.std((0, 2, 3)), list(network.shape.slices))
        means = torch.split(y.mean((0, 2, 3)), list(network.shape.slices))
        for aggregation, mean, std in zip(network.ParamAggregation, means, stds, strict=True):
            aggregation[-1].weight.mul_(0.01)
            aggregation[-1].bias.copy_(torch.cat([mean, std]))
        network.entropy_bottleneck.update_quantiles()


def measure(
    folder: Path,
    weights: Path | None,
    count: int,
    device: str,
    threads: int,
    precision: Literal["float32", "bfloat16", "float16"],
) -> None:
    """Print both codecs' times and bytes. Runs inside the environment."""
    import torch

    _replace_torchvision_that_does_not_load()
    from compressai.models import Elic2022Chandelier

    from eyechart.codecs.learned.elic import Elic
    from eyechart.codecs.learned.neural import LoadedNetwork
    from eyechart.codecs.learned.official import load_official, read_checkpoint, renamed
    from eyechart.codecs.learned.plugins import ELIC
    from eyechart.core.images import find_images, read_image
    from eyechart.core.types import Level

    torch.set_num_threads(threads)
    images = [read_image(path) for path in find_images(folder)[0][:count]]
    tensors = [
        torch.tensor(image).permute(2, 0, 1)[None].float().div(255).to(device) for image in images
    ]
    if weights is not None:
        network: Any = load_official("elic", read_checkpoint(weights))
    else:
        torch.manual_seed(0)
        network = Elic().eval()
        random_weights(network, padded(tensors[0]).cpu())
    own = network.state_dict()
    theirs = Elic2022Chandelier().eval()
    with torch.no_grad():
        for key, tensor in theirs.state_dict().items():
            for name in renamed("elic", {key: tensor}):
                tensor.copy_(own[name])
    theirs.update(force=True)
    theirs.to(device)
    level = Level(name="1", rank=0, knobs={}, weights="00" * 32)
    ours = LoadedNetwork(network, ELIC, level, device, precision=precision)
    cpu_time = device == "cpu" and threads == 1
    clock = time.process_time if cpu_time else time.perf_counter
    rows = []
    with torch.inference_mode():
        for image, x in zip([images[0], *images], [tensors[0], *tensors], strict=True):
            (bitstream,), encode_s = timed(partial(ours.encode, [image]), clock)
            _, decode_s = timed(partial(ours.decode, [bitstream]), clock)
            coded, their_encode_s = timed(partial(theirs.compress, padded(x)), clock)
            _, their_decode_s = timed(partial(theirs.decompress, **coded), clock)
            size = sum(len(part[0]) for part in flat(coded["strings"]))
            rows.append(
                (encode_s, decode_s, len(bitstream.payload), their_encode_s, their_decode_s, size)
            )
            print(f"{len(rows) - 1} of {len(images)} images", file=sys.stderr)
    del rows[0]  # the first calls take longer
    columns = [statistics.median(column) for column in zip(*rows, strict=True)]
    sides = f"{images[0].shape[1]}x{images[0].shape[0]}"
    print(
        f"{len(images)} images, the first of {sides}; {device}, {threads} threads, medians"
        f" of {'CPU seconds' if cpu_time else 'seconds'}"
    )
    print("| | encode s | decode s | bytes |\n| --- | ---: | ---: | ---: |")
    for name, (encode, decode, size) in (
        (f"eyechart, {precision}", columns[:3]),
        (f"CompressAI {COMPRESSAI}", columns[3:]),
    ):
        print(f"| {name} | {encode:.2f} | {decode:.2f} | {size:,.0f} |")
    ratio = [theirs_ / ours_ for ours_, theirs_ in zip(columns[:2], columns[3:5], strict=True)]
    more = 100 * (sum(row[2] for row in rows) / sum(row[5] for row in rows) - 1)
    print(f"\nencoding {ratio[0]:.2f} times as fast, decoding {ratio[1]:.2f} times, "
          f"{more:+.2f} % bytes ({platform.processor() or platform.machine()})")  # fmt: skip


def padded(x: Any) -> Any:
    """To multiples of 64, with zeros below and to the right, as the codec here does."""
    import torch

    return torch.nn.functional.pad(x, (0, -x.shape[3] % 64, 0, -x.shape[2] % 64))


def flat(strings: Any) -> list[Any]:
    """The lists of strings, one string an image each, in CompressAI's nested lists."""
    if strings and isinstance(strings[0], bytes):
        return [strings]
    return [one for part in strings for one in flat(part)]


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    precisions = ("float32", "bfloat16", "float16")
    parser.add_argument("--precision", choices=precisions, default=precisions[0])
    parser.add_argument("--environment", type=Path)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        measure(
            given.folder,
            given.weights,
            given.images,
            given.device,
            given.threads,
            given.precision,
        )
        return
    import platformdirs

    cache = platformdirs.user_cache_path("eyechart", appauthor=False)
    python = make_environment(given.environment or cache / f"compressai-{COMPRESSAI}")
    raise SystemExit(subprocess.call([python, __file__, *sys.argv[1:], "--inside"]))


if __name__ == "__main__":
    _main()
