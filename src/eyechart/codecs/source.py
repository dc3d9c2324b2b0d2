"""The uncompressed image as a codec, so that runs need no special case for it."""

from __future__ import annotations

from collections.abc import Mapping

from eyechart.codecs.image_file import ImageFileCodec, version_of
from eyechart.core.types import LOSSLESS, UNCOMPRESSED, Json, Level


class SourceCodec(ImageFileCodec):
    """Lossless PNG (Pillow's defaults); its rate is that of the stored PNG."""

    name, format = UNCOMPRESSED, "PNG"
    levels = (Level(name=LOSSLESS, rank=0, knobs={}),)

    @property
    def options(self) -> Mapping[str, Json]:
        return {}

    @property
    def version(self) -> str:
        from PIL import features

        return version_of("zlib_ng" if features.version("zlib_ng") else "zlib")
