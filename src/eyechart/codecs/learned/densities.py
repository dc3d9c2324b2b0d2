"""The densities of the range coder: tables that encoder and decoder compute alike.

Means are rounded to a grid, scales to a table of 64; the densities of z are tables of
probabilities.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import constriction
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eyechart.codecs.learned.entropy import (
    SCALE_LEVELS,
    SCALE_MAX,
    SCALE_MIN,
    EntropyBottleneck,
    gaussian_likelihood,
    logistic_likelihood,
)

Symbols: TypeAlias = npt.NDArray[np.int32]
Indices: TypeAlias = npt.NDArray[np.uint8]  # of scales in the table
Density: TypeAlias = Literal["gaussian", "logistic"]

MEAN_STEP = 1 / 256
SYMBOL_MAX = 2047  # symbols beyond are clipped; scales reach 256
_LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_LEVELS - 1)
SCALES = SCALE_MIN * np.exp(_LOG_STEP * np.arange(SCALE_LEVELS))
_PROBABILITY_STEP = 2.0**-22
CONDITIONAL_STEP = 2.0**-24  # the smallest probability of constriction
_LIKELIHOODS = {"gaussian": gaussian_likelihood, "logistic": logistic_likelihood}
# Beyond this many scales a symbol is less likely than 2^-24. The few more are for symbols that the
# entropy model did not expect.
_TAILS: dict[Density, float] = {"gaussian": 5.5, "logistic": 17.5}
_MORE = 8
_REACHES: dict[Density, Symbols] = {
    density: np.minimum(np.ceil(tail * SCALES) + _MORE, SYMBOL_MAX).astype(np.int32)
    for density, tail in _TAILS.items()
}
_Z_REACH = 255  # symbols of z on each side of the median
_model = constriction.stream.model


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckTables:
    """The distributions of z: for each channel its lowest and highest symbol and probabilities.

    medians: (1, channels, 1, 1) float64 on the grid; symbols are relative to them.
    """

    medians: Tensor
    low: Symbols
    high: Symbols
    models: tuple[Any, ...]


def bottleneck_tables(bottleneck: EntropyBottleneck) -> BottleneckTables:
    """The tables of a trained bottleneck, probabilities in steps of 2^-22."""
    quantiles = bottleneck.quantiles.detach().double().cpu()[:, 0]
    medians = on_grid(quantiles[:, 1])
    low = torch.floor(quantiles[:, 0] - medians).clamp(-_Z_REACH, 0).int().numpy()
    high = torch.ceil(quantiles[:, 2] - medians).clamp(0, _Z_REACH).int().numpy()
    symbols = torch.arange(-_Z_REACH, _Z_REACH + 1, dtype=torch.float64)
    values = (symbols + medians[:, None])[:, None]
    with torch.no_grad():
        likely = bottleneck.double_copy().likelihood(values)[:, 0]
    grid = torch.round(likely / _PROBABILITY_STEP).clamp(min=1).numpy()
    models = [
        _model.Categorical(row[first + _Z_REACH : last + _Z_REACH + 1].copy(), perfect=False)
        for row, first, last in zip(grid, low, high, strict=True)
    ]
    return BottleneckTables(
        medians=medians.reshape(1, -1, 1, 1), low=low, high=high, models=tuple(models)
    )


def reaches(density: Density) -> Symbols:
    """(64,): for each scale, how far from 0 the symbols of its table are; at most 2047."""
    return _REACHES[density]


@functools.cache
def conditional_table(density: Density, scale: int) -> Any:
    """The probabilities at a scale (its index) of symbols from -reach to reach, and of all others.

    scale: 0 to 63. The table has 2 * reach + 2 entries; the last stands for all other symbols.
    They are in steps of 2^-24, at least one, so that machines whose float64 functions differ in the
    last digits have the same table.
    """
    reach = int(_REACHES[density][scale])
    symbols = torch.arange(reach + 1, dtype=torch.float64)
    zeros = torch.zeros_like(symbols)
    likely = _LIKELIHOODS[density](symbols, zeros + SCALES[scale], zeros, noise=False)
    half = torch.round(likely / CONDITIONAL_STEP).clamp(min=1).numpy()
    return _model.Categorical(np.concatenate([half[:0:-1], half, [1.0]]), perfect=False)


def scale_indices(scales: Tensor) -> Tensor:
    """Indices (uint8) into the table of 64 scales from 0.11 to 256, nearest by ratio."""
    logs = torch.log(scales.double().clamp(min=SCALE_MIN, max=SCALE_MAX) / SCALE_MIN)
    return torch.round(logs / _LOG_STEP).to(torch.uint8)


def on_grid(means: Tensor) -> Tensor:
    """Means rounded to the grid, in float64."""
    return torch.round(means.double() / MEAN_STEP) * MEAN_STEP
