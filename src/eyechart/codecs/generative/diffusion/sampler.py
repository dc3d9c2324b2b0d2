"""Denoising: which of the 1000 training steps are used, and the noise of a payload.

The schedule is that of Stable Diffusion: square roots of beta from 0.00085 to 0.012, and a UNet
that predicts noise. One step from t to the next lower used step s is (Ho et al., arXiv 2006.11239,
equations 7 and 15, with alpha_t' = abar_t / abar_s):

    x_0 = (x_t - sqrt(1 - abar_t) eps) / sqrt(abar_t)
    x_s = sqrt(abar_s) (1 - alpha_t') / (1 - abar_t) x_0
        + sqrt(alpha_t') (1 - abar_s) / (1 - abar_t) x_t
        + sqrt((1 - abar_s) (1 - alpha_t') / (1 - abar_t)) noise

RDEIC (arXiv 2410.02640) starts at step 300 from the decoded latent c. Its residual diffusion

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) (noise + (c - x_0) / lambda),
    lambda = sqrt(1 - abar_N) / sqrt(abar_N)

equals sqrt(abar_N) c + sqrt(1 - abar_N) noise at its first step N. The network predicts the
bracket, noise and residual together, so the steps are those above.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from eyechart.core.errors import InputError

TRAINED_STEPS = 1000
RELAY_STEPS = 300  # RDEIC uses the last 300 of the training steps
_BETA_FIRST, _BETA_LAST = 0.00085, 0.012

# Latent (batch, channels, height, width) and step -> predicted noise.
Predict: TypeAlias = Callable[[Tensor, int], Tensor]


def check_steps(steps: int, within: int, *, codec: str) -> int:
    """The number of steps, if the schedule has as many. Raises InputError."""
    if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= within:
        raise InputError(f"{codec}: steps is {steps!r}; allowed are 2 to {within}")
    return steps


def spaced_steps(count: int, within: int = TRAINED_STEPS) -> list[int]:
    """Training steps at equal distances from `within` - 1 down to 0. count: 2 to `within`.

    Distances are added up in float64 and then rounded, as in the published code: other sums would
    round halves to other steps.
    """
    stride = (within - 1) / (count - 1)
    places = itertools.accumulate([stride] * (count - 1), initial=0.0)
    return [round(place) for place in places][::-1]


def generator_of(payload: bytes) -> torch.Generator:
    """The generator of a payload's noise: seeded with the first 8 bytes of its sha256.

    It is on the CPU, so that the noise is the same on all devices.
    """
    seed = int.from_bytes(hashlib.sha256(payload).digest()[:8], "big")
    return torch.Generator().manual_seed(seed)


def noise_like(x: Tensor, generator: torch.Generator, channels: int) -> Tensor:
    """Normal noise of the size of a map, float32."""
    shape = (x.shape[0], channels, *x.shape[2:])
    return torch.randn(shape, generator=generator).to(x.device)


def denoise(
    predict: Predict, x: Tensor, steps: Sequence[int], generator: torch.Generator
) -> Tensor:
    """From the latent of the first of falling steps to a clean latent."""
    for step, after in itertools.zip_longest(steps, steps[1:]):
        found = clean(x, predict(x, step).to(x.dtype), step)
        if after is None:
            break
        abar, abar_after = _abar(step), _abar(after)
        alpha = abar / abar_after
        x = (
            math.sqrt(abar_after) * (1 - alpha) / (1 - abar) * found
            + math.sqrt(alpha) * (1 - abar_after) / (1 - abar) * x
            + math.sqrt((1 - abar_after) * (1 - alpha) / (1 - abar))
            * noise_like(x, generator, x.shape[1])
        )
    return found


def noised(x: Tensor, step: int, noise: Tensor) -> Tensor:
    """A clean latent with the noise of a step."""
    return math.sqrt(_abar(step)) * x + math.sqrt(1 - _abar(step)) * noise


def clean(x: Tensor, predicted: Tensor, step: int) -> Tensor:
    """The clean latent that a prediction of the noise in `x` implies, in one step."""
    return (x - math.sqrt(1 - _abar(step)) * predicted) / math.sqrt(_abar(step))


def noise_of(x: Tensor, found: Tensor, step: int) -> Tensor:
    """The prediction of the noise in `x` that implies the clean latent `found`."""
    return (x - math.sqrt(_abar(step)) * found) / math.sqrt(1 - _abar(step))


def relayed(x: Tensor, c: Tensor, noise: Tensor, step: int, first: int) -> tuple[Tensor, Tensor]:
    """x_t of RDEIC, and the noise with the residual in it, which a network is to predict.

    x, c: the clean and the decoded latent. first: the step N, at which x_t is c with noise.
    """
    residual = math.sqrt(_abar(first) / (1 - _abar(first))) * (c - x)
    return noised(x, step, noise + residual), noise + residual


def step_generator(network: nn.Module) -> torch.Generator:
    """The generator of the noise of a training step: it follows torch's own.

    In evaluation it is always the same.
    """
    seed = int(torch.randint(2**62, ())) if network.training else 0
    return torch.Generator().manual_seed(seed)


@functools.cache
def _abar_of_steps() -> Tensor:
    """abar of all training steps, the products of 1 - beta, in float64."""
    roots = torch.linspace(_BETA_FIRST**0.5, _BETA_LAST**0.5, TRAINED_STEPS, dtype=torch.float64)
    return torch.cumprod(1 - roots.square(), 0)


def _abar(step: int) -> float:
    return float(_abar_of_steps()[step])
