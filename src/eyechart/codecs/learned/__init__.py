"""Learned codecs: neural transforms with real, range-coded bitstreams.

`layers` and `entropy` are the networks' parts, `coding` turns a latent into bytes and back, and one
module per architecture (`elic`, ...) defines in which order its latent is coded. `load_official`
makes a network from a published checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eyechart.codecs.learned.official import load_official

__all__ = ["load_official"]


def __getattr__(name: str) -> Any:
    # Not imported above: it needs torch and constriction, which some modules here do without.
    if name != "load_official":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from eyechart.codecs.learned.official import load_official

    return load_official
