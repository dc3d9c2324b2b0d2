"""What a run measured at each level of its codecs, compared with the uncompressed images.

Everything is over the same images. A question that failed at a level, in the codec or in the VLM,
is a total loss, and its image costs what the uncompressed one costs, which a deployment would have
to send. So a level that fails on difficult images is not judged by the easy ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from eyechart.analysis.cells import CellData
from eyechart.analysis.deployment import Costs, UsdPrices, answers_of, costs_of
from eyechart.core.records import Cell, Record
from eyechart.core.types import UNCOMPRESSED, Floats
from eyechart.store.timings import Timing

_RIGHT = 0.5  # scores from here on count as right, to count flips

_ImageKey: TypeAlias = tuple[str, str]  # task, image: two tasks may have images of one key
_QuestionKey: TypeAlias = tuple[str, str, str]  # task, image, question


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was measured at one level of a codec.

    losses: (images,), of the mean score of each image's questions, -1..1. score: mean of all
    questions, 0..1. lost, gained: shares of the questions, 0..1, that are right on the uncompressed
    image only, or on the compressed one only. by_rule: mean score of the questions whose answers
    are compared by one rule, by rule; empty but for a check. bpp: of the images that the codec
    made, 0 without any. failed: images with a question that failed. cell: a cell of this level,
    with the identities of codec and level. uncompressed: costs of the uncompressed images, and
    file_bytes: mean size of the user's own files, both of the images of this level; None: of all
    images of the run.
    """

    codec: str
    level: str
    bpp: float
    costs: Costs
    losses: Floats
    score: float | None = None
    lost: float = 0.0
    gained: float = 0.0
    by_rule: Mapping[str, float] = field(default_factory=dict)
    failed: int = 0
    cell: Cell | None = None
    uncompressed: Costs | None = None
    file_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlainAnswers:
    """The uncompressed images, which levels are compared with. file_bytes: sizes of the user's own
    files, by image. rules: how answers are compared, by question. Both may be empty."""

    cells: Sequence[CellData]
    records: Mapping[_QuestionKey, Record]
    timings: Mapping[str, Timing]
    prices: UsdPrices
    file_bytes: Mapping[str, int]
    rules: Mapping[str, str]

    def sent(self, asked: _QuestionKey) -> tuple[str, Record]:
        """Task and record of the uncompressed image, with the bytes that are sent without a codec:
        those of the user's own file, if there is one."""
        record = self.records[asked]
        size = self.file_bytes.get(record.image, record.payload_bytes)
        return asked[0], replace(record, payload_bytes=size)

    def costs(self, asked: Iterable[_QuestionKey]) -> Costs:
        """Of some questions' images."""
        answers = [(one[0], self.records[one]) for one in asked]
        return costs_of(self.cells, answers, self.timings, self.prices)


def measurements(
    cells: Sequence[CellData],
    plain: Sequence[CellData],
    timings: Mapping[str, Timing],
    prices: UsdPrices,
    file_bytes: Mapping[str, int],
    rules: Mapping[str, str],
) -> list[Measurement]:
    """Every level with questions that were answered about the uncompressed image, too.

    cells: of one VLM and adapter. plain: those of the uncompressed images. file_bytes: sizes of the
    user's own files, by image. rules: how the answers of a check are compared, by question. Both
    may be empty.
    """
    compared = _PlainAnswers(
        cells=plain,
        records={_asked(task, record): record for task, record in answers_of(plain)},
        timings=timings,
        prices=prices,
        file_bytes=file_bytes,
        rules=rules,
    )
    levels: defaultdict[tuple[str, str], list[CellData]] = defaultdict(list)
    for cell in cells:
        if cell.codec != UNCOMPRESSED:
            levels[cell.codec, cell.cell.level.name].append(cell)
    found = (_measured(*names, own, compared) for names, own in levels.items())
    return [one for one in found if one is not None]


def mean_value(answers: Sequence[tuple[str, Record]]) -> float:
    """Mean score of the questions, 0..1; 0 without any."""
    return float(np.mean([record.value for _, record in answers])) if answers else 0.0


def _measured(
    codec: str, level: str, cells: Sequence[CellData], compared: _PlainAnswers
) -> Measurement | None:
    before = compared.records
    answers = [one for one in answers_of(cells) if _asked(*one) in before]
    after = {_asked(*one): one[1].value for one in answers}
    failed = dict.fromkeys(
        asked
        for cell in cells
        for failure in cell.failures
        if (asked := (cell.task, failure.image, failure.question_id)) in before
        and asked not in after
    )
    settled = [asked for asked in before if asked in after or asked in failed]
    if not settled:
        return None
    losses: defaultdict[_ImageKey, list[float]] = defaultdict(list)
    for asked in settled:
        loss = 1.0 if asked in failed else before[asked].value - after[asked]
        losses[asked[:2]].append(loss)
    rights = [(before[asked].value >= _RIGHT, after.get(asked, 0.0) >= _RIGHT) for asked in settled]
    by_rule: defaultdict[str, list[float]] = defaultdict(list)
    for asked in settled:
        if rule := compared.rules.get(asked[2]):
            by_rule[rule].append(after.get(asked, 0.0))
    rates = {(task, record.image): record.bpp for task, record in answers}
    sizes = [compared.file_bytes.get(image) for _, image in losses]
    # Where some questions of an image were answered, the size is that of its payload.
    sent = [*map(compared.sent, failed), *answers]
    return Measurement(
        codec=codec,
        level=level,
        bpp=float(np.mean(list(rates.values()))) if rates else 0.0,
        costs=costs_of(cells, sent, compared.timings, compared.prices),
        losses=np.array([sum(own) / len(own) for own in losses.values()]),
        score=sum(after.values()) / len(settled),
        lost=sum(was and not still for was, still in rights) / len(settled),
        gained=sum(now and not was for was, now in rights) / len(settled),
        by_rule={rule: sum(values) / len(values) for rule, values in by_rule.items()},
        failed=len({asked[:2] for asked in failed}),
        cell=cells[0].cell,
        uncompressed=None if len(settled) == len(before) else compared.costs(settled),
        file_bytes=None if None in sizes else float(np.mean([size or 0 for size in sizes])),
    )


def _asked(task: str, record: Record) -> _QuestionKey:
    return task, record.image, record.question_id
