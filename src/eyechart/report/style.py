"""Colour and marker of each codec, the same in every report, figure and plot.

A style is a number: its colour is one of eight, and codecs that share a colour have other markers,
so that a figure can be read in grey and by colour-blind readers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

# The colours of assets/page.css, and matplotlib's names of the markers of assets/linechart.js.
COLOURS = ("#c94a1a", "#0f6db5", "#0a8560", "#a94a97", "#9c6b00", "#5147b8", "#61656b", "#7a4a21")
MARKERS = "os^DvPpX"
_KNOWN = (
    # The built-in plan's codecs first: one colour each.
    *("hevc", "jpeg", "vvc", "elic", "tic", "transtic", "rdeic", "ms-illm"),
    *("hific", "stablecodec", "diffeic", "tcm", "mlicpp", "webp", "avif", "jpegxl"),
    *("hm", "vtm"),
)
_ALIASES = {"illm": "ms-illm"}


def styles(codecs: Sequence[str]) -> dict[str, int]:
    """Codec -> style. A codec that this package does not know gets one from its name; variants of
    one codec in the same figure get different ones. The order of the codecs does not matter."""
    found: dict[str, int] = {}
    for codec in sorted(set(codecs)):
        base = re.split("[:@]", codec)[0].removesuffix("-mini")
        base = _ALIASES.get(base, base)
        if base in _KNOWN:
            style = _KNOWN.index(base)
        else:
            style = int.from_bytes(hashlib.sha256(base.encode()).digest()[:2], "big") % 64
        while style in found.values():
            style += 1
        found[codec] = style
    return {codec: found[codec] for codec in codecs}


def colour(style: int) -> str:
    """As #rrggbb."""
    return COLOURS[style % len(COLOURS)]


def marker(style: int) -> str:
    """As matplotlib names it."""
    return MARKERS[(style + 3 * (style // len(COLOURS))) % len(MARKERS)]
