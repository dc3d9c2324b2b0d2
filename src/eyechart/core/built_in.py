"""Names of what is used if nothing else is named."""

from __future__ import annotations

BUILT_IN_DATA = "eyechart-mini"  # given as `data`, it overrides the environment
BUILT_IN_VLM = "eyechart-mini-s"
