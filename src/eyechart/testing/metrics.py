"""The conformance check for a quality metric.

from eyechart.testing import check_metric
check_metric(MyMetric())
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eyechart.core.types import Rgb8
from eyechart.quality import HasFeatures, QualityMetric, open_metric

_SIZES = ((192, 176), (177, 161), (64, 48), (1, 1))  # (height, width)
_NOISES = (2, 8, 32)  # standard deviations, in steps of 8 bits


def check_metric(metric: QualityMetric | str, *, sizes: Sequence[tuple[int, int]] = _SIZES) -> None:
    """Measure images with more and more noise and check the requirements of a metric.

    Identity; a number for every size, or NaN for images that are too small; the same number at a
    second call; unchanged inputs; equal images are best, and more noise is worse. Of a metric that
    compares sets of images: features of one length, the same ones at a second call.

    metric: the metric, or the name that it is registered by. sizes: (height, width) of images.
    Raises:
        AssertionError: names the violated requirement.

    Examples:
        >>> check_metric("psnr")
    """
    if isinstance(metric, str):
        metric = open_metric(metric)
    _check_identity(metric)
    measured = 0
    for seed, (height_px, width_px) in enumerate(sizes):
        reference, noisy = _images(height_px, width_px, seed)
        if isinstance(metric, HasFeatures):
            measured += _check_features(metric, reference, noisy)
        else:
            measured += _check_size(metric, reference, noisy)
    assert measured, f"NaN for all sizes: {', '.join(f'{w}x{h}' for h, w in sizes)}"


def _check_identity(metric: QualityMetric) -> None:
    assert isinstance(metric, QualityMetric), "lacks a part of eyechart.quality.QualityMetric"
    for name in ("name", "version", "unit"):
        assert isinstance(getattr(metric, name), str), f"{name} must be text"
    assert metric.name, "a metric needs a name"
    assert metric.version, "a metric needs a version that changes when its numbers do"
    assert isinstance(metric.higher_is_better, bool), "higher_is_better must be True or False"


def _check_size(metric: QualityMetric, reference: Rgb8, noisy: Sequence[Rgb8]) -> bool:
    """Whether the metric is defined for images of this size."""
    height_px, width_px, _ = reference.shape
    at = f"at {width_px}x{height_px}"
    values = []
    for image in (reference, *noisy):
        before = reference.copy(), image.copy()
        value = metric.measure(reference, image)
        assert isinstance(value, float), f"{at}: {type(value).__name__} is not a float"
        again = metric.measure(reference, image)
        assert value == again or np.isnan([value, again]).all(), f"{at}: {value}, then {again}"
        unchanged = np.array_equal(reference, before[0]) and np.array_equal(image, before[1])
        assert unchanged, f"{at}: an image was changed"
        values.append(value if metric.higher_is_better else -value)
    if np.isnan(values).all():
        return False
    assert not np.isnan(values).any(), f"{at}: NaN for some images of one size"
    assert min(height_px, width_px) < 8 or all(np.diff(values) < 0), (
        f"{at}: more noise is not worse: {', '.join(f'{abs(value):.4g}' for value in values)}"
    )
    return True


def _check_features(metric: HasFeatures, reference: Rgb8, noisy: Sequence[Rgb8]) -> bool:
    """Always True: features are defined for every size."""
    height_px, width_px, _ = reference.shape
    at = f"at {width_px}x{height_px}"
    found = []
    for image in (reference, *noisy):
        before = image.copy()
        features = np.asarray(metric.features(image))
        assert features.ndim == 1, f"{at}: features of shape {features.shape}, not (dimensions,)"
        assert np.isfinite(features).all(), f"{at}: features that are not finite"
        again = metric.features(image)
        assert np.array_equal(features, again), f"{at}: other features at a second call"
        assert np.array_equal(image, before), f"{at}: an image was changed"
        found.append(features)
    assert len({len(features) for features in found}) == 1, f"{at}: features of several lengths"
    return True


def _images(height_px: int, width_px: int, seed: int) -> tuple[Rgb8, list[Rgb8]]:
    """A smooth image, and the same with more and more noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height_px, :width_px]
    waves = [np.sin(rows / (9 + n)) + np.cos(columns / (13 + n)) for n in range(3)]
    smooth = 128 + 30 * np.stack(waves, axis=-1)
    noise = rng.standard_normal(smooth.shape)
    made = [np.clip(np.rint(smooth + scale * noise), 0, 255) for scale in (0, *_NOISES)]
    reference, *noisy = [image.astype(np.uint8) for image in made]
    return reference, noisy
