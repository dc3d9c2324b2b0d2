"""The run: pictures are made ahead in worker processes while the VLM answers.

    asks -> source image -> pool (encode, decode) -> window -> batch -> VLM -> scorer -> store
            main process    worker processes         main process

One VLM is loaded at a time. Everything that was answered is on disk before the next batch starts,
so a kill loses the questions of the batch in flight and nothing else. What a record says depends on
nothing but its cell and question: not on workers, order, or how often the run was stopped.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from eyechart.core.errors import UnusableVLMError
from eyechart.core.hooks import Checkable, questions_at_once
from eyechart.core.identity import canonical_json, image_digest
from eyechart.core.types import Rgb8
from eyechart.runner.answering import Answering, Pair, batches
from eyechart.runner.attempt import Failed, attempt
from eyechart.runner.costs import bill_of, usd_before
from eyechart.runner.pictures import Picture, PictureJob
from eyechart.runner.pools import Awaited, Pool
from eyechart.runner.progress import Progress, Tally
from eyechart.runner.work import Ask, Lane, TaskWork, Work, asks, pending_cells
from eyechart.store import Store
from eyechart.store.files import append_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to run; none of it changes a record.

    batch_prompts: questions handed to the VLM at a time (at least one image's); None: as the VLM
    wants it. ahead: pictures made before they are needed, per worker. decoded_budget_bytes: disk
    for decoded pictures. retry_failed: ask again what failed for good, too.
    """

    batch_prompts: int | None = None
    ahead: int = 16
    decoded_budget_bytes: int = 2 << 30
    retry_failed: bool = False


@dataclass(slots=True, kw_only=True)
class Speed:
    """What one VLM answered, and in which time; its first batch, which loads it, is not counted."""

    vlm: str
    questions: int = 0
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run did. lost_before: failed for good in an earlier run, not asked again.
    given_up: one line for each VLM that answered nothing any more."""

    answered: int = 0
    failed: int = 0
    lost_before: int = 0
    given_up: list[str] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list, compare=False)  # no two runs are equally fast

    @property
    def clean(self) -> bool:
        """Every question of the plan has an answer."""
        return not (self.failed or self.lost_before or self.given_up)


def check(work: Work) -> None:
    """Let every VLM that can say so without a question (one with a method `check`: a server, a key)
    refuse to work now, before there is a run directory.

    Raises:
        InputError: one of them cannot answer anything.
    """
    for lane in work.lanes:
        vlm = lane.open()
        if isinstance(vlm, Checkable):
            vlm.check()


def run(
    work: Work,
    store: Store,
    pool: Pool,
    progress: Progress,
    settings: Settings | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Answer everything in `work` that `store` does not hold. The caller holds the lanes' leases.

    clock: seconds, for `Outcome.speeds`.

    Raises:
        StoreError: the run directory cannot be written any more; what was answered stays.
        InputError: a VLM cannot be opened, or refuses its very first question as bad input.
        UnusableVLMError: after the lanes of other VLMs, for those that ended because their VLM
            answers nothing any more (key, quota, server); what was answered stays.
    """
    outcome = Outcome()
    unusable: list[str] = []
    pictures = _Pictures(store, pool, settings or Settings())
    try:
        for lane in work.lanes:
            try:
                _run_lane(work, lane, pictures, store, progress, outcome, clock)
            except UnusableVLMError as error:
                unusable.append(str(error))
                if lane is not work.lanes[-1]:
                    progress.note(f"no more of this VLM: {error}")
    finally:
        pool.close()
        progress.close()
    if unusable:
        raise UnusableVLMError("; ".join(dict.fromkeys(unusable)))
    return outcome


