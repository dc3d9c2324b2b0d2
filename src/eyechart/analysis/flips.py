"""Which questions are lost first: right on the uncompressed image, wrong from some rate down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eyechart.analysis.cells import CellData, records_of, without_answers
from eyechart.analysis.result import Flip
from eyechart.core.types import UNCOMPRESSED, Task

RIGHT = 1.0  # a score's value; partial credit does not count as right


def flips(cells: Sequence[CellData], tasks: Mapping[str, Task], count: int) -> list[Flip]:
    """For each VLM, task and codec the `count` questions that are lost at the highest rates.

    A question is lost under a codec if it is right on the uncompressed image and wrong at a level
    and at every lower rate of that codec. The rate is the image's own.
    """
    groups: defaultdict[tuple[str, str], dict[str, list[CellData]]] = defaultdict(dict)
    for read in cells:
        if not read.adapter and read.task in tasks:
            groups[read.vlm, read.task].setdefault(read.codec, []).append(read)
    found: list[Flip] = []
    for (vlm, task), by_codec in groups.items():
        if UNCOMPRESSED not in by_codec:
            continue
        right = {
            record.question_id
            for record in without_answers(by_codec[UNCOMPRESSED][0].records)
            if record.value >= RIGHT
        }
        text = {question.id: question.text for question in tasks[task].questions()}
        for codec, levels in by_codec.items():
            if codec == UNCOMPRESSED:
                continue
            lost = sorted(_lost(levels, right), key=lambda one: -one.bpp)[:count]
            found += [
                Flip(
                    vlm=vlm,
                    task=task,
                    codec=codec,
                    level=one.read.cell.level.name,
                    question=text.get(record.question_id, ""),
                    image=record.image,
                    bpp=record.bpp,
                    answer=record.answer,
                )
                for one in lost
                for record in records_of(one.read, {one.question_id})
            ]
    return found


class _Lost(NamedTuple):
    """A question that is wrong at a level and at every lower rate."""

    bpp: float
    read: CellData
    question_id: str


def _lost(levels: Sequence[CellData], right: set[str]) -> list[_Lost]:
    """Of each question the highest rate from which on it is wrong."""
    answers: defaultdict[str, list[tuple[float, int, bool]]] = defaultdict(list)
    for place, read in enumerate(levels):
        for record in without_answers(read.records):
            if record.question_id in right:
                answers[record.question_id].append((record.bpp, place, record.value >= RIGHT))
    found = []
    for question_id, own in answers.items():
        first = None
        for bpp, place, is_right in sorted(own):
            if is_right:
                break
            first = _Lost(bpp, levels[place], question_id)
        if first is not None:
            found.append(first)
    return found
