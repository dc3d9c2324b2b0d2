"""Example questions: right on the uncompressed image, wrong at a codec's lowest rate.

The images are those the VLM received, decoded from the stored bitstreams (paper Fig. 2 and 8).
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from eyechart.analysis.cells import CellData, records_of
from eyechart.analysis.flips import RIGHT
from eyechart.analysis.result import Example, View
from eyechart.codecs.opening import open_named
from eyechart.codecs.reconstruct import Reconstructor, SourceImage
from eyechart.core import plugins
from eyechart.core.attempt import Failed
from eyechart.core.errors import EyechartError, PluginError
from eyechart.core.images import encode_png
from eyechart.core.records import Record
from eyechart.core.types import UNCOMPRESSED, Codec, Question, Rgb8, Task
from eyechart.quality import QualityMetric, label, open_metric
from eyechart.store import Store

MAX_SIDE_PX = 480  # of a shown image, to keep the report small
MOST_BYTES = 3_000_000  # of the images of all examples, about; the lowest levels come first
METRICS = ("psnr", "ms-ssim")
# Questions in a row without an image. A copy of a run without its bitstreams has none at all.
_MOST_WITHOUT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A question, with its answers at the lowest level of each codec and uncompressed."""

    vlm: str
    task: str
    question: Question
    shown: tuple[tuple[CellData, Record], ...]  # the uncompressed one first
    worth: tuple[int, int]  # codecs without adapter that fail; adapters that succeed


def choose_examples(
    cells: Sequence[CellData],
    lowest: Collection[str],
    tasks: Mapping[str, Task],
    store: Store,
    count: int,
    load: Callable[..., Any],
    *,
    side_px: int | None = MAX_SIDE_PX,
) -> list[Example]:
    """At most `count` examples, spread over VLMs and tasks; fewer if there are not enough.

    Questions are chosen by the answers at each codec's lowest level. An example shows every level,
    as long as the images of all examples fit into `MOST_BYTES`; the lowest ones always.

    cells: all. lowest: keys of those of each codec's lowest level, and of the uncompressed ones.
    load: `core.plugins.load`, for the codecs. side_px: longest side of an image, or None.
    """
    if not count:
        return []
    show = _Views(DecodedImages(store, load), _metrics(), side_px)
    chosen: list[tuple[_Candidate, tuple[View, ...]]] = []
    without = 0
    for candidate in _in_turns(_candidates([read for read in cells if read.key in lowest], tasks)):
        views = show.of(candidate, candidate.shown, tasks[candidate.task])
        if len(views) > 1:
            chosen.append((candidate, views))
            without = 0
        else:
            without += 1
        if len(chosen) >= count or without >= _MOST_WITHOUT:
            break
    others = _other_levels([candidate for candidate, _ in chosen], cells)
    found: list[Example] = []
    left_bytes = MOST_BYTES
    for (candidate, views), levels in zip(chosen, others, strict=True):
        if left_bytes > 0:
            views += show.of(candidate, levels, tasks[candidate.task])
        found.append(
            Example(
                vlm=candidate.vlm,
                task=candidate.task,
                question=_asked(candidate.question),
                reference=_reference(candidate.question),
                views=views,
            )
        )
        left_bytes -= sum(len(png) for png in {view.png_base64 for view in views})
    return found


def _metrics() -> list[QualityMetric]:
    """Those that can be opened: another distribution may register the name of one, too."""
    metrics = []
    for name in METRICS:
        with suppress(PluginError):
            metrics.append(open_metric(name))
    return metrics


def _candidates(cells: Sequence[CellData], tasks: Mapping[str, Task]) -> Iterator[list[_Candidate]]:
    """For each VLM and task the suitable questions, the clearest first."""
    groups: defaultdict[tuple[str, str], list[CellData]] = defaultdict(list)
    for read in cells:
        if not (read.codec == UNCOMPRESSED and read.adapter):
            groups[read.vlm, read.task].append(read)
    for (vlm, task), group in groups.items():
        group.sort(key=lambda read: (read.codec != UNCOMPRESSED, bool(read.adapter)))
        answers = [
            (read, {record.question_id: record for record in read.records}) for read in group
        ]
        if group[0].codec != UNCOMPRESSED or len(group) < 2:
            continue
        chosen = [
            candidate
            for question in tasks[task].questions()
            if (candidate := _candidate(vlm, task, question, answers))
        ]
        yield sorted(chosen, key=lambda candidate: candidate.worth, reverse=True)


def _candidate(
    vlm: str,
    task: str,
    question: Question,
    answers: Sequence[tuple[CellData, Mapping[str, Record]]],
) -> _Candidate | None:
    shown = tuple((read, by_id[question.id]) for read, by_id in answers if question.id in by_id)
    if not shown or shown[0][0].codec != UNCOMPRESSED or shown[0][1].value < RIGHT:
        return None
    misled = sum(not read.adapter and record.value < RIGHT for read, record in shown[1:])
    recovered = sum(bool(read.adapter) and record.value >= RIGHT for read, record in shown[1:])
    if not misled:
        return None
    return _Candidate(vlm=vlm, task=task, question=question, shown=shown, worth=(misled, recovered))


