"""The densities of the range coder: tables that encoder and decoder compute alike.

Means are rounded to a grid, scales to a table of 64; the densities of z are tables of
probabilities.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

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
    logistic_likelihood,
)

Symbols: TypeAlias = npt.NDArray[np.int32]
Indices: TypeAlias = npt.NDArray[np.int64]  # of scales in the table

MEAN_STEP = 1 / 256
SYMBOL_MAX = 2047  # symbols beyond are clipped; scales reach 256
_LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_LEVELS - 1)
SCALES = SCALE_MIN * np.exp(_LOG_STEP * np.arange(SCALE_LEVELS))
_PROBABILITY_STEP = 2.0**-22
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


@functools.cache
def logistic_model(scale: int) -> Any:
    """Probabilities of all symbols at a scale of the table, in steps of 2^-30."""
    symbols = torch.arange(-SYMBOL_MAX, SYMBOL_MAX + 1, dtype=torch.float64)
    zeros = torch.zeros_like(symbols)
    likely = logistic_likelihood(symbols, zeros + SCALES[scale], zeros, noise=False)
    steps = torch.round(likely * 2.0**30).clamp(min=1).numpy()
    return _model.Categorical(steps, perfect=False)


def scale_indices(scales: Tensor) -> Tensor:
    """Indices into the table of 64 scales from 0.11 to 256, nearest by ratio."""
    logs = torch.log(scales.double().clamp(min=SCALE_MIN, max=SCALE_MAX) / SCALE_MIN)
    return torch.round(logs / _LOG_STEP).long()


def on_grid(means: Tensor) -> Tensor:
    """Means rounded to the grid, in float64."""
    return torch.round(means.double() / MEAN_STEP) * MEAN_STEP
