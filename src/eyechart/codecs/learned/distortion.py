"""The distortion term of the training loss: mean squared error or 1 - MS-SSIM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Distortion: TypeAlias = Literal["mse", "ms-ssim", "features", "perceptual", "edges"]
DISTORTIONS: tuple[Distortion, ...] = ("mse", "ms-ssim")  # that need nothing else
Distance: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # of decoded and uncompressed images

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
MS_SSIM_LEAST_PX = (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1  # the window fits every scale


def distortion(x_hat: Tensor, x: Tensor, kind: Distortion) -> Tensor:
    """The distortion that lambda weighs: 255^2 * MSE, or 1 - MS-SSIM.

    x_hat, x: (batch, 3, height, width), values 0..1.
    """
    if kind == "mse":
        return 255**2 * (x_hat - x).square().mean()
    if kind == "ms-ssim":
        return 1 - ms_ssim(x_hat, x)
    if kind == "edges":
        return edge_error(x_hat - x)
    raise ValueError(f"the distortion {kind!r} needs a network")


def edge_error(error: Tensor) -> Tensor:
    """255 * the mean absolute error, plus that of the differences to the next row and column."""
    parts = error, error.diff(dim=2), error.diff(dim=3)
    return 255 * torch.stack([part.abs().mean() for part in parts]).sum()


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean MS-SSIM of the channels, five scales (Wang et al., Asilomar 2003, eq. 7).

    Sides of at least 161 pixels. Gradients pass.
    """
    factors = []
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        luminance, structure = _ssim_parts(x, y)
        value = structure if scale + 1 < len(_WEIGHTS) else luminance * structure
        factors.append(value.mean((2, 3)).clamp(min=1e-6) ** weight)
    return torch.stack(factors).prod(0).mean()


def _ssim_parts(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x.square()
    variance_y = _blur(y * y) - mean_y.square()
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    return luminance, (2 * covariance + _C2) / (variance_x + variance_y + _C2)


def _blur(x: Tensor) -> Tensor:
    places = torch.arange(_WINDOW, device=x.device, dtype=x.dtype) - _WINDOW // 2
    window = torch.exp(-places.square() / (2 * _SIGMA**2))
    window = window / window.sum()
    channels = x.shape[1]
    rows = window.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1)
    columns = window.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(x, rows, groups=channels), columns, groups=channels)
