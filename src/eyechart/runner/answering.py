"""A batch of images and questions -> answers -> scores -> records and failures on disk."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

from eyechart.codecs.reconstruct import DecodedImage
from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import ArrayLostError, InputError, UnusableVLMError, VLMError
from eyechart.core.hooks import CountsTokens, Replicated, batches_at_once, choices_of, for_task
from eyechart.core.plugins import name_of
from eyechart.core.records import Failure, Record
from eyechart.core.types import VLM, Answer, Question, Request, Score, Task
from eyechart.runner.reconstruction import PreparedItem
from eyechart.runner.work import WorkItem
from eyechart.store import Store, StoredCell
from eyechart.store.files import append_lines

# A VLM's turn ends after this many questions in a row without an answer. They must be about several
# images, unless the errors mean that the VLM is out of service, because one image that it cannot
# process fails with all its questions at every level.
GIVE_UP_AFTER = 50
GIVE_UP_IMAGES = 10
BATCH_BYTES = 1 << 29


def batches(
    items: Iterable[PreparedItem],
    prompts: int,
    most_bytes: int = BATCH_BYTES,
    *,
    one_cell: bool = False,
    first_alone: bool = False,
) -> Iterator[list[PreparedItem]]:
    """Group neighbours of one task: up to `prompts` questions and `most_bytes` of pixels, at least
    one image. one_cell: a batch is of one cell, so that its time is that of the cell. first_alone:
    the first batch is one image."""
    batch: list[PreparedItem] = []
    alone = first_alone
    size = held_bytes = 0
    for prepared in items:
        count, pixel_bytes = len(prepared.item.questions), prepared.size_bytes
        full = size + count > prompts or held_bytes + pixel_bytes > most_bytes
        other = batch and (
            batch[0].item.task is not prepared.item.task
            or (one_cell and batch[0].item.stored is not prepared.item.stored)
        )
        if batch and (full or other or alone):
            yield batch
            batch, size, held_bytes, alone = [], 0, 0, False
        batch.append(prepared)
        size, held_bytes = size + count, held_bytes + pixel_bytes
    if batch:
        yield batch


class Answering:
    """Answering with one open VLM. given_up: why no more questions should be asked, or ""."""

    def __init__(
        self,
        vlm: VLM,
        store: Store,
        *,
        sync_every_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.given_up = ""
        self._vlm, self._store = vlm, store
        self._by_task: dict[str, VLM] = {}
        self._tokens: dict[tuple[str, int, int], int] = {}
        self._sync_every_s, self._clock, self._synced_s = sync_every_s, clock, clock()
        self._unsynced: set[StoredCell] = set()
        self._failed_in_a_row = 0
        self._failed_images: set[str] = set()
        self._ever_answered = False

    def in_order(
        self, batches: Iterable[list[PreparedItem]]
    ) -> Iterator[tuple[list[PreparedItem], Future[list[list[Answer]]] | None]]:
        """Each batch with the future of its answers, or None for a VLM without copies. Enough
        batches are in flight to keep all copies busy."""
        flight: deque[tuple[list[PreparedItem], Future[list[list[Answer]]] | None]] = deque()
        for batch in batches:
            flight.append((batch, self._start(batch)))
            if len(flight) >= batches_at_once(self._vlm):
                yield flight.popleft()
        while flight:
            yield flight.popleft()

    def _start(self, batch: Sequence[PreparedItem]) -> Future[list[list[Answer]]] | None:
        vlm = self._vlm_for(batch[0].item.task.name)
        if not isinstance(vlm, Replicated):
            return None
        made = map(self._request, batch)
        requests = [request for request in made if isinstance(request, Request)]
        return vlm.submit(requests, batch[0].item.cell.cell.decoding) if requests else None

    def settle(
        self, batch: Sequence[PreparedItem], started: Future[list[list[Answer]]] | None = None
    ) -> tuple[int, list[tuple[Question, Failed]]]:
        """Answer, score and store a batch; -> number of records, and the questions that failed.

        started: the future of its answers, from `in_order`.

        Raises:
            StoreError: the run directory cannot be written.
            UnusableVLMError: the VLM cannot answer any more questions. Its answers of the batch are
                stored, but no failures, so that the next run asks the other questions.
            InputError: the VLM refuses its first question as bad input (no weights, no package).
        """
        records: defaultdict[StoredCell, list[Record]] = defaultdict(list)
        failures: defaultdict[StoredCell, list[Failure]] = defaultdict(list)
        failed: list[tuple[Question, Failed]] = []
        unusable = ""
        for prepared, question, result in self._answers(batch, started):
            if isinstance(result, Failed) and result.unusable:
                unusable = result.message
                continue
            scored = (
                result if isinstance(result, Failed) else self._record(prepared, question, result)
            )
            if isinstance(scored, Failed):
                failures[prepared.item.cell].append(scored.of(question))
                failed.append((question, scored))
            else:
                records[prepared.item.cell].append(scored)
        for cell, its_records in records.items():
            cell.append_records(its_records)
        for cell, its_failures in failures.items():
            cell.append_failures(its_failures)
        self._unsynced |= records.keys() | failures.keys()
        if self._clock() - self._synced_s > self._sync_every_s:
            self.sync()
        answered = sum(map(len, records.values()))
        self._note_traces([why for _, why in failed])
        if unusable:
            self.sync()
            kept = "; all answers are kept, run again to continue" if self._ever_answered else ""
            raise UnusableVLMError(f"{unusable}{kept}")
        self._judge(answered, [one for one in failed if one[1].stage == "answer"])
        return answered, failed

    def sync(self) -> None:
        """Wait until all records are on the disk. Raises StoreError."""
        for stored in self._unsynced:
            stored.sync()
        self._unsynced.clear()
        self._synced_s = self._clock()

    def _answers(
        self, batch: Sequence[PreparedItem], started: Future[list[list[Answer]]] | None = None
    ) -> Iterator[tuple[PreparedItem, Question, Answer | Failed]]:
        """Every question of a batch with its answer. A batch that fails is halved until only
        questions that fail alone are left."""
        shown: list[PreparedItem] = []
        requests: list[Request] = []
        for prepared in batch:
            request = self._request(prepared)
            if isinstance(request, Request):
                shown.append(prepared)
                requests.append(request)
            elif isinstance(prepared.image, Failed):
                for question in prepared.item.questions:
                    yield prepared, question, request
            else:
                yield from self._halved([prepared], request)
        if not shown:
            return
        answers = attempt("answer", lambda: self._ask(shown, requests, started), name_of(self._vlm))
        if isinstance(answers, Failed):
            if isinstance(answers.error, ArrayLostError) and all(one.again for one in shown):
                yield from self._answers([_again(one) for one in shown])
                return
            if answers.bad_input and not answers.unusable and not self._ever_answered:
                raise InputError(answers.message)
            yield from self._halved(shown, answers)
            return
        self._ever_answered = True
        for prepared, its_answers in zip(shown, answers, strict=True):
            for question, answer in zip(prepared.item.questions, its_answers, strict=True):
                yield prepared, question, answer

    def _halved(
        self, items: Sequence[PreparedItem], failed: Failed
    ) -> Iterator[tuple[PreparedItem, Question, Answer | Failed]]:
        """The answers of both halves of a batch that failed; a single question has failed."""
        halves = _halves(items)
        if not halves:
            yield items[0], items[0].item.questions[0], failed
        for half in halves:
            yield from self._answers(half)

    def _request(self, prepared: PreparedItem) -> Request | Failed:
        """The request of an item; why its image cannot be made, or its prompts."""
        image = prepared.image
        if isinstance(image, Failed):
            return image
        vlm = self._vlm_for(prepared.item.task.name)
        item = prepared.item
        return attempt("load", lambda: _request(item, image, vlm.family), name_of(item.task))

    def _ask(
        self,
        items: Sequence[PreparedItem],
        requests: Sequence[Request],
        started: Future[list[list[Answer]]] | None,
    ) -> list[list[Answer]]:
        vlm = self._vlm_for(items[0].item.task.name)
        if started is None:
            answers = vlm.answer(requests, items[0].item.cell.cell.decoding)
        else:
            answers = started.result()
        wanted = [len(request.prompts) for request in requests]
        if [len(its_answers) for its_answers in answers] != wanted:
            raise VLMError(f"{vlm.name}: gave another number of answers than asked")
        return answers

    def _vlm_for(self, task: str) -> VLM:
        """The VLM set up for a task, the same object for all its questions."""
        if task not in self._by_task:
            self._by_task[task] = for_task(self._vlm, task)
        return self._by_task[task]

    def _record(
        self, prepared: PreparedItem, question: Question, answer: Answer
    ) -> Record | Failed:
        assert isinstance(prepared.image, DecodedImage)
        image, task = prepared.image, prepared.item.task
        score = attempt("score", lambda: _score(task, question, answer), name_of(task))
        if isinstance(score, Failed):
            return score
        original, (height_px, width_px, _) = image.bitstream, image.rgb8.shape
        smaller = (height_px, width_px) != (original.height_px, original.width_px)
        return Record(
            question_id=question.id,
            image=question.image,
            answer=answer.text,
            value=score.value,
            parsed_answer=score.parsed_answer,
            parsed=score.parsed,
            payload_bytes=image.payload_bytes,
            height_px=original.height_px,
            width_px=original.width_px,
            truncated=answer.truncated,
            shown_height_px=height_px if smaller else 0,
            shown_width_px=width_px if smaller else 0,
            visual_tokens=self._visual_tokens(task.name, height_px, width_px),
            answer_tokens=answer.tokens,
            input_tokens=answer.input_tokens,
        )

    def _visual_tokens(self, task: str, height_px: int, width_px: int) -> int:
        """Tokens of an image, 0 if the VLM does not count them."""
        key = (task, height_px, width_px)
        if key not in self._tokens:
            vlm = self._vlm_for(task)
            found = (
                attempt("answer", lambda: vlm.visual_tokens(height_px, width_px))
                if isinstance(vlm, CountsTokens)
                else 0
            )
            self._tokens[key] = 0 if isinstance(found, Failed) else found
        return self._tokens[key]

    def _note_traces(self, reasons: Sequence[Failed]) -> None:
        """Tracebacks go to DIR/errors.log: the user needs them only to report a bug."""
        traces = dict.fromkeys(reason.trace for reason in reasons if reason.trace)
        append_lines(self._store.root / "errors.log", traces)

    def _judge(self, answered: int, unanswered: Sequence[tuple[Question, Failed]]) -> None:
        if answered:
            self._failed_in_a_row = 0
            self._failed_images.clear()
        if answered or not unanswered:
            return
        self._failed_in_a_row += len(unanswered)
        self._failed_images |= {question.image for question, _ in unanswered}
        out_of_service = all(why.retryable and not why.trace for _, why in unanswered)
        enough = out_of_service or len(self._failed_images) >= GIVE_UP_IMAGES
        if self._failed_in_a_row >= GIVE_UP_AFTER and enough:
            self.given_up = (
                f"{self._failed_in_a_row} questions in a row failed, the last with: "
                f"{unanswered[-1][1].message}"
            )


def _again(prepared: PreparedItem) -> PreparedItem:
    assert prepared.again is not None
    return replace(prepared, image=prepared.again(), again=None)


def _request(item: WorkItem, image: DecodedImage, family: str) -> Request:
    cell = item.cell.cell
    prompts = tuple(item.task.prompt(question, family) for question in item.questions)
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise TypeError(f"a prompt is not text: {prompts!r}")
    choices = (choices_of(item.task, question) for question in item.questions)
    return Request(
        image=image.rgb8,
        prompts=prompts,
        codec=cell.codec.name,
        level=item.level.name,
        choices=tuple(choices) if cell.decoding.choice_set else (),
    )


def _score(task: Task, question: Question, answer: Answer) -> Score:
    score = task.score(question, answer.text)
    if not isinstance(score, Score):
        raise TypeError(f"the scorer returned {score!r}")
    return score


def _halves(items: Sequence[PreparedItem]) -> list[list[PreparedItem]]:
    """A batch as two smaller ones: by images, then by questions; none for a single question."""
    if len(items) > 1:
        middle = len(items) // 2
        return [list(items[:middle]), list(items[middle:])]
    item = items[0].item
    questions = item.questions
    middle = len(questions) // 2
    parts = (questions[:middle], questions[middle:]) if middle else ()
    return [[replace(items[0], item=replace(item, questions=part))] for part in parts]
