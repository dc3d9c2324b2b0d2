"""A small network that looks at the pixels and says which condition they are in.

    (3, H, W) -> 5x5/2 -> 3x3/2 -> 3x3/2 -> mean and spread of each channel -> scores of conditions

It reads the pixels that the vision tower is given, resized and normalised, so it is trained and
used on the same. Compression shows in local statistics everywhere, hence no layer sees far.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

_CHANNELS = (16, 32, 32)


class Estimator(nn.Module):
    """Scores of the vocabulary's entries (`unknown` is not one of them): 17 thousand weights."""

    def __init__(self, entries: int, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            wide, mid, last = _CHANNELS
            self.convs = nn.ModuleList(
                [
                    nn.Conv2d(3, wide, 5, stride=2, padding=2),
                    nn.Conv2d(wide, mid, 3, stride=2, padding=1),
                    nn.Conv2d(mid, last, 3, stride=2, padding=1),
                ]
            )
            self.head = nn.Linear(2 * last, entries)

    def forward(self, pictures: Sequence[Tensor]) -> Tensor:
        """(3, H, W) each, of any sizes -> scores (pictures, entries)."""
        sizes = {picture.shape for picture in pictures}
        if len(sizes) == 1:
            return self._scores(torch.stack(list(pictures)))
        return torch.cat([self._scores(picture[None]) for picture in pictures])

    def _scores(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = x_NCHW.to(self.head.weight.dtype)
        for conv in self.convs:
            x_NCHW = gelu(conv(x_NCHW))
        flat = x_NCHW.float().flatten(2)
        pooled = torch.cat([flat.mean(-1), flat.std(-1, correction=0)], dim=-1)
        scores: Tensor = self.head(pooled.to(self.head.weight.dtype))
        return scores
