"""DISTS, by torchmetrics.

Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity", IEEE TPAMI 44,
2022 (arXiv 2004.07728): structure and texture of the features of VGG16.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from eyechart.core.types import Rgb8
from eyechart.quality.backbones import BackboneFile

VGG16 = BackboneFile(
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    packages=("torch", "torchvision", "torchmetrics"),
)
MIN_SIDE_PX = 16  # VGG16's last map has one position


class Dists:
    """DISTS, 0 for equal images; NaN for images smaller than 16 pixels on a side.

    Images are not resized; the authors' script makes the shorter side 256 pixels first. download:
    get the weights of VGG16 (528 MB) if they are not here.
    """

    name = "DISTS"
    version = "1"
    unit = ""
    higher_is_better = False

    def __init__(self, *, download: bool = False) -> None:
        self._download = download

    def check(self) -> None:
        """Raises InputError: a package, or the weights of VGG16, are missing."""
        VGG16.check("dists", download=self._download)

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """Both (height, width, 3) uint8. Raises InputError: as `check`."""
        from eyechart.quality.tensors import inference, unit_range

        if min(reference.shape[:2]) < MIN_SIDE_PX:
            return float("nan")
        VGG16.check("dists", download=self._download)
        with inference():
            images = (unit_range(image) for image in (decoded, reference))
            return float(_network(self._download)(*images))


@cache
def _network(download: bool) -> Any:
    # The library's metric builds this network again for every image.
    from torchmetrics.functional.image.dists import DISTSNetwork

    VGG16.ready("dists", download=download)
    return DISTSNetwork().eval()
