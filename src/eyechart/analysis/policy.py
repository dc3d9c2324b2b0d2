"""A recommendation as a file that a client applies, and the client."""

from __future__ import annotations

import json
from collections.abc import Mapping

from eyechart.analysis.recommend import Recommendation, Setting
from eyechart.codecs.opening import open_named
from eyechart.core.errors import EyechartError, InputError
from eyechart.core.hooks import WritesImageFile
from eyechart.core.types import LONG_SIDE, Json

POLICY = 1  # format of the file
_PILLOW_CLIENT = """\
import io, json
from PIL import Image, ImageCms, ImageOps

policy = json.load(open({path}))


def compressed(path):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    if (icc := image.info.get("icc_profile", b""))[16:20] == b"RGB ":
        image = ImageCms.profileToProfile(image, io.BytesIO(icc), ImageCms.createProfile("sRGB"))
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    scale = min(1, (policy["long_side"] or 1 << 30) / max(image.size))
    size = [max(1, round(side * scale)) for side in image.size]
    image = image.resize(size, Image.Resampling.LANCZOS)
    image.save(file := io.BytesIO(), policy["format"], **policy["settings"])
    return file.getvalue()
"""
_CODEC_CLIENT = """\
import json
import eyechart

policy = json.load(open({path}))
codec = eyechart.open_codec(policy["codec"], **policy["options"])
level = {{one.name: one for one in codec.levels}}[policy["level"]]


def compressed(path):
    return codec.encode(eyechart.read_image(path), level).payload
"""


def policy_of(found: Recommendation) -> dict[str, Json]:
    """The best setting as JSON. Raises InputError: there is none, or its codec is not here."""
    best = found.best
    if best is None or best.measured.cell is None:
        raise InputError(f"{found.name}: no setting is recommended, so there is no policy to write")
    cell = best.measured.cell
    try:
        codec = open_named(cell.codec.name, cell.codec.options)
    except EyechartError as error:
        raise InputError(f"{found.name}: no policy, because {error}") from error
    policy: dict[str, Json] = {
        "policy": POLICY,
        "vlm": found.name,
        "codec": cell.codec.name,
        "options": {**cell.codec.options, **_level_options(best)},
        "level": best.level,
        "long_side": cell.level.knobs.get(LONG_SIDE),
        "tolerance": found.tolerance,
        "loss_at_most": round(best.upper, 3),
        "images": best.images,
        "bytes_per_image": round(best.bytes_per_image),
    }
    file = codec.image_file(cell.level) if isinstance(codec, WritesImageFile) else None
    if file is not None:
        policy |= {"format": file.format, "settings": dict(file.settings)}
    return policy


def client_of(policy: Mapping[str, Json], path: str) -> str:
    """Python that compresses an image by a policy file: with Pillow alone where its codec is one of
    Pillow's, else with this package. With Pillow, images of 8 bits in RGB or without a profile give
    the payload that a run measures; 16 bits, and profiles of grey or CMYK, are left to Pillow."""
    client = _PILLOW_CLIENT if "format" in policy else _CODEC_CLIENT
    return client.format(path=json.dumps(path, ensure_ascii=False))


def _level_options(setting: Setting) -> dict[str, Json]:
    """Options with which the codec lists the level."""
    assert setting.measured.cell is not None
    level = setting.measured.cell.level
    knobs = dict(level.knobs)
    options: dict[str, Json] = {}
    if LONG_SIDE in knobs:
        options[LONG_SIDE] = [knobs.pop(LONG_SIDE)]
    if not level.weights and len(knobs) == 1:
        ((knob, value),) = knobs.items()
        options[knob if knob.startswith("target_") else "levels"] = [value]
    return options
