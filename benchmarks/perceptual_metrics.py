"""LPIPS and DISTS here and in the packages of their authors, on the same weights and images.

    pip install --no-deps lpips DISTS-pytorch
    python benchmarks/perceptual_metrics.py FOLDER [--images 4] [--random]

Each image is compared with JPEG at qualities 5 and 40. The weights of AlexNet and VGG16 are those
of torchvision, where `eyechart doctor` looks for them. `--random` makes random ones instead, for a
machine that cannot download: the calculation is the same. Needs the extra `perceptual`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eyechart import open_codec
from eyechart.core.images import find_images, read_image
from eyechart.core.types import Rgb8
from eyechart.quality import open_metric
from eyechart.quality.backbones import BackboneFile
from eyechart.quality.dists import VGG16
from eyechart.quality.lpips import ALEXNET
from eyechart.quality.tensors import inference, unit_range


def write_random_weights() -> None:
    """Files of random weights in $TORCH_HOME. The classifiers, which no metric uses, are zeros."""
    import torchvision

    torch.manual_seed(0)
    networks: dict[BackboneFile, Callable[..., Any]] = {
        ALEXNET: torchvision.models.alexnet,
        VGG16: torchvision.models.vgg16,
    }
    for file, network in networks.items():
        state = {
            name: torch.zeros(1).expand(value.shape) if name.startswith("classifier") else value
            for name, value in network(weights=None).state_dict().items()
        }
        file.path().parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, file.path())


def authors_metrics() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """The authors' functions of two images in 0..1, (1, 3, height, width), decoded one first."""
    import DISTS_pytorch
    import lpips

    alex, dists = lpips.LPIPS(net="alex", verbose=False).eval(), DISTS_pytorch.DISTS().eval()
    return {"lpips": lambda one, other: alex(2 * other - 1, 2 * one - 1), "dists": dists}


def compare(pairs: list[tuple[Rgb8, Rgb8]]) -> None:
    """Print a line for each metric. pairs: originals and decoded images."""
    for name, theirs in authors_metrics().items():
        metric = open_metric(name)
        own = [metric.measure(*pair) for pair in pairs]
        with inference():
            wanted = [
                float(theirs(unit_range(decoded), unit_range(original)))
                for original, decoded in pairs
            ]
        apart = max(abs(one - other) / other for one, other in zip(own, wanted, strict=True))
        print(
            f"{metric.name}: {len(pairs)} pairs from {min(own):.4f} to {max(own):.4f}, "
            f"largest relative difference {apart:.1e}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--random", action="store_true")
    given = parser.parse_args()
    codec = open_codec("jpeg:levels=[5,40]")
    images = [read_image(path) for path in find_images(given.folder)[0][: given.images]]
    pairs = [
        (image, codec.decode(codec.encode(image, level)))
        for image in images
        for level in codec.levels
    ]
    with tempfile.TemporaryDirectory() as folder:
        if given.random:
            os.environ["TORCH_HOME"] = folder
            write_random_weights()
        compare(pairs)


if __name__ == "__main__":
    main()
