"""Convolutions of stride 1 with the algorithm of Winograd, for the float64 entropy networks.

    input tiles -> B^T d B -> a matrix product over the channels each -> A^T m A -> outputs

A tile gives 4x4 outputs: one of 6x6 those of a 3x3 kernel (2.25 products each in place of 9), one
of 8x8 those of a 5x5 kernel (4 in place of 25). In float64 the outputs differ by about 1e-13 of
their size from those of the sum itself, which is far below the grid of means and scales.

Source: Lavin and Gray (arXiv 1509.09308); the matrices are those of Toom and Cook for the points
0, 1, -1, 2, -2, for 5x5 kernels also 1/2, -1/2, and infinity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_POINTS = {3: (0, 1, -1, 2, -2), 5: (0, 1, -1, 2, -2, 0.5, -0.5)}
_OUTPUTS = 4  # of a tile, in each direction
_MOST_TILES = 1536  # computed together, so that memory stays bounded


class WinogradConv(nn.Module):
    """A convolution of stride 1 that pads with zeros and keeps the size; no gradients pass.

    weight: (outputs, inputs, 3, 3) or (outputs, inputs, 5, 5).
    """

    weight: Tensor
    bias: Tensor
    before: Tensor
    after: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self._kernel = weight.shape[2]
        self._tile = _OUTPUTS + self._kernel - 1
        before, kernel, after = (part.to(weight) for part in _matrices(self._kernel))
        # (tile^2, inputs, outputs): MKL's product with the transposed matrices is a little faster.
        products = torch.einsum("ir,kcrs,js->jick", kernel, weight.detach(), kernel)
        self.register_buffer("weight", products.flatten(0, 1).contiguous(), persistent=False)
        self.register_buffer("bias", bias.detach().clone(), persistent=False)
        self.register_buffer("before", before, persistent=False)
        self.register_buffer("after", after, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self._of_one(image) for image in x])

    def _of_one(self, x: Tensor) -> Tensor:
        """x: (inputs, height, width)."""
        height, width = x.shape[1:]
        step, margin = _OUTPUTS, self._kernel // 2
        down, across = -(-height // step), -(-width // step)
        missing = (step * across - width, step * down - height)
        padded = F.pad(x, (margin, margin + missing[0], margin, margin + missing[1]))
        whole = x.new_empty(len(self.bias), down, step, across, step)
        rows = max(1, _MOST_TILES // across)
        for top in range(0, down, rows):
            count = min(rows, down - top)
            part = padded[:, step * top : step * (top + count - 1) + self._tile]
            whole[:, top : top + count] = self._strip(part, count, across)
        outputs = whole.view(len(self.bias), step * down, step * across)
        return outputs[:, :height, :width] + self.bias[:, None, None]

    def _strip(self, x: Tensor, down: int, across: int) -> Tensor:
        """(outputs, down, step, across, step) of the tiles in rows of the input."""
        tile, step = self._tile, _OUTPUTS
        rows = torch.stack([x[:, at : at + step * down : step][:, :down] for at in range(tile)])
        half = (self.before @ rows.flatten(1)).view(rows.shape)
        columns = torch.stack(
            [half[..., at : at + step * across : step][..., :across] for at in range(tile)]
        )
        tiles = (self.before @ columns.flatten(1)).view(tile**2, x.shape[0], down * across)
        products = torch.bmm(self.weight.transpose(1, 2), tiles)
        half = (self.after @ products.view(tile, -1)).view(step, tile, -1)
        outputs = (self.after @ half).view(step, step, -1, down, across)
        return outputs.permute(2, 3, 1, 4, 0)


def _matrices(kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """B^T (tile, tile), G (tile, kernel) and A^T (4, tile), in float64."""
    points = _POINTS[kernel]
    before: list[list[float]] = [[*_polynomial([q for q in points if q != p]), 0] for p in points]
    before.append(_polynomial(points))
    scales = [math.prod(p - q for q in points if q != p) for p in points]
    values: list[list[float]] = [
        [p**power / scale for power in range(kernel)]
        for p, scale in zip(points, scales, strict=True)
    ]
    values.append([*[0.0] * (kernel - 1), 1])
    after = [[*(p**power for p in points), int(power == _OUTPUTS - 1)] for power in range(_OUTPUTS)]
    return tuple(torch.tensor(part, dtype=torch.float64) for part in (before, values, after))  # type: ignore[return-value]


def _polynomial(roots: Sequence[float]) -> list[float]:
    """Coefficients of the product of (x - root), the constant one first."""
    found: list[float] = [1]
    for root in roots:
        shifted, scaled = [0, *found], [-root * one for one in found]
        found = [one + other for one, other in zip(shifted, [*scaled, 0], strict=True)]
    return found
