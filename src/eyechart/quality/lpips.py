"""LPIPS, by torchmetrics.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018
(arXiv 1801.03924), version 0.1: the features of AlexNet, as the authors recommend for comparing
images.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from eyechart.core.types import Rgb8
from eyechart.quality.backbones import BackboneFile

ALEXNET = BackboneFile(
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    packages=("torch", "torchvision", "torchmetrics"),
)
MIN_SIDE_PX = 31  # AlexNet's last map has one position


class Lpips:
    """LPIPS with AlexNet, 0 for equal images; NaN for images smaller than 31 pixels on a side.

    download: get the weights of AlexNet (233 MB) if they are not here.
    """

    name = "LPIPS"
    version = "0.1 alex"
    unit = ""
    higher_is_better = False

    def __init__(self, *, download: bool = False) -> None:
        self._download = download

    def check(self) -> None:
        """Raises InputError: a package, or the weights of AlexNet, are missing."""
        ALEXNET.check("lpips", download=self._download)

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """Both (height, width, 3) uint8. Raises InputError: as `check`."""
        from eyechart.quality.tensors import inference, unit_range

        if min(reference.shape[:2]) < MIN_SIDE_PX:
            return float("nan")
        ALEXNET.check("lpips", download=self._download)
        metric = _metric(self._download)
        with inference():
            value = metric(*(unit_range(image) for image in (reference, decoded)))
            metric.reset()
        return float(value)


@cache
def _metric(download: bool) -> Any:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    ALEXNET.ready("lpips", download=download)
    return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
