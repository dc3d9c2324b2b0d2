"""One picture for each level of a codec, of tasks that draw a sample of their images."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from eyechart.analysis.cells import CellData
from eyechart.analysis.examples import DecodedImages
from eyechart.analysis.measure import Measured
from eyechart.analysis.result import SampleView
from eyechart.core import plugins
from eyechart.core.errors import EyechartError
from eyechart.core.hooks import DrawsSample
from eyechart.core.images import encode_png
from eyechart.core.types import Rgb8, Task
from eyechart.store import Store


def samples_of(
    cells: Sequence[Measured],
    tasks: Mapping[str, Task],
    store: Store,
    load: Callable[..., Any],
) -> Iterator[SampleView]:
    """A picture for each task that draws one, codec and level, uncompressed included. A level is
    left out if its images are not stored, cannot be decoded here, or have another size."""
    images = DecodedImages(store, load)
    seen: set[tuple[str, str, str]] = set()
    for one in cells:
        read = one.data
        place = (read.task, read.codec, read.cell.level.name)
        task = tasks.get(read.task)
        if place in seen or not isinstance(task, DrawsSample):
            continue
        seen.add(place)
        try:
            with plugins.guarded(read.task):
                drawn = _drawn(task, read, images)
        except EyechartError:
            continue
        if drawn is not None:
            yield SampleView(
                task=read.task,
                codec=read.codec,
                level=read.cell.level.name,
                bpp=one.bpp,
                png_base64=base64.b64encode(encode_png(drawn)).decode(),
            )


def _drawn(task: Any, read: CellData, images: DecodedImages) -> Rgb8 | None:
    decoded: list[Rgb8] = []
    for key in task.sample_images:
        original = task.image(key)
        found = images.decoded(read, key, original)
        if found is None or found.shape != original.shape:
            return None
        decoded.append(found)
    drawn: Rgb8 = task.draw_sample(decoded)
    return drawn
