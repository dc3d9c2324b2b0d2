"""Checks before a training begins, so that bad input is refused before any work.

folder    new, empty, or that of a stopped training
images    every image that will be shown can be read, by Pillow and by the VLM
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eyechart.adapters.checkpoint import LOG, STATE
from eyechart.adapters.pairs import Pairs
from eyechart.core.errors import ImageError, InputError, VLMError
from eyechart.core.files import require_continuable
from eyechart.vlms.backbone import Backbone

# A folder with one of these is that of a training; a training stopped before its first step has
# only the last one. A finished adapter alone is not a training that can be continued.
_SIGNS = (STATE, LOG, "cache/bitstreams", "cache/decoded")
_NAMED = 3  # broken images that a message names


def require_training_folder(out: Path) -> None:
    """Check that a folder is new, empty or that of a training. Raises InputError."""
    require_continuable(out, _SIGNS)


def require_images(pairs: Pairs, images: Sequence[int], backbone: Backbone, workers: int) -> None:
    """Open each of these images once and prepare it for the VLM.

    Otherwise training would fail at a bad image hours later. Training prepares each image
    1 + levels times; this adds one.

    Raises:
        InputError: the number of unusable images, and the first of them with the reasons.
    """

    def wrong(image: int) -> str | None:
        try:
            for rgb8 in pairs.stored(image):
                backbone.prepare(rgb8)
        except ImageError as error:
            return str(error)
        except VLMError as error:
            return f"{pairs.names[image]}: {error}"
        return None

    with ThreadPoolExecutor(workers) as pool:
        found = [reason for reason in pool.map(wrong, images) if reason is not None]
    if not found:
        return
    which = "1 image" if len(found) == 1 else f"{len(found)} images"
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise InputError(
        f"{which} cannot be used for training; remove them: {'; '.join(found[:_NAMED])}{more}"
    )
