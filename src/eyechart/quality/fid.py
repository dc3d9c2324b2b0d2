"""FID: features by torch-fidelity, which has the network and the resizing of the original.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NeurIPS 2017 (arXiv 1706.08500). FID of a few hundred images is far above that of many: compare it
only between sets of the same images.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from eyechart.core.types import Floats, Rgb8
from eyechart.quality.backbones import BackboneFile

INCEPTION = BackboneFile(
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    packages=("torch", "torchvision", "torch_fidelity"),
)


class Fid:
    """FID of the decoded images against the originals, 0 for equal sets.

    download: get the weights of Inception v3 (91 MB) if they are not here.
    """

    name = "FID"
    version = "inception-2015-12-05"
    unit = ""
    higher_is_better = False

    def __init__(self, *, download: bool = False) -> None:
        self._download = download

    def check(self) -> None:
        """Raises InputError: a package, or the weights of Inception, are missing."""
        INCEPTION.check("fid", download=self._download)

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """NaN: it is of sets of images."""
        return float("nan")

    def features(self, image: Rgb8) -> Floats:
        """Of an image, (height, width, 3) uint8 -> (2048,). Raises InputError: as `check`."""
        from eyechart.quality.tensors import bytes_of, inference

        INCEPTION.check("fid", download=self._download)
        with inference():
            (found,) = _network(self._download)(bytes_of(image))
        return np.asarray(found[0].numpy(), np.float64)


@cache
def _network(download: bool) -> Any:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = INCEPTION.ready("fid", download=download)
    return FeatureExtractorInceptionV3("inception", ["2048"], str(path))
