"""Whether "uncompressed" images are stored as JPEG files, which have lost something already."""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.codecs.jpeg_quality import jpeg_quality
from eyechart.core.errors import EyechartError
from eyechart.core.hooks import HasImageBytes
from eyechart.core.types import Task
from eyechart.store.own_files import quality_range

_MOST_IMAGES = 32  # that are looked at


def stored_as(task: Task, images: Sequence[str]) -> str:
    """`10 of 12 uncompressed images are JPEG files of quality 90 to 96`; "" if none is known to be.

    images: keys of the images that were asked; the first ones are looked at.
    """
    if not isinstance(task, HasImageBytes):
        return ""
    read, qualities = 0, []
    for key in images[:_MOST_IMAGES]:
        try:
            quality = jpeg_quality(task.image_bytes(key))
        except EyechartError:
            continue
        read += 1
        qualities += [] if quality is None else [quality]
    if not qualities:
        return ""
    of = f"{read}" if read == len(images) else f"the first {read}"
    shown = quality_range(qualities)
    return f"{len(qualities)} of {of} uncompressed images are JPEG files of quality {shown}"
