"""Conformance checks for plug-ins of third parties."""

from eyechart.testing.codecs import CodecReport, ConformanceError, check_codec, examine_codec
from eyechart.testing.metrics import check_metric
from eyechart.testing.tasks import check_task
from eyechart.testing.vlms import check_vlm

__all__ = [
    "CodecReport",
    "ConformanceError",
    "check_codec",
    "check_metric",
    "check_task",
    "check_vlm",
    "examine_codec",
]
