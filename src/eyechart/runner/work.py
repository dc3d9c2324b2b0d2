"""The work of a run: tasks x codecs x levels for each VLM, without what is already stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.hooks import choices_of, facts_of, for_task
from eyechart.core.records import Cell
from eyechart.core.types import (
    VLM,
    Codec,
    CodecSpec,
    Component,
    Decoding,
    Json,
    Level,
    Question,
    Task,
    component_of,
    is_neural,
)
from eyechart.runner.plan import NO_ADAPTER
from eyechart.store import Store, StoredCell, TaskSize
from eyechart.tasks.sampling import images_to_ask

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)  # no slots: `spec` is kept in the instance
class CodecLevels:
    """A codec and the levels to run, lowest rate first.

    options: those it was opened with. tasks: names of the tasks it is run for; None: all. adapters:
    of the adapters, as the plan has them.
    """

    codec: Codec
    plugin: str
    options: Mapping[str, Json]
    levels: tuple[Level, ...]
    tasks: tuple[str, ...] | None = None
    adapters: tuple[str, ...] | None = None

    @cached_property
    def spec(self) -> CodecSpec:
        """The codec's spec, for workers. Raises EyechartError if it cannot run here."""
        with plugins.guarded(self.plugin):
            component = component_of(self.codec)
        return CodecSpec(plugin=self.plugin, options=self.options, component=component)

    @property
    def neural(self) -> bool:
        """Whether it has weights."""
        return is_neural(self.codec)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One VLM with one adapter or none. `open` is called at the start of its turn, so that one VLM
    is in memory at a time.

    by_task: the VLM's identity in the cells of each task, which may change its settings.
    adapter_name: as the plan has it.
    """

    vlm: Component
    adapter: Component | None
    open: Callable[[], VLM]
    by_task: Mapping[str, Component] = field(default_factory=dict)
    adapter_name: str = NO_ADAPTER

    @property
    def label(self) -> str:
        """`VLM`, or `VLM + ADAPTER`."""
        return self.vlm.name + (f" + {self.adapter.name}" if self.adapter else "")


def vlm_identity(vlm: VLM) -> Component:
    """A VLM's identity in a cell, without its adapter, which a cell names separately."""
    whole = component_of(vlm)
    return replace(
        whole, options={key: value for key, value in whole.options.items() if key != "adapter"}
    )


def vlm_component(vlm: VLM, task: str) -> Component:
    """The VLM's identity in a cell of a task: the options it was opened with, and the changes for
    the task in the option `for_task`. These are separate, because tables show one VLM over all its
    tasks."""
    opened, used = vlm_identity(vlm), vlm_identity(for_task(vlm, task))
    changed = {
        key: used.options.get(key)
        for key in sorted({*opened.options, *used.options})
        if used.options.get(key) != opened.options.get(key)
    }
    extra = {"for_task": changed} if changed else {}
    return replace(used, options={**opened.options, **extra})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWork:
    """A task and the images to ask about, in sampling order, each with its questions."""

    task: Task
    images: tuple[tuple[str, tuple[Question, ...]], ...]
    decoding: Decoding

    @property
    def size(self) -> TaskSize:
        """Number of questions and images."""
        questions = sum(len(questions) for _, questions in self.images)
        return TaskSize(questions=questions, images=len(self.images))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """All models, codecs and tasks of a run. unusable: one line for each VLM of the plan that
    cannot be found now, because a server or the hub cannot be reached."""

    models: tuple[ModelConfig, ...]
    codecs: tuple[CodecLevels, ...]
    tasks: tuple[TaskWork, ...]
    unusable: tuple[str, ...] = ()

    @property
    def cells(self) -> int:
        """Number of cells."""
        return sum(
            len(entry.levels)
            for model in self.models
            for part in self.tasks
            for entry in self.codecs_for(part, model)
        )

    @property
    def images(self) -> int:
        """Number of images to encode and decode."""
        return sum(
            len(entry.levels) * len(part.images)
            for part in self.tasks
            for entry in self.codecs_for(part)
        )

    def codecs_for(self, part: TaskWork, model: ModelConfig | None = None) -> list[CodecLevels]:
        """The codecs that are run for a task, with one model or with any."""
        return [
            entry
            for entry in self.codecs
            if among(part.task.name, entry.tasks)
            and (model is None or among(model.adapter_name, entry.adapters))
        ]


def among(name: str, names: Collection[str] | None) -> bool:
    """Whether a name is one of those that a plan gives; None: of all."""
    return names is None or name in names


def task_work(task: Task, max_images: int | None = None, *, choice_set: bool = False) -> TaskWork:
    """All images of a task, or its first `max_images` images (see `tasks.sampling`).

    choice_set: let the VLM choose among a question's answers instead of answering freely.

    Raises:
        InputError: choice-set decoding of a task with open questions.
    """
    questions = task.questions()
    return TaskWork(
        task=task,
        images=tuple((image, tuple(its)) for image, its in images_to_ask(task, max_images)),
        decoding=_choosing(task, questions) if choice_set else _free(task, questions),
    )


