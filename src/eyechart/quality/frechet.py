"""The Frechet distance of two sets of images, from features of each image.

    ||m - m'||^2 + tr(C + C' - 2 (C C')^(1/2))

of Gaussians with the means m and covariances C of the features (Dowson and Landau, Journal of
Multivariate Analysis 12, 1982). With the features of Inception v3 it is FID (Heusel et al., NeurIPS
2017); with others it is another number. It falls with the number of images, so sets are comparable
only with others of that size.
"""

from __future__ import annotations

import numpy as np

from eyechart.core.types import Floats

LEAST_IMAGES = 2  # one has no covariance


def frechet_distance(reference: Floats, decoded: Floats, weights: Floats | None = None) -> float:
    """Of features (images, dimensions). weights: how often each image counts, (images,).

    NaN for fewer than two images.
    """
    count = np.ones(len(reference)) if weights is None else weights
    if count.sum() < LEAST_IMAGES or np.count_nonzero(count) < LEAST_IMAGES:
        return float("nan")
    (mean, spread), (other_mean, other_spread) = (
        _moments(np.asarray(side, np.float64), count) for side in (reference, decoded)
    )
    # With C = A'A and C' = B'B, the trace of (C C')^(1/2) is the sum of the singular values of AB'.
    # There are as many rows as images, mostly fewer than dimensions.
    both = np.linalg.svd(spread @ other_spread.T, compute_uv=False).sum()
    traces = (spread**2).sum() + (other_spread**2).sum()
    return max(0.0, float(((mean - other_mean) ** 2).sum() + traces - 2 * both))


def _moments(features: Floats, count: Floats) -> tuple[Floats, Floats]:
    """The mean, and rows whose sum of squares is the covariance."""
    total = count.sum()
    mean: Floats = count @ features / total
    spread: Floats = np.sqrt(count / (total - 1))[:, None] * (features - mean)
    return mean, spread
