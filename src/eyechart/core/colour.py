"""Conversion of images from their embedded colour profile (ICC) to sRGB."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from eyechart.core.types import Rgb8

if TYPE_CHECKING:
    from PIL.Image import Image

# From an image of RGB, RGBA or CMYK to one of RGB or RGBA.
ToSrgb = Callable[["Image"], "Image"]


def to_srgb(profile: bytes, mode: str, *, grey: bool) -> ToSrgb | None:
    """The conversion from a profile; None if the profile is damaged or of another colour space.

    mode: RGB, RGBA or CMYK, that of the images to convert.
    grey: whether they are grey, with three equal channels; only then a greyscale profile fits.
    """
    from PIL import ImageCms

    space, wanted = ("CMYK", "RGB") if mode == "CMYK" else ("RGB", mode)
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        its_space = embedded.profile.xcolor_space.strip()
        if its_space == "GRAY" and grey:
            exact = ImageCms.Flags.NOOPTIMIZE  # without it, levels between 33 are interpolated
            transform = ImageCms.buildTransform(embedded, srgb, "L", "RGB", flags=exact)
            return _by_table(transform, alpha=mode == "RGBA")
        if its_space != space:
            return None
        transform = ImageCms.buildTransform(embedded, srgb, mode, wanted)
    except (ImageCms.PyCMSError, OSError):
        return None
    return lambda image: _applied(transform, image)


def grey_levels(convert: ToSrgb) -> Rgb8:
    """The conversions of the 256 grey levels: (256, 3), uint8."""
    import numpy as np
    from PIL import Image

    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    levels: Rgb8 = np.asarray(convert(Image.fromarray(ramp)))[0]
    return levels


def _by_table(transform: object, *, alpha: bool) -> ToSrgb:
    """The conversion of greyscale, by a table of its levels."""
    from PIL import Image

    ramp = _applied(transform, Image.frombytes("L", (256, 1), bytes(range(256))))
    table = [level for band in ramp.split() for level in band.tobytes()]
    table += range(256) if alpha else ()
    return lambda image: image.point(table)


def _applied(transform: object, image: Image) -> Image:
    from PIL import ImageCms

    made = ImageCms.applyTransform(image, transform)  # type: ignore[arg-type]
    assert made is not None  # None only where the image is changed in place
    return made