def _in_turns(groups: Iterator[list[_Candidate]]) -> Iterator[_Candidate]:
    """The first of every group, then the second of every group, and so on; no image twice."""
    queues = [iter(group) for group in groups]
    seen: set[tuple[str, str]] = set()
    while queues:
        for queue in list(queues):
            fresh = (c for c in queue if (c.task, c.question.image) not in seen)
            candidate = next(fresh, None)
            if candidate is None:
                queues.remove(queue)
                continue
            seen.add((candidate.task, candidate.question.image))
            yield candidate


def _other_levels(
    candidates: Sequence[_Candidate], cells: Sequence[CellData]
) -> list[list[tuple[CellData, Record]]]:
    """For each candidate the answers to its question at the levels that it does not have."""
    found: list[list[tuple[CellData, Record]]] = [[] for _ in candidates]
    for read in cells:
        asking: dict[str, list[list[tuple[CellData, Record]]]] = {}
        for candidate, levels in zip(candidates, found, strict=True):
            same = (read.vlm, read.task) == (candidate.vlm, candidate.task)
            there = read.key in {one.key for one, _ in candidate.shown}
            if same and not there and read.codec != UNCOMPRESSED:
                asking.setdefault(candidate.question.id, []).append(levels)
        for record in records_of(read, asking) if asking else ():
            for levels in asking[record.question_id]:
                levels.append((read, record))
    return found


class _Views:
    """Makes the pictures of an example."""

    def __init__(
        self, images: DecodedImages, metrics: Sequence[QualityMetric], side_px: int | None
    ) -> None:
        self._images, self._metrics, self._side_px = images, metrics, side_px

    def of(
        self, candidate: _Candidate, answers: Sequence[tuple[CellData, Record]], task: Task
    ) -> tuple[View, ...]:
        """The images of some answers, as far as they can still be made."""
        try:
            with plugins.guarded(candidate.task):
                original = task.image(candidate.question.image)
        except EyechartError:
            return ()  # the image was lost since the run; its scores were not
        views = (
            (read, record, self._images.decoded(read, record.image, original))
            for read, record in answers
        )
        return tuple(
            self._view(read, record, original, decoded)
            for read, record, decoded in views
            if decoded is not None
        )

    def _view(self, read: CellData, record: Record, original: Rgb8, decoded: Rgb8) -> View:
        shown = _thumbnail(decoded, self._side_px)
        return View(
            codec=read.codec,
            level=read.cell.level.name,
            adapter=read.adapter,
            bpp=record.bpp,
            quality={
                label(metric): _finite(metric.measure(original, decoded))
                for metric in self._metrics
                if decoded.shape == original.shape
            },
            png_base64=base64.b64encode(encode_png(shown)).decode(),
            answer=record.answer,
            right=record.value >= RIGHT,
            width_px=decoded.shape[1],
            height_px=decoded.shape[0],
        )


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _asked(question: Question) -> str:
    """The question with its options, if it has any."""
    options = " · ".join(f"{letter}. {text}" for letter, text in question.options)
    return f"{question.text} ({options})" if options else question.text


def _reference(question: Question) -> str:
    """The reference answer: an option with its letter, or all references."""
    chosen = dict(question.options).get(question.answer)
    if chosen is not None:
        return f"{question.answer}. {chosen}"
    try:
        several = json.loads(question.answer)
    except json.JSONDecodeError:
        return question.answer
    return " / ".join(map(str, several)) if isinstance(several, list) else question.answer


class DecodedImages:
    """Decodes the stored bitstreams of a run; each codec is loaded once."""

    def __init__(self, store: Store, load: Callable[..., Any]) -> None:
        self._load = load
        self._reconstructor = Reconstructor(store.images)
        self._codecs: dict[str, Codec] = {}

    def decoded(self, read: CellData, key: str, original: Rgb8) -> Rgb8 | None:
        """The image that the VLM received, or None if it cannot be decoded here."""
        if read.codec == UNCOMPRESSED:
            return original
        cell = read.cell
        image = SourceImage.of(original, key)
        try:
            if read.codec not in self._codecs:
                self._codecs[read.codec] = open_named(
                    cell.codec.name, cell.codec.options, self._load
                )
            with plugins.guarded(cell.codec.name):
                # Only stored bitstreams: another version of the codec would make other images.
                (decoded,) = self._reconstructor.reconstruct(
                    self._codecs[read.codec],
                    cell.level,
                    [image],
                    keep=False,
                    component=cell.codec,
                    encode=False,
                )
        except EyechartError:
            return None  # a codec that is not installed on this machine
        return None if isinstance(decoded, Failed) else decoded.rgb8


def _thumbnail(rgb8: Rgb8, side_px: int | None) -> Rgb8:
    from PIL import Image

    if side_px is None:
        return rgb8
    image = Image.fromarray(rgb8)
    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return np.asarray(image)
