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

import hashlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from eyechart.core.errors import InputError

TRAINED_STEPS = 1000
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
    scheduler = _scheduler()
    scheduler.set_timesteps(timesteps=list(steps))
    for step in steps:
        predicted = predict(x, step).to(x.dtype)
        x = scheduler.step(predicted, step, x, generator=generator).prev_sample
    return x


def noised(x: Tensor, step: int, noise: Tensor) -> Tensor:
    """A clean latent with the noise of a step."""
    found: Tensor = _scheduler().add_noise(x, noise, torch.tensor([step]))
    return found


def clean(x: Tensor, predicted: Tensor, step: int) -> Tensor:
    """The clean latent that a prediction of the noise in `x` implies, in one step."""
    abar = _scheduler().alphas_cumprod[step].to(x)
    found: Tensor = (x - (1 - abar).sqrt() * predicted) / abar.sqrt()
    return found


def _scheduler() -> Any:
    import diffusers

    scheduler: Any = diffusers.DDPMScheduler
    return scheduler(
        num_train_timesteps=TRAINED_STEPS,
        beta_start=_BETA_FIRST,
        beta_end=_BETA_LAST,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        variance_type="fixed_small",
        clip_sample=False,
    )
