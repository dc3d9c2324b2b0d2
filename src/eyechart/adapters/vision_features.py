"""Features of a frozen VLM's vision tower as a function of pixels, for codecs that train on them.

A family's image processor takes uint8 images and passes no gradient. Where it does not resample,
each of its output values is a scaled and shifted value of one pixel. To find which pixel, images
whose values are the numbers of their pixels are processed. That works for every family.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eyechart.adapters.base import open_base
from eyechart.adapters.towers import tower_of
from eyechart.core.errors import InputError
from eyechart.core.types import Rgb8
from eyechart.vlms.backbone import Backbone
from eyechart.vlms.towers import Inputs

_PIXELS = "pixel_values"
_TOLERANCE = 1e-3  # of the range of a value


class VisionFeatures:
    """The vision tower of a VLM on square images of one size.

    vlm: as for adapters, a name with options. side_px: of the images; the attribute is that of
    their upper left part that the tower gets, the largest one that is not resampled.
    Raises:
        InputError: no vision tower is known for it, or its processor resamples all such images.
        PluginError: it cannot be opened here.
    """

    def __init__(self, vlm: str, side_px: int, device: str) -> None:
        opened = open_base(vlm)
        backbone, model = opened.build()
        model.requires_grad_(False).eval().to(device)
        self.name, self.version = opened.name, opened.version
        self._tower = tower_of(model)
        maps = (
            _pixel_map(backbone, side, torch.device(device))
            for side in range(side_px, side_px // 2, -1)
        )
        found = next((one for one in maps if one is not None), None)
        if found is None:
            raise InputError(
                f"vlm {vlm!r} resamples images of up to {side_px}x{side_px} pixels, so that no "
                "gradient reaches the codec; allowed are larger crops"
            )
        self._map, self.side_px = found, found.side_px

    def distance(self, decoded: Tensor, uncompressed: Tensor) -> Tensor:
        """Squared distance of the features, over the squared size of the uncompressed ones.

        decoded, uncompressed: (batch, 3, side, side) in 0..1. Gradients pass to `decoded`.
        """
        with torch.no_grad():
            wanted = self._tower.features(self._map.inputs(uncompressed)).float()
        found = self._tower.features(self._map.inputs(decoded)).float()
        return (found - wanted).square().sum() / wanted.square().sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class _PixelMap:
    """A processor's result for a square image: value = pixel[index] * factor + offset.

    index, factor, offset: of the shape of `pixel_values`; pixels are in 0..1, counted by row,
    column and channel. others: the tower's other inputs.
    """

    side_px: int
    index: Tensor
    factor: Tensor
    offset: Tensor
    others: Inputs

    def inputs(self, images: Tensor) -> Inputs:
        """The tower's inputs for images (batch, 3, >= side, >= side) in 0..1; gradients pass."""
        side = self.side_px
        flat = images[:, :, :side, :side].permute(0, 2, 3, 1).reshape(len(images), -1)
        pixels = [one[self.index] * self.factor + self.offset for one in flat]
        others = {key: torch.cat([value] * len(images)) for key, value in self.others.items()}
        return {_PIXELS: torch.cat(pixels), **others}


def _pixel_map(backbone: Backbone, side_px: int, device: torch.device) -> _PixelMap | None:
    """The map of a size; None if the processor resamples it."""
    shape = (side_px, side_px, 3)

    def processed(rgb8: Rgb8) -> Inputs:
        found = backbone.prepare(np.ascontiguousarray(rgb8)).inputs
        return {key: value.to(device) for key, value in found.items()}

    black = processed(np.zeros(shape, np.uint8))
    offset = black.pop(_PIXELS).float()
    factor = processed(np.full(shape, 255, np.uint8))[_PIXELS].float() - offset
    numbers = np.arange(side_px * side_px * 3)
    index = torch.zeros(offset.shape, dtype=torch.long, device=device)
    for digit in range(3):  # a number below 2^24 as three bytes
        digits = (numbers >> (8 * digit) & 255).astype(np.uint8).reshape(shape)
        values = (processed(digits)[_PIXELS].float() - offset) / factor * 255
        index += values.round().long().clamp(0, 255) << (8 * digit)
    found = _PixelMap(
        side_px=side_px,
        index=index.clamp(0, len(numbers) - 1),
        factor=factor,
        offset=offset,
        others=black,
    )
    trial = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    image = torch.tensor(trial, device=device).permute(2, 0, 1)[None].float() / 255
    difference = found.inputs(image)[_PIXELS] - processed(trial)[_PIXELS].float()
    return found if bool((difference.abs() < _TOLERANCE * factor.abs()).all()) else None
