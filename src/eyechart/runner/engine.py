"""The run: images are reconstructed in worker processes while the VLM answers.

    work items -> source image -> executor (encode, decode) -> batch -> VLM -> scorer -> store
                  main process    worker processes             main process

One VLM is loaded at a time. All answers of a batch are on disk before the next batch starts, so a
kill loses only the batch in flight. A record depends only on its cell and question, not on workers,
order, or how often the run was stopped.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import UnusableVLMError, in_one_line
from eyechart.core.hooks import (
    Checkable,
    CountsTokens,
    Served,
    parameters_of,
    questions_at_once,
    reads_remote_arrays,
)
from eyechart.core.identity import canonical_json
from eyechart.core.types import VLM
from eyechart.core.workers import Executor
from eyechart.runner.answering import Answering, batches
from eyechart.runner.cluster import NodeWatch
from eyechart.runner.costs import bill_of
from eyechart.runner.options import Options
from eyechart.runner.progress import Progress, Tally
from eyechart.runner.reconstruction import PreparedItem, Reconstruction
from eyechart.runner.stopwatch import Stopwatch
from eyechart.runner.waits import Waits
from eyechart.runner.work import (
    ModelConfig,
    PendingCell,
    TaskWork,
    Work,
    WorkItem,
    count_again,
    encode_items,
    pending_cells,
    questions_left,
    work_items,
)
from eyechart.store import Store
from eyechart.store.files import append_lines, read_lines
from eyechart.store.timings import append_timings


@dataclass(slots=True, kw_only=True)
class Speed:
    """Questions that one VLM answered, and the seconds it took, without its first batch, which
    loads the VLM."""

    vlm: str
    questions: int = 0
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Result of a run. lost_before: questions that failed permanently in an earlier run and were
    not asked again. given_up: one line for each VLM whose turn ended early. unusable: one line for
    each VLM that cannot answer until the user changes something."""

    answered: int = 0
    failed: int = 0
    lost_before: int = 0
    given_up: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list, compare=False)  # differ between equal runs

    @property
    def clean(self) -> bool:
        """Whether every question of the plan has an answer."""
        return not (self.failed or self.lost_before or self.given_up or self.unusable)

    def raise_unusable(self) -> None:
        """Raises UnusableVLMError with all lines of `unusable`, if there are any."""
        if self.unusable:
            raise UnusableVLMError(in_one_line(self.unusable))


def refusals(work: Work, store: Store, *, retry_failed: bool = False) -> dict[int, str]:
    """VLMs with questions left that cannot work: index in `work.models` -> reason.

    Each VLM is opened and, if it has a method `check`, checked (server, key, files, adapter), so
    that a run does not find out hours later that its last VLM is unusable.
    """
    found = {}
    for place, model in enumerate(work.models):
        if store.is_run():
            left = questions_left(work, model, store, retry_failed=retry_failed)
            if not any(questions for _, questions in left):
                continue
        opened = attempt("answer", partial(_check, model))
        gc.collect()  # frees weights that were read for the check
        if isinstance(opened, Failed):
            found[place] = f"{model.label}: {opened.message.removeprefix(f'{model.label}: ')}"
    return found


def _check(model: ModelConfig) -> None:
    vlm = model.open()
    if isinstance(vlm, Checkable):
        vlm.check()


