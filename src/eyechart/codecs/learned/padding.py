"""Images as tensors, padded to sizes that a network takes, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from eyechart.codecs.learned.coding import Size
from eyechart.codecs.learned.layers import reflect
from eyechart.core.errors import CodecError
from eyechart.core.types import Rgb8

PaddingMode: TypeAlias = Literal["zeros", "centred zeros", "edge", "reflect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding:
    """How images are padded at the bottom and right, or, if centred, on all sides.

    multiple: padded sides are multiples of this. mode: "reflect" uses the edge for images that are
    no larger than the padding.
    """

    multiple: int
    mode: PaddingMode

    def padded(self, size: Size) -> Size:
        """The size after padding."""
        height, width = (side + -side % self.multiple for side in size)
        return height, width

    def pad(self, x: Tensor) -> Tensor:
        """x: (batch, channels, height, width)."""
        top, bottom, left, right = self._margins((x.shape[2], x.shape[3]))
        if self.mode == "reflect":
            return reflect(x, (left, right, top, bottom))
        mode = "replicate" if self.mode == "edge" else "constant"
        return nn.functional.pad(x, (left, right, top, bottom), mode=mode)

    def crop(self, padded: Tensor, size: Size) -> Tensor:
        """The part of a padded image (channels, height, width) that is not padding.

        size: height and width before padding.
        """
        top, _, left, _ = self._margins(size)
        return padded[:, top : top + size[0], left : left + size[1]]

    def _margins(self, size: Size) -> tuple[int, int, int, int]:
        """Padding at the top, bottom, left and right."""
        down, across = -size[0] % self.multiple, -size[1] % self.multiple
        if self.mode == "centred zeros":
            return down // 2, down - down // 2, across // 2, across - across // 2
        return 0, down, 0, across


def tensor_of(image: Rgb8, device: torch.device) -> Tensor:
    """(1, 3, height, width) in 0..1, float32."""
    return torch.tensor(image, device=device).permute(2, 0, 1)[None].float() / 255


def rgb8_of(image: Tensor, *, codec: str) -> Rgb8:
    """An image (3, height, width) in 0..1 as 8-bit RGB, clipped and rounded.

    Raises:
        CodecError: it is not finite.
    """
    if not bool(torch.isfinite(image).all()):
        raise CodecError("the decoded image is not finite", codec=codec)
    rounded = image.clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())
