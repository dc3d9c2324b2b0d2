"""Optional protocols of tasks, and what holds for tasks without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from eyechart.core.types import Question, Rgb8


@runtime_checkable
class HasChoices(Protocol):
    """A task whose questions can be answered by choosing (choice-set decoding)."""

    def choices(self, question: Question) -> tuple[str, ...]:
        """The allowed answers; () for an open question."""
        ...


@runtime_checkable
class HasChance(Protocol):
    """A task that knows how often a guess without the image is right."""

    def chance(self, question: Question) -> float | None:
        """Probability (0..1) that a guess is right; None if it is not defined."""
        ...


@runtime_checkable
class HasImageFiles(Protocol):
    """A task whose images are separate files, which may be missing."""

    def check_images(self, keys: Iterable[str]) -> None:
        """Check that the files of these images exist; reads none. Called before a run starts.

        Raises InputError: how many are missing, and the first of them.
        """
        ...


@runtime_checkable
class HasImageBytes(Protocol):
    """A task whose images are encoded files, which may have been compressed before."""

    def image_bytes(self, key: str) -> bytes:
        """The file of an image, such as PNG or JPEG, as it is stored. Raises ImageError."""
        ...


@runtime_checkable
class DrawsSample(Protocol):
    """A task that shows in one picture how a codec leaves its images."""

    @property
    def sample_images(self) -> tuple[str, ...]:
        """Keys of the images that the picture is made of."""
        ...

    @property
    def sample_text(self) -> str:
        """What the picture shows, as the start of a sentence."""
        ...

    def draw_sample(self, images: Sequence[Rgb8]) -> Rgb8:
        """One picture of these images, decoded, each of its original size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeThreshold:
    """Metrics of a task that are the smallest size of something that is recognised, and the ends of
    its interval.

    metric, low, high: their names in `summarize`; a value of 0 is an open end, or a threshold
    outside the sizes of the task. signs: what is recognised ("letters"). condition: under which
    ("contrast 1"). smallest, largest: the sizes of the task, in `unit`.
    """

    metric: str
    low: str
    high: str
    signs: str
    condition: str
    smallest: float
    largest: float
    unit: str = "px"


@runtime_checkable
class HasThresholds(Protocol):
    """A task that measures smallest sizes, for the report and the figure `acuity`."""

    @property
    def thresholds(self) -> tuple[SizeThreshold, ...]:
        """The thresholds, the most important one first."""
        ...


class PublishedFile(Protocol):
    """A file of a benchmark as it was published."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str:
        """Where to download it."""
        ...

    @property
    def md5(self) -> str: ...
    @property
    def rows(self) -> int | None:
        """Number of its questions; None if it is unknown."""
        ...

    @property
    def image_count(self) -> int | None:
        """Number of different images; None if it is unknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """The file that a task reads.

    path: None if it is missing. origin: what named its place (`data`, `$EYECHART_DATA`). published:
    the files that it can be, the usual one first.
    """

    path: Path | None
    origin: str = ""
    published: tuple[PublishedFile, ...] = ()


@runtime_checkable
class HasFile(Protocol):
    """A task whose questions are in one file: for `task list`, `task show`, `doctor` and `plan`."""

    def data_file(self) -> TaskFile:
        """Look for the file; do not read it. Does not raise if it is missing."""
        ...

    def describe_file(self) -> Mapping[str, str]:
        """Facts about its content by label, such as its columns. Raises InputError."""
        ...


@runtime_checkable
class HasMetricLabels(Protocol):
    """A task whose metrics have other names in papers than in `summarize`, which keeps those of
    VLMEvalKit."""

    def metric_label(self, name: str) -> str:
        """A metric as tables and charts name it, with its unit: `F1, %`."""
        ...


def choices_of(task: object, question: Question) -> tuple[str, ...]:
    """The allowed answers for choice-set decoding; () for an open question."""
    return task.choices(question) if isinstance(task, HasChoices) else ()


def chance_of(task: object, question: Question) -> float | None:
    """Probability that a guess is right: from the task, else one of the question's choices;
    None for an open question."""
    if isinstance(task, HasChance):
        return task.chance(question)
    choices = choices_of(task, question)
    return 1 / len(choices) if choices else None


def metric_label(task: object, name: str) -> str:
    """A metric of a task as tables and charts name it."""
    return task.metric_label(name) if isinstance(task, HasMetricLabels) else name
