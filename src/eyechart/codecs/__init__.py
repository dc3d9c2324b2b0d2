"""Image codecs with real bitstreams: the rate counts all bytes that a decoder is given.

Built in: source (PNG), jpeg, webp, avif (Pillow); hevc, vvc, jpegxl (ffmpeg); hm, vtm (the
reference software of the user). Each is found by name through `eyechart.core.plugins`.
"""

from __future__ import annotations

from eyechart.codecs.opening import open_named, parse_codec
from eyechart.core.types import Codec, Json

__all__ = ["open_codec", "open_named", "parse_codec"]


def open_codec(spec: str, **options: Json) -> Codec:
    """A codec by name or spec (`jpeg`, `vvc:preset=fast`); `options` replace those of the spec.

    Raises:
        PluginError: an unknown name or option, a missing package.
        InputError: an option's value is not allowed.
    """
    name, given = parse_codec(spec)
    return open_named(name, {**given, **options})
