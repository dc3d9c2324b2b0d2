"""The two entropy models of learned codecs: a factorized bottleneck and a Gaussian conditional.

Here are the differentiable likelihoods; `coding` turns them into bytes. Parameter names are those
of CompressAI 1.2.6 and later (`matrices.0`, `biases.0`, `factors.0`, `quantiles`).

Sources: Balle et al. (arXiv 1802.01436), appendix 6.1, for the bottleneck and section 3 for the
Gaussian conditional.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.layers import lower_bound, ste_round

LIKELIHOOD_BOUND = 1e-9
SCALE_MIN, SCALE_MAX, SCALE_LEVELS = 0.11, 256.0, 64
_FILTERS = (3, 3, 3, 3)
_INIT_SCALE = 10.0
_TAIL_MASS = 1e-9


class EntropyBottleneck(nn.Module):
    """A learned density per channel, for the hyper-latent z.

    `forward(z)` returns z rounded about the medians and the likelihood of every element. In
    training mode the likelihood is that of z with uniform noise, and rounding passes the gradient.

    filters: widths of the hidden layers. last_factor: also the last layer has a nonlinearity.
    about_zero: z is rounded to whole numbers, and not about the medians.
    """

    target: Tensor

    def __init__(
        self,
        channels: int,
        *,
        filters: Sequence[int] = _FILTERS,
        last_factor: bool = False,
        about_zero: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels
        self._about_zero = about_zero
        sizes = (1, *filters, 1)
        scale = _INIT_SCALE ** (1 / (len(filters) + 1))
        self.matrices = nn.ParameterList()
        self.biases = nn.ParameterList()
        self.factors = nn.ParameterList()
        for index, (before, after) in enumerate(itertools.pairwise(sizes)):
            start = math.log(math.expm1(1 / scale / after))
            self.matrices.append(nn.Parameter(torch.full((channels, after, before), start)))
            self.biases.append(nn.Parameter(torch.rand(channels, after, 1) - 0.5))
            if index < len(filters) or last_factor:
                self.factors.append(nn.Parameter(torch.zeros(channels, after, 1)))
        quantiles = torch.tensor([-_INIT_SCALE, 0.0, _INIT_SCALE]).repeat(channels, 1, 1)
        self.quantiles = nn.Parameter(quantiles, requires_grad=False)
        tail = math.log(2 / _TAIL_MASS - 1)
        self.register_buffer("target", torch.tensor([-tail, 0.0, tail]), persistent=False)

    @property
    def medians(self) -> Tensor:
        """(1, channels, 1, 1)."""
        return self.quantiles[:, 0, 1].detach().reshape(1, -1, 1, 1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = z.to(self.quantiles.dtype)
        medians = self.medians
        z_hat = ste_round(z - medians) + medians
        likely = z + torch.rand_like(z) - 0.5 if self.training else z_hat
        likelihood = self.likelihood(likely.transpose(0, 1).reshape(self.channels, 1, -1))
        batch, channels, height, width = z.shape
        likelihood = likelihood.reshape(channels, batch, height, width).transpose(0, 1)
        return z_hat, lower_bound(likelihood, LIKELIHOOD_BOUND)

    def likelihood(self, values: Tensor) -> Tensor:
        """Probability of the interval of length 1 around each value, (channels, 1, n)."""
        lower, upper = self.logits(values - 0.5), self.logits(values + 0.5)
        # In the upper tail both sigmoids are close to 1 and their difference would be rounded away;
        # with the signs changed it is that of two small numbers.
        side = torch.where(lower + upper > 0, -1.0, 1.0).to(values)
        return (torch.sigmoid(side * upper) - torch.sigmoid(side * lower)).abs()

    def logits(self, values: Tensor) -> Tensor:
        """Logits of the cumulative distribution at values of shape (channels, 1, n)."""
        for index, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            values = torch.matmul(F.softplus(matrix), values) + bias
            if index < len(self.factors):
                values = values + torch.tanh(self.factors[index]) * torch.tanh(values)
        return values

    def double_copy(self) -> EntropyBottleneck:
        """The same densities in float64 on the CPU, for tables that all machines agree on."""
        return copy.deepcopy(self).cpu().double()

    @torch.no_grad()
    def update_quantiles(self) -> None:
        """Set `quantiles` to the lower tail, median and upper tail of the densities.

        The median is set to 0 where z is rounded to whole numbers.
        By bisection, which is exact and needs no loss of its own during training.
        """
        low = torch.full((self.channels, 1, 3), -1e5, device=self.quantiles.device)
        high = -low
        for _ in range(48):
            middle = (low + high) / 2
            below = self.logits(middle) < self.target
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        self.quantiles.copy_((low + high) / 2)
        if self._about_zero:
            self.quantiles[:, :, 1] = 0


def gaussian_likelihood(y: Tensor, scales: Tensor, means: Tensor, *, noise: bool) -> Tensor:
    """Likelihoods of y under normal densities with these means and scales, all of one shape.

    noise: of y with uniform noise (training), else of y rounded about its mean. Scales below 0.11
    count as 0.11, likelihoods below 1e-9 as 1e-9.
    """
    return _likelihood(y, scales, means, torch.special.ndtr, noise=noise)


def logistic_likelihood(y: Tensor, scales: Tensor, means: Tensor, *, noise: bool) -> Tensor:
    """As `gaussian_likelihood`, under logistic densities."""
    return _likelihood(y, scales, means, torch.sigmoid, noise=noise)


def _likelihood(
    y: Tensor,
    scales: Tensor,
    means: Tensor,
    cumulative: Callable[[Tensor], Tensor],
    *,
    noise: bool,
) -> Tensor:
    """cumulative: the distribution function at mean 0 and scale 1, of a symmetric density."""
    offset = y - means
    offset = offset + torch.rand_like(offset) - 0.5 if noise else offset.round()
    scales = lower_bound(scales, SCALE_MIN)
    distance = offset.abs()
    upper = cumulative((0.5 - distance) / scales)
    lower = cumulative((-0.5 - distance) / scales)
    return lower_bound(upper - lower, LIKELIHOOD_BOUND)
