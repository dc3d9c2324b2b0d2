"""Training images: folders of image files, decoded once, and random crops from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from eyechart.core.errors import ImageError
from eyechart.core.images import read_image
from eyechart.core.types import Rgb8

_SMALLER = 2 / 3  # every image that is large enough is used at this scale too


def read_pictures(
    files: Sequence[Path], crop_px: int, *, smaller: bool = True
) -> tuple[list[Rgb8], list[str]]:
    """Decode images of at least `crop_px` on both sides; others are left out.

    smaller: add a copy of each at two thirds of its size, as another scale to learn from.
    Returns:
        The images, and one message for each file that cannot be read.
    """
    pictures: list[Rgb8] = []
    unreadable: list[str] = []
    for path in files:
        try:
            picture = Image.fromarray(read_image(path))
        except ImageError as error:
            unreadable.append(str(error))
            continue
        sizes = [picture.size]
        if smaller:
            sizes.append((round(picture.width * _SMALLER), round(picture.height * _SMALLER)))
        for width, height in sizes:
            if min(width, height) >= crop_px:
                resized = picture.resize((width, height), Image.Resampling.LANCZOS)
                pictures.append(np.asarray(resized))
    return pictures, unreadable


class Crops:
    """Random square crops from groups of images, each group drawn with a fixed share."""

    def __init__(self, groups: Sequence[Sequence[Rgb8]], shares: Sequence[float], crop_px: int):
        self._groups = groups
        self._shares = np.asarray(shares) / sum(shares)
        self._areas = [
            np.cumsum([picture.shape[0] * picture.shape[1] for picture in group])
            for group in groups
        ]
        self._crop_px = crop_px

    def draw(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.uint8]:
        """(count, crop, crop, 3): images drawn by area, with random position and mirroring."""
        return np.stack([self._one(rng) for _ in range(count)])

    def _one(self, rng: np.random.Generator) -> Rgb8:
        group = int(rng.choice(len(self._groups), p=self._shares))
        areas = self._areas[group]
        picture = self._groups[group][int(np.searchsorted(areas, rng.random() * areas[-1]))]
        size = self._crop_px
        top = int(rng.integers(picture.shape[0] - size + 1))
        left = int(rng.integers(picture.shape[1] - size + 1))
        crop = picture[top : top + size, left : left + size]
        return crop[:, ::-1] if rng.random() < 0.5 else crop