def _free(task: Task, questions: Sequence[Question]) -> Decoding:
    """Free answers. The token limit is that of the whole task, independent of the images chosen."""
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
    """A cell with its settled questions; all others are to be asked."""

    stored: StoredCell
    codec: CodecLevels
    level: Level
    settled: frozenset[str]  # ids of answered or permanently failed questions
    failed: int  # of the settled ones


def _cells(
    work: Work, model: ModelConfig, part: TaskWork
) -> Iterator[tuple[Cell, CodecLevels, Level]]:
    """All cells of a VLM and a task, in order of codec and level."""
    task = component_of(part.task)
    for entry in work.codecs_for(part, model):
        codec = component_of(entry.codec)
        for level in entry.levels:
            cell = Cell(
                task=task,
                codec=codec,
                level=level,
                vlm=model.by_task.get(part.task.name, model.vlm),
                adapter=model.adapter,
                decoding=part.decoding,
            )
            yield cell, entry, level


def _settled(stored: StoredCell, *, retry_failed: bool) -> tuple[set[str], set[str]]:
    """Ids of the questions with an answer, and of those that failed permanently."""
    index = stored.index()
    failed = {
        failure.question_id for failure in index.failures if not (failure.retryable or retry_failed)
    }
    return set(index.answered), failed


def questions_left(
    work: Work, model: ModelConfig, store: Store, *, retry_failed: bool
) -> list[tuple[TaskWork, int]]:
    """Number of a VLM's questions of each task that are not settled. Writes no cell.

    Raises StoreError.
    """
    found = []
    for part in work.tasks:
        ids = {question.id for _, questions in part.images for question in questions}
        left = 0
        for cell, _, _ in _cells(work, model, part):
            answered, failed = _settled(store.find(cell), retry_failed=retry_failed)
            left += len(ids - answered - failed)
        found.append((part, left))
    return found


def pending_cells(
    work: Work, model: ModelConfig, part: TaskWork, store: Store, *, retry_failed: bool
) -> list[PendingCell]:
    """All cells of a VLM and a task, in order of codec and level, with their settled questions.

    Cuts off half-written lines, so call it under the VLM's lease. Raises StoreError.
    """
    found = []
    size, questions = part.size, len(part.task.questions())
    facts = {id(entry): facts_of(entry.codec) for entry in work.codecs}
    for cell, entry, level in _cells(work, model, part):
        stored = store.add(cell, facts[id(entry)])
        stored.recover()
        stored.check_asked(questions)
        stored.ask(size)
        answered, lost = _settled(stored, retry_failed=retry_failed)
        found.append(
            PendingCell(
                stored=stored,
                codec=entry,
                level=level,
                settled=frozenset(answered | lost),
                failed=len(lost),
            )
        )
    return found


def count_again(stored: StoredCell, visual_tokens: Callable[[int, int], int]) -> None:
    """Replace the visual tokens of a cell's records, under the VLM's lease, where they differ from
    those of a function of the shown image's height and width in pixels. Where it returns 0, because
    they are unknown, what is stored stays. Raises StoreError."""
    before = stored.records()
    after = [
        replace(
            record,
            visual_tokens=visual_tokens(
                record.shown_height_px or record.height_px,
                record.shown_width_px or record.width_px,
            )
            or record.visual_tokens,
        )
        for record in before
    ]
    if after != before:
        stored.replace_records(after)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """An image of a task under one codec and level, with the questions that a VLM gets about it as
    one Request.

    stored: the cell of the answers; None without questions, if the image is encoded only.
    """

    task: Task
    codec: CodecLevels
    level: Level
    image: str
    questions: tuple[Question, ...] = ()
    stored: StoredCell | None = None

    @property
    def cell(self) -> StoredCell:
        """The cell of the answers, of an item with questions."""
        assert self.stored is not None
        return self.stored


def work_items(
    part: TaskWork, cells: Sequence[PendingCell], block_images: int
) -> Iterator[WorkItem]:
    """The questions of a task that are not settled, in blocks of images; within a block, one codec
    and level after another.

    So a stopped run holds the same images in every cell to within a block, and a codec with weights
    loads each level once for each block.
    """
    for block in _blocks(part.images, block_images):
        for cell in cells:
            for image, questions in block:
                left = tuple(question for question in questions if question.id not in cell.settled)
                if left:
                    yield WorkItem(
                        task=part.task,
                        codec=cell.codec,
                        level=cell.level,
                        image=image,
                        questions=left,
                        stored=cell.stored,
                    )


def encode_items(work: Work, block_images: int) -> Iterator[WorkItem]:
    """Every image of a plan under every codec and level, without questions, in the order of
    `work_items`."""
    for part in work.tasks:
        for block in _blocks(part.images, block_images):
            for entry in work.codecs_for(part):
                for level in entry.levels:
                    for image, _ in block:
                        yield WorkItem(task=part.task, codec=entry, level=level, image=image)


def _blocks(images: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(images), size):
        yield images[start : start + size]
