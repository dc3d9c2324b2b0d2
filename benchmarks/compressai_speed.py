"""ELIC here and CompressAI's model of it: seconds and bytes on the same weights and images.

    python benchmarks/compressai_speed.py FOLDER [--weights 0.008checkpoint.pth.tar] [--images 4]
        [--precision bfloat16]

CompressAI 1.2.8 pins numpy below 2. The script therefore makes an environment of its own (once, in
the user's cache folder; `--environment DIR` for another one), installs CompressAI and this checkout
there, and measures inside it: one image at a time, image by image in turn, after one that does not
count. Each codec has a process of its own, because the memory that one of them keeps would serve
the other. Times are CPU seconds with one thread on a CPU, which other load on the machine changes
little, and seconds otherwise. The precision is that of the transforms here; CompressAI computes all
in float32. Without `--weights` the networks have random weights, scaled so that the latent holds
something.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from unittest.mock import MagicMock

from eyechart.core.images import find_images, read_image
from eyechart.core.types import Level, Rgb8

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedSetting:
    """What is compared: the first `images` of a folder. weights: None for random ones."""

    folder: Path
    weights: Path | None
    images: int
    device: str
    threads: int
    precision: Literal["float32", "bfloat16", "float16"]

    @property
    def cpu_time(self) -> bool:
        return self.device == "cpu" and self.threads == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedCoder:
    """A codec with its images. encode: takes an image's number. size: of the coded image, bytes."""

    encode: Callable[[int], Any]
    decode: Callable[[Any], Any]
    size: Callable[[Any], int]


def _images(setting: SpeedSetting) -> list[Rgb8]:
    return [read_image(path) for path in find_images(setting.folder)[0][: setting.images]]


def _tensor(image: Rgb8) -> Any:
    import torch

    return torch.tensor(image).permute(2, 0, 1)[None].float().div(255)


def _network(setting: SpeedSetting) -> Any:
    """The network here; equal in all processes."""
    import torch

    from eyechart.codecs.learned.elic import Elic
    from eyechart.codecs.learned.official import load_official, read_checkpoint

    torch.set_num_threads(setting.threads)
    if setting.weights is not None:
        return load_official("elic", read_checkpoint(setting.weights))
    torch.manual_seed(0)
    network = Elic().eval()
    random_weights(network, padded(_tensor(_images(setting)[0])))
    return network


def _eyechart(setting: SpeedSetting) -> TimedCoder:
    from eyechart.codecs.learned.neural import LoadedNetwork
    from eyechart.codecs.learned.plugins import ELIC

    level = Level(name="1", rank=0, knobs={}, weights="00" * 32)
    network = _network(setting)
    loaded = LoadedNetwork(network, ELIC, level, setting.device, precision=setting.precision)
    images = _images(setting)
    return TimedCoder(
        encode=lambda index: loaded.encode([images[index]]),
        decode=loaded.decode,
        size=lambda bitstreams: len(bitstreams[0].payload),
    )


def _compressai(setting: SpeedSetting) -> TimedCoder:
    import torch

    _replace_torchvision_that_does_not_load()
    from compressai.models import Elic2022Chandelier

    from eyechart.codecs.learned.official import renamed

    own = _network(setting).state_dict()
    theirs = Elic2022Chandelier().eval()
    with torch.no_grad():
        for key, tensor in theirs.state_dict().items():
            for name in renamed("elic", {key: tensor}):
                tensor.copy_(own[name])
    theirs.update(force=True)
    theirs.to(setting.device)
    tensors = [_tensor(image).to(setting.device) for image in _images(setting)]

    def encode(index: int) -> Any:
        with torch.inference_mode():
            return theirs.compress(padded(tensors[index]))

    def decode(coded: Any) -> Any:
        with torch.inference_mode():
            return theirs.decompress(**coded)

    return TimedCoder(
        encode=encode,
        decode=decode,
        size=lambda coded: sum(len(part[0]) for part in flat(coded["strings"])),
    )


_loaded: list[tuple[TimedCoder, Callable[[], float]]] = []  # of this process


def _load(load: Callable[[SpeedSetting], TimedCoder], setting: SpeedSetting) -> None:
    _loaded.append((load(setting), time.process_time if setting.cpu_time else time.perf_counter))


def _code(index: int) -> tuple[float, float, int]:
    """Seconds to encode and to decode an image, and its bytes."""
    (coder, clock) = _loaded[0]
    coded, encode_s = timed(partial(coder.encode, index), clock)
    _, decode_s = timed(partial(coder.decode, coded), clock)
    return encode_s, decode_s, coder.size(coded)


def measure(setting: SpeedSetting) -> None:
    """Print both codecs' times and bytes. Runs inside the environment."""
    images = _images(setting)
    rows = []
    with ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        workers = [
            stack.enter_context(ProcessPoolExecutor(1, spawn, _load, (load, setting)))
            for load in (_eyechart, _compressai)
        ]
        for index in (0, *range(len(images))):
            ours, theirs = (worker.submit(_code, index).result() for worker in workers)
            rows.append((*ours, *theirs))
            print(f"{len(rows) - 1} of {len(images)} images", file=sys.stderr)
    del rows[0]  # the first calls take longer
    columns = [statistics.median(column) for column in zip(*rows, strict=True)]
    sides = f"{images[0].shape[1]}x{images[0].shape[0]}"
    print(
        f"{len(images)} images, the first of {sides}; {setting.device}, {setting.threads} threads,"
        f" medians of {'CPU seconds' if setting.cpu_time else 'seconds'}"
    )
    print("| | encode s | decode s | bytes |\n| --- | ---: | ---: | ---: |")
    for name, (encode, decode, size) in (
        (f"eyechart, {setting.precision}", columns[:3]),
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
            SpeedSetting(
                folder=given.folder,
                weights=given.weights,
                images=given.images,
                device=given.device,
                threads=given.threads,
                precision=given.precision,
            )
        )
        return
    import platformdirs

    cache = platformdirs.user_cache_path("eyechart", appauthor=False)
    python = make_environment(given.environment or cache / f"compressai-{COMPRESSAI}")
    raise SystemExit(subprocess.call([python, __file__, *sys.argv[1:], "--inside"]))


if __name__ == "__main__":
    _main()
