"""Conformance checks that a third party runs on its own plug-ins."""

from eyechart.testing.codecs import CodecReport, ConformanceError, check_codec

__all__ = ["CodecReport", "ConformanceError", "check_codec"]
