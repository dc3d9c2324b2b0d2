"""What a run has to do: tasks x codecs x levels for each lane, less what is stored already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from eyechart.core.errors import InputError
from eyechart.core.hooks import choices_of, for_task
from eyechart.core.types import (
    VLM,
    Cell,
    Codec,
    Component,
    Decoding,
    Level,
    Question,
    Task,
    component_of,
)
from eyechart.store import Store, StoredCell, TaskSize
from eyechart.tasks.sampling import by_image


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One VLM with one adapter or none. `open` is called when its turn comes, so that one VLM
    is in memory at a time.

    by_task: how cells name it, by task, where a task changes its settings; else as `vlm`.
    """

    vlm: Component
    adapter: Component | None
    open: Callable[[], VLM]
    by_task: Mapping[str, Component] = field(default_factory=dict)


def vlm_component(vlm: VLM, task: str) -> Component:
    """How a cell of that task names a VLM: as it was opened, and in the option `for_task` what the
    task changed. Apart from the other options, because tables show one VLM over all its tasks."""
    opened, used = component_of(vlm), component_of(for_task(vlm, task))
    changed = {
        key: used.options.get(key)
        for key in sorted({*opened.options, *used.options})
        if used.options.get(key) != opened.options.get(key)
    }
    told = {"for_task": changed} if changed else {}
    return replace(used, options={**opened.options, **told})


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecLevels:
    """A codec and the levels to run, lowest rate first."""

    codec: Codec
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWork:
    """A task and the images to ask about, in sampling order, each with its questions."""

    task: Task
    images: tuple[tuple[str, tuple[Question, ...]], ...]
    decoding: Decoding

    @property
    def size(self) -> TaskSize:
        """Questions and images to ask."""
        questions = sum(len(questions) for _, questions in self.images)
        return TaskSize(questions=questions, images=len(self.images))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The whole grid."""

    lanes: tuple[Lane, ...]
    codecs: tuple[CodecLevels, ...]
    tasks: tuple[TaskWork, ...]

    @property
    def cells(self) -> int:
        """Cells in the grid."""
        levels = sum(len(entry.levels) for entry in self.codecs)
        return len(self.lanes) * len(self.tasks) * levels


def task_work(task: Task, max_images: int | None = None, *, choice_set: bool = False) -> TaskWork:
    """All of a task, or the first `max_images` images of it.

    choice_set: let the VLM choose among a question's answers instead of answering freely.

    Raises:
        InputError: choice-set decoding of a task with open questions.
    """
    questions = task.questions()
    return TaskWork(
        task=task,
        images=tuple((image, tuple(its)) for image, its in by_image(questions, max_images)),
        decoding=_choosing(task, questions) if choice_set else _free(task, questions),
    )


def _free(task: Task, questions: Sequence[Question]) -> Decoding:
    """The token limit is that of the whole task: it does not depend on the images chosen."""
    limit = max((task.max_new_tokens(question) for question in questions), default=1)
    return Decoding(max_new_tokens=limit)


def _choosing(task: Task, questions: Sequence[Question]) -> Decoding:
    for question in questions:
        if not choices_of(task, question):
            raise InputError(
                f"task {task.name}: question {question.id!r} has no answers to choose from; "
                "allowed in a choice-set plan: tasks of yes or no, or of lettered options"
            )
    return Decoding(max_new_tokens=1, choice_set=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCell:
    """A cell with the questions that still want an answer."""

    stored: StoredCell
    codec: int  # place in Work.codecs
    level: Level
    settled: frozenset[str]  # ids answered, or failed for good
    failed: int  # of the settled ones


def pending_cells(
    work: Work, lane: Lane, part: TaskWork, store: Store, *, retry_failed: bool
) -> list[PendingCell]:
    """All cells of a lane and a task, in order of codec and level, with what is settled in each.

    Cuts off what a kill left half-written: call it under the lane's lease. Raises StoreError.
    """
    found = []
    task, size = component_of(part.task), part.size
    vlm = lane.by_task.get(part.task.name, lane.vlm)
    for place, entry in enumerate(work.codecs):
        codec = component_of(entry.codec)
        for level in entry.levels:
            stored = store.add(
                Cell(
                    task=task,
                    codec=codec,
                    level=level,
                    vlm=vlm,
                    adapter=lane.adapter,
                    decoding=part.decoding,
                )
            )
            stored.recover()
            stored.ask(size)
            answered = {record.question_id for record in stored.records()}
            lost = {
                failure.question_id
                for failure in stored.failures()
                if not (failure.retryable or retry_failed)
            }
            found.append(
                PendingCell(
                    stored=stored,
                    codec=place,
                    level=level,
                    settled=frozenset(answered | lost),
                    failed=len(lost),
                )
            )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Questions about one image in one cell: what reaches the VLM as one Request."""

    part: TaskWork
    cell: PendingCell
    image: str
    questions: tuple[Question, ...]


def asks(part: TaskWork, cells: Sequence[PendingCell]) -> Iterator[Ask]:
    """All that is left to ask of a task, image by image, each under every codec and level.

    Image by image, because then an image is read once, and a stopped run holds the same images
    in every cell.
    """
    for image, questions in part.images:
        for cell in cells:
            left = tuple(question for question in questions if question.id not in cell.settled)
            if left:
                yield Ask(part=part, cell=cell, image=image, questions=left)