def _run_lane(
    work: Work,
    lane: Lane,
    pictures: _Pictures,
    store: Store,
    progress: Progress,
    outcome: Outcome,
    clock: Callable[[], float],
) -> None:
    retry_failed = pictures.settings.retry_failed
    pending = [
        (part, pending_cells(work, lane, part, store, retry_failed=retry_failed))
        for part in work.tasks
    ]
    tally = Tally()
    for part, cells in pending:
        for cell in cells:
            tally.expect(cell.stored.key, part.images, cell.settled)
            outcome.lost_before += cell.failed
    label = lane.vlm.name + (f" + {lane.adapter.name}" if lane.adapter else "")
    progress.begin(label, tally)
    if tally.complete:
        return
    left = (ask for part, cells in pending for ask in asks(part, cells))
    vlm = lane.open()
    usd = usd_before(
        vlm, [(part, sum(tally.left(cell.stored.key) for cell in cells)) for part, cells in pending]
    )
    if usd is not None:
        questions = tally.questions - tally.questions_done
        progress.note(f"{label}: about {usd} for {questions:,} questions")
    answering = Answering(vlm, store)
    speed, start_s = Speed(vlm=label), None
    outcome.speeds.append(speed)
    prompts = pictures.settings.batch_prompts or questions_at_once(vlm)
    try:
        for batch in batches(pictures.of(left), prompts):
            answered, reasons = answering.settle(batch)
            outcome.answered += answered
            outcome.failed += len(reasons)
            if start_s is None:
                start_s = clock()
            else:
                speed.questions, speed.seconds = speed.questions + answered, clock() - start_s
            for pair in batch:
                tally.settle(pair.ask.cell.stored.key, len(pair.ask.questions))
            progress.advance(_where(batch[-1].ask), tally)
            for message in dict.fromkeys(reason.message for reason in reasons):
                progress.warn(message)
            if answering.given_up:
                outcome.given_up.append(f"{label}: {answering.given_up}")
                break
        answering.sync()
    finally:
        bill = bill_of(vlm, label)
        if bill is not None:
            append_lines(store.root / "costs.jsonl", [canonical_json(bill)])
            progress.note(str(bill))
        del answering, vlm
        gc.collect()  # the next VLM needs the room, on a GPU above all


def _where(ask: Ask) -> str:
    cell = ask.cell.stored.cell
    return f"{cell.task.name} {cell.codec.name} {cell.level.name}"


class _Pictures:
    """Asks -> pictures, in their order, some of them ahead of their time."""

    def __init__(self, store: Store, pool: Pool, settings: Settings) -> None:
        self.settings = settings
        self._pool = pool
        self._kept_bytes = store.decoded.size_bytes() if settings.decoded_budget_bytes else 0
        self._source: tuple[TaskWork, str, Rgb8 | Failed, str] | None = None

    def of(self, left: Iterable[Ask]) -> Iterator[Pair]:
        """Every ask with its picture; up to `settings.ahead` a worker are in the making."""
        window: deque[tuple[Ask, Awaited]] = deque()
        for ask in left:
            window.append((ask, self._start(ask)))
            if len(window) > self.settings.ahead * self._pool.workers:
                yield self._finish(*window.popleft())
        while window:
            yield self._finish(*window.popleft())

    def _start(self, ask: Ask) -> Awaited:
        source, digest = self._read(ask)
        if isinstance(source, Failed):
            return lambda: source
        return self._pool.submit(
            PictureJob(
                codec=ask.cell.codec,
                level=ask.cell.level,
                rgb8=source,
                image=ask.image,
                digest=digest,
                keep=self._kept_bytes < self.settings.decoded_budget_bytes,
            )
        )

    def _finish(self, ask: Ask, awaited: Awaited) -> Pair:
        picture = awaited()
        if isinstance(picture, Picture):
            self._kept_bytes += picture.kept_bytes
        return Pair(ask=ask, picture=picture)

    def _read(self, ask: Ask) -> tuple[Rgb8 | Failed, str]:
        """The source image and its digest. Neighbouring asks share it, so it is read once."""
        if self._source is None or self._source[:2] != (ask.part, ask.image):
            source = attempt("load", lambda: ask.part.task.image(ask.image))
            digest = "" if isinstance(source, Failed) else image_digest(source)
            self._source = (ask.part, ask.image, source, digest)
        return self._source[2:]
