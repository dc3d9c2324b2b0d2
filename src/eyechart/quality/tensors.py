"""Images as torch tensors, for metrics of networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from eyechart.core.types import Rgb8


@contextmanager
def inference() -> Iterator[None]:
    """Compute without gradients and in one thread: workers measure several images at a time, and
    sums are formed in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


def bytes_of(image: Rgb8) -> Tensor:
    """(height, width, 3) -> (1, 3, height, width), both uint8."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def unit_range(image: Rgb8) -> Tensor:
    """(height, width, 3) uint8 -> (1, 3, height, width) in 0..1."""
    return bytes_of(image).float() / 255
