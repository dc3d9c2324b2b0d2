"""Metrics of image quality. A metric is one file and one entry point.

The group is `eyechart.metrics`; a metric is any class with the members of QualityMetric.
"""

from __future__ import annotations

from math import isinf, isnan
from typing import Protocol, runtime_checkable

from eyechart.core import plugins
from eyechart.core.types import Floats, Rgb8

DEFAULT_METRICS = ("psnr", "ms-ssim", "psnr-hvs", "vmaf", "vif", "xpsnr")  # without weights


@runtime_checkable
class QualityMetric(Protocol):
    """A full-reference image quality metric."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...

    @property
    def unit(self) -> str:
        """`dB`, or "" for a number without unit."""
        ...

    @property
    def higher_is_better(self) -> bool: ...

    def measure(self, reference: Rgb8, decoded: Rgb8) -> float:
        """Compare two images of one size. Infinite or NaN if the metric is not defined."""
        ...


@runtime_checkable
class InDecibels(Protocol):
    """Optional protocol of a metric whose curves are drawn and compared in dB."""

    def decibels(self, value: float) -> float:
        """A value of the metric in dB; rises with the quality."""
        ...


@runtime_checkable
class HasFeatures(Protocol):
    """Optional protocol of a metric that compares sets of images, by the Frechet distance of their
    features. One image has features and no value."""

    def features(self, image: Rgb8) -> Floats:
        """Features of one image, (dimensions,)."""
        ...


@runtime_checkable
class NeedsFiles(Protocol):
    """Optional protocol of a metric that needs weights."""

    def check(self) -> None:
        """Look for its files and packages; read no weights. Raises InputError, PluginError: what is
        missing and how to get it."""
        ...


def on_curve(metric: QualityMetric, value: float) -> float:
    """A value for drawing and comparing: in dB if the metric has `decibels`."""
    return metric.decibels(value) if isinstance(metric, InDecibels) else value


def curve_label(metric: QualityMetric) -> str:
    """Name and unit of `on_curve`, for an axis."""
    return f"{metric.name} dB" if isinstance(metric, InDecibels) else label(metric)


def check_files(metric: QualityMetric) -> None:
    """Check that a metric has the weights that it needs. Raises what `NeedsFiles.check` raises."""
    if isinstance(metric, NeedsFiles):
        metric.check()


def open_metric(spec: str) -> QualityMetric:
    """A metric by name (`psnr`) or spec (`name:option=value`). Raises PluginError, InputError."""
    name, options = plugins.parse_spec(spec)
    metric: QualityMetric = plugins.load("eyechart.metrics", name, options)
    return metric


def label(metric: QualityMetric) -> str:
    """Name and unit, as in a table's heading."""
    return f"{metric.name} {metric.unit}".rstrip()


def text(value: float | None) -> str:
    """Four significant digits; a dash if the metric is not defined."""
    if value is None or isnan(value):
        return "–"
    return "∞" if isinf(value) else f"{value:#.4g}"


__all__ = [
    "DEFAULT_METRICS",
    "HasFeatures",
    "InDecibels",
    "NeedsFiles",
    "QualityMetric",
    "check_files",
    "curve_label",
    "label",
    "on_curve",
    "open_metric",
    "text",
]
