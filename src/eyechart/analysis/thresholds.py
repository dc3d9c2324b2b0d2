"""Smallest sizes that are read, and what a threshold of 0 means (`core.hooks.SizeThreshold`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyechart.analysis.result import Interval
from eyechart.core.hooks import SizeThreshold


def beyond(metrics: Mapping[str, float], name: str, thresholds: Sequence[SizeThreshold]) -> str:
    """What a 0 of a threshold means: `< 6` or `> 42` for what is beyond the sizes of the task, an
    en dash for what was not measured; "" for every other metric."""
    size = next((one for one in thresholds if name in (one.metric, one.low, one.high)), None)
    if size is None or metrics.get(name):
        return ""
    low, high = metrics.get(size.low), metrics.get(size.high)
    if not metrics.get(size.metric) and not low and not high:
        return "–"
    middle = (low or size.smallest) * (high or size.largest)  # of the interval, squared
    large = not high or (bool(low) and middle > size.smallest * size.largest)
    above = name == size.high or (name == size.metric and large)
    return f"> {size.largest:g}" if above else f"< {size.smallest:g}"


def smallest_read(metrics: Mapping[str, float], size: SizeThreshold) -> Interval | None:
    """The smallest size; None if it is outside the sizes of the task. An open end of the interval
    is the end of these sizes."""
    value = metrics.get(size.metric)
    if not value:
        return None
    low, high = metrics.get(size.low), metrics.get(size.high)
    return Interval(value=value, low=low or size.smallest, high=high or size.largest)
