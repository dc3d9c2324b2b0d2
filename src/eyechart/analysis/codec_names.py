"""Names of codecs and of their settings in prose."""

from __future__ import annotations

import re

from eyechart.core.types import UNCOMPRESSED

# Codecs that are not written in prose as they are called.
_LABELS = {
    UNCOMPRESSED: "uncompressed",
    "jpeg": "JPEG",
    "jpegxl": "JPEG XL",
    "webp": "WebP",
    "avif": "AVIF",
    "hevc": "HEVC",
    "vvc": "VVC",
    "hm": "HM",
    "vtm": "VTM",
    "elic": "ELIC",
    "tic": "TIC",
    "tcm": "TCM",
    "mlicpp": "MLIC++",
    "transtic": "TransTIC",
}


def codec_label(name: str) -> str:
    """A codec as written in prose: `jpeg` -> JPEG, `jpeg:optimize=false` -> JPEG optimize=false,
    `jpeg@768` -> JPEG@768, `jpeg:75 > webp` -> JPEG 75 > WebP."""
    return " > ".join(map(_one_label, name.split(" > ")))


def _one_label(name: str) -> str:
    plain, sign, rest = (*re.split(r"([:@ ])", name, maxsplit=1), "", "")[:3]
    return _LABELS.get(plain, plain) + (" " if sign == ":" else sign) + rest


def setting_label(codec: str, level: str) -> str:
    """A level of a codec, with its size once: JPEG 75, JPEG q75@768, HEVC QP42."""
    size = level[level.rindex("@") :] if "@" in level else ""
    name = "".join(part for part in re.split("(?=[@ ])", codec) if part != size)
    return f"{codec_label(name)} {level}"
