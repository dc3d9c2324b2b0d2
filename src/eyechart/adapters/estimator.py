"""A small classifier that estimates the condition of an image from its pixels.

    (3, H, W) -> luma, two colour differences -> statistics of pixel differences -> 64 -> scores

Compression changes the differences of neighbouring pixels: their size, how many are zero, how heavy
the tails of their distribution are, and whether large ones lie on a grid of 8. The statistics are
fixed; only the classifier after them is trained. After 200 steps of 52 images it finds 57 % of 13
conditions on 60 held-out images, and 99 % of the codecs. A convolutional network of the same size
with learned statistics found 28 % and 58 % (on 16 images) in the same number of steps.

Its input is that of the vision tower, resized and normalised, in training and in use.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_SCALES_PX = (1, 2, 4, 8)  # of luma; for colour only those between neighbours
_FLAT = (0.01, 0.03, 0.1)  # in normalised units; smaller differences count as zero
_GRID_PX = 8
_HIDDEN = 64
_OPPONENT = ((1 / 3, 1 / 3, 1 / 3), (0.5, -0.5, 0.0), (-0.25, -0.25, 0.5))
_STATISTICS = 2 * (len(_SCALES_PX) + 2) * (3 + len(_FLAT)) + 2 * 3 * _GRID_PX


class ConditionEstimator(nn.Module):
    """Scores of the vocabulary's entries (`unknown` is not one of them): 9 thousand weights."""

    def __init__(self, entries: int, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.norm = nn.LayerNorm(_STATISTICS)
            self.hidden = nn.Linear(_STATISTICS, _HIDDEN)
            self.head = nn.Linear(_HIDDEN, entries)

    def forward(self, images: Sequence[Tensor]) -> Tensor:
        """(3, H, W) each, of any sizes from 9x9 -> scores (images, entries)."""
        if len({image.shape for image in images}) == 1:
            found = statistics(torch.stack(list(images)))
        else:
            found = torch.cat([statistics(image[None]) for image in images])
        hidden = self.hidden(self.norm(found.to(self.head.weight.dtype)))
        scores: Tensor = self.head(torch.nn.functional.gelu(hidden))
        return scores


@torch.no_grad()
def statistics(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 120): logarithms and shares, of the order of one."""
    with torch.autocast(images.device.type, enabled=False):
        mixing = torch.tensor(_OPPONENT, device=images.device)
        mixed = torch.einsum("kc,nchw->nkhw", mixing, images.float())
        found: list[Tensor] = []
        for turned in (mixed, mixed.transpose(2, 3)):  # differences along rows, along columns
            for scale in _SCALES_PX:
                found += _spread(_differences(turned[:, :1], scale))
            near = _differences(turned, 1)
            found += _spread(near[:, 1:])
            found.append(_by_phase(near).flatten(1))
        return torch.cat(found, dim=1)


def _differences(x: Tensor, scale_px: int) -> Tensor:
    return (x[..., scale_px:] - x[..., :-scale_px]).abs()


def _spread(differences: Tensor) -> list[Tensor]:
    """Mean, deviation, weight of the tails and share of zeros: (N, channels) each."""
    flat = differences.flatten(2)
    squares = flat.square()
    mean, square, fourth = flat.mean(-1), squares.mean(-1), squares.square().mean(-1)
    size = torch.log(mean + 1e-3)
    return [
        size,
        0.5 * torch.log(square + 1e-6) - size,
        torch.log(fourth / (square.square() + 1e-9) + 1e-3) / 3,
        *(2 * (flat < limit).float().mean(-1) for limit in _FLAT),
    ]


def _by_phase(differences: Tensor) -> Tensor:
    """Mean difference at each phase of the grid of 8, over the mean of all: (N, channels, 8)."""
    columns = differences.mean(-2)
    whole = columns.shape[-1] // _GRID_PX * _GRID_PX
    phases = columns[..., :whole].reshape(*columns.shape[:2], -1, _GRID_PX).mean(-2)
    return torch.log(phases + 1e-3) - torch.log(phases.mean(-1, keepdim=True) + 1e-3)
