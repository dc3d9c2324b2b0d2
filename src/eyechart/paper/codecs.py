"""Rates of the paper's codecs, for plans with codecs that are not installed."""

from __future__ import annotations

from eyechart.runner.estimate import PublishedCodec

_LEVELS = 4  # of each codec and task (Table 7)
_MOST_BPP = 0.3  # the paper's limit for all of its levels
# Mean over levels and tasks in Tables 9 to 15; the limit if no rates are printed.
_BPP = {
    "hm": _MOST_BPP,
    "vtm": _MOST_BPP,
    "elic": 0.142,
    "tcm": _MOST_BPP,
    "mlicpp": _MOST_BPP,
    "hific": _MOST_BPP,
    "ms-illm": 0.099,
    "diffeic": _MOST_BPP,
    "rdeic": 0.075,
    "stablecodec": _MOST_BPP,
}


def published_codecs() -> dict[str, PublishedCodec]:
    """The paper's codecs that may not be installed, by eyechart's name."""
    rate = f"by the paper's bpp ({_MOST_BPP} where it prints none)"
    return {
        name: PublishedCodec(levels=_LEVELS, bpp=bpp, bpp_from=rate) for name, bpp in _BPP.items()
    }