def run(
    work: Work,
    store: Store,
    executor: Executor,
    progress: Progress,
    options: Options | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Answer all questions of `work` that `store` lacks. The caller holds the VLMs' leases.

    executor: makes decoded images; it is closed at the end. clock: seconds, for `Outcome.speeds`.

    A VLM is listed in `Outcome.unusable` if it cannot be opened, refuses its very first question as
    bad input, cannot answer any more questions (key, quota, server), or raises an unexpected error
    outside an answer. The others continue.

    Raises:
        StoreError: the run directory cannot be written; earlier answers are kept.
    """
    chosen = options or Options()
    outcome = Outcome()
    try:
        reconstruction = _reconstruction(store, executor, chosen)
        for model in work.models:
            ended = _Turn(
                work=work,
                model=model,
                store=store,
                reconstruction=reconstruction,
                progress=progress,
                options=chosen,
                outcome=outcome,
                clock=clock,
            ).run()
            if ended:
                outcome.unusable.append(ended)
                if model is not work.models[-1]:
                    progress.note(f"no more of this VLM: {ended}")
    finally:
        executor.close()
        progress.close()
    return outcome


def encode(
    work: Work,
    store: Store,
    executor: Executor,
    options: Options,
    advance: Callable[[str], None],
) -> list[Failed]:
    """Store every bitstream and decoded image of a plan before the VLMs run; -> one failure for
    each failed image. Decoded images of fast codecs are not stored.

    executor: closed at the end. advance: called after each image with task, codec and level.

    Raises:
        StoreError: the run directory cannot be written.
    """
    failures = []
    try:
        items = encode_items(work, options.block_of(work))
        for prepared in _reconstruction(store, executor, options).prepared(items, remote=True):
            if isinstance(prepared.image, Failed):
                failures.append(prepared.image)
            advance(_where(prepared.item))
    finally:
        executor.close()
    return failures


def _reconstruction(store: Store, executor: Executor, options: Options) -> Reconstruction:
    return Reconstruction(
        store,
        executor,
        batch_images=options.codec_batch_images,
        ahead=options.ahead,
        decoded_budget_bytes=options.decoded_bytes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """The part of a run in which one VLM answers."""

    work: Work
    model: ModelConfig
    store: Store
    reconstruction: Reconstruction
    progress: Progress
    options: Options
    outcome: Outcome
    clock: Callable[[], float]
    timings: Stopwatch = field(default_factory=Stopwatch)

    def run(self) -> str:
        """Ask what is left; -> why the turn ended early, or "". Raises StoreError."""
        failed = attempt("answer", self._ask)
        if not isinstance(failed, Failed):
            return ""
        if not failed.trace:
            return failed.message
        append_lines(self.store.root / "errors.log", [failed.trace])
        return f"{self.model.label}: {failed.message}"

    def _ask(self) -> None:
        pending = [
            (
                part,
                pending_cells(
                    self.work, self.model, part, self.store, retry_failed=self.options.retry_failed
                ),
            )
            for part in self.work.tasks
        ]
        self.store.make_current(cell.stored for _, cells in pending for cell in cells)
        self._count_again(pending)
        tally = self._tally(pending)
        self.progress.begin(self.model.label, tally)
        if tally.complete:
            return
        vlm = self.model.open()
        self._note_address(vlm)
        self._note_size(vlm)
        block = self.options.block_of(self.work)
        items = (item for part, cells in pending for item in work_items(part, cells, block))
        prepared = self.reconstruction.prepared(items, remote=reads_remote_arrays(vlm))
        prompts = self.options.batch or questions_at_once(vlm)
        try:
            cut = self.options.batch_of_one_cell
            # The first batch loads a local VLM and is not timed.
            alone = cut and not isinstance(vlm, Served)
            self._answer(vlm, batches(prepared, prompts, one_cell=cut, first_alone=alone), tally)
        finally:
            append_timings(self.store.root, self.timings.by_cell)
            bill = attempt("answer", partial(bill_of, vlm, self.model.label))
            if bill is not None and not isinstance(bill, Failed):
                append_lines(self.store.root / "costs.jsonl", [canonical_json(bill)])
                self.progress.note(str(bill))
            del vlm, bill
            gc.collect()  # frees the memory for the next VLM, above all on a GPU

    def _count_again(self, pending: Sequence[tuple[TaskWork, list[PendingCell]]]) -> None:
        """Correct the visual tokens of stored answers of a VLM behind a server. How it counts them
        is an option that changes no answer, so it may be given only after they were asked for."""
        if not any(cell.settled for _, cells in pending for cell in cells):
            return
        vlm = attempt("answer", self.model.open)
        if isinstance(vlm, Served) and isinstance(vlm, CountsTokens):

            @cache
            def count(height_px: int, width_px: int) -> int:
                found = attempt("answer", partial(vlm.visual_tokens, height_px, width_px))
                return 0 if isinstance(found, Failed) else found

            for _, cells in pending:
                for cell in cells:
                    if cell.settled:
                        count_again(cell.stored, count)

    def _tally(self, pending: Sequence[tuple[TaskWork, list[PendingCell]]]) -> Tally:
        tally = Tally()
        for part, cells in pending:
            for cell in cells:
                tally.expect(cell.stored.key, part.images, cell.settled)
                self.outcome.lost_before += cell.failed
        return tally

    def _note_address(self, vlm: VLM) -> None:
        if isinstance(vlm, Served):
            path = self.store.root / "servers.jsonl"
            line = canonical_json({"vlm": self.model.label, "address": vlm.address})
            append_lines(path, {line}.difference(read_lines(path)))

    def _note_size(self, vlm: VLM) -> None:
        parameters = attempt("load", partial(parameters_of, vlm))
        if isinstance(parameters, int):
            self.store.note_size(self.model.vlm, parameters)

    def _answer(self, vlm: VLM, prepared: Iterable[list[PreparedItem]], tally: Tally) -> None:
        answering = Answering(vlm, self.store)
        speed, start_s = Speed(vlm=self.model.label), None
        self.outcome.speeds.append(speed)
        waits, nodes = Waits(self.clock), NodeWatch(self.options.open_workers)
        for batch, started in waits.images(answering.in_order(prepared)):
            begun_s = self.clock()
            with waits.answers():
                answered, failed = answering.settle(batch, started)
            loaded = start_s is not None or isinstance(vlm, Served)
            unanswered = any(why.stage == "answer" for _, why in failed)
            if loaded and started is None and not unanswered:
                self.timings.count(batch, self.clock() - begun_s)
            self.outcome.answered += answered
            self.outcome.failed += len(failed)
            tally.failed += len(failed)
            if start_s is None:
                start_s = self.clock()
            else:
                speed.questions += answered
                speed.seconds = self.clock() - start_s
            items = [one.item for one in batch]
            for item in items:
                tally.settle(item.cell.key, len(item.questions))
            self.progress.advance(_where(items[-1]) + nodes.alive(), tally)
            for line in nodes.faults():
                self.progress.note(line)
            for question, why in failed:
                self.progress.warn(why.message, f"{items[0].task.name} question {question.id}")
            if answering.given_up:
                self.outcome.given_up.append(f"{self.model.label}: {answering.given_up}")
                break
        answering.sync()
        if words := waits.words():
            self.progress.note(f"{self.model.label}: {words}")
        if words := nodes.speeds(speed.questions, speed.seconds):
            self.progress.note(f"{self.model.label}: {words}")


def _where(item: WorkItem) -> str:
    return f"{item.task.name} {item.codec.codec.name} {item.level.name}"
