"""Optional protocols of codecs, tasks and VLMs, beside those in `core.types`.

    plug-in   protocol         member
    codec     SelfDescribing   bitstream_from_payload(payload)
    codec     OpenLevels       level_at(text)
    codec     HasKnobRange     knob_range
    codec     Resizing         restores_size
    codec     WritesImageFile  image_file(level)
    codec     Adapted          adapted_from
    codec     Categorized      category
    codec     HasWeightFiles   weights_bytes(level)
    codec     HasChroma        chroma
    level     EstimatesRate    estimate_bits(images), on what `load` of a codec with weights returns
    task      HasChoices       choices(question)
    task      HasChance        chance(question)
    task      HasImageFiles    check_images(keys)
    task      HasFile          data_file(), describe_file()
    task      HasMetricLabels  metric_label(name)
    VLM       Checkable        check()
    VLM       TaskDependent    for_task(task)
    VLM       SizesBatches     questions_at_once
    VLM       Replicated       copies, submit(requests, decoding)
    VLM       Billed           spent, spent_usd, estimate_usd(requests, decoding)
    VLM       CountsTokens     visual_tokens(height_px, width_px)
    VLM       Remote           remote
    VLM       Served           address
    VLM       HasParameters    parameters
    any       TakesRunOptions  run_options, on the class

A plug-in implements one by having its member; it inherits nothing. The functions below return the
default for plug-ins without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from eyechart.core.kinds import fits
from eyechart.core.types import (
    VLM,
    Answer,
    Bitstream,
    Codec,
    CodecCategory,
    CodecFacts,
    Decoding,
    Json,
    Level,
    Question,
    Reproducible,
    Request,
    Rgb8,
    is_neural,
)

QUESTIONS_AT_ONCE = 32  # enough to keep a CPU busy; a kill of the run loses only these

_KNOB_STEPS = 128

RunOption: TypeAlias = Literal["device", "adapter", "data"]


@runtime_checkable
class SelfDescribing(Protocol):
    """A codec that reads an image's size from a payload (needed to decode a single file)."""

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        """The payload with the size that is stored in it.

        Raises CodecError if the payload is not one of this codec's.
        """
        ...


@runtime_checkable
class OpenLevels(Protocol):
    """A codec that also encodes at knob values that it does not list as levels."""

    def level_at(self, text: str) -> Level:
        """The level of a knob value as a user types it. Raises InputError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobRange:
    """The values that a codec's setting (quality, QP, distance) can have.

    least, most: whole numbers if only those are allowed. rate: how it changes with the value.
    """

    least: float
    most: float
    rate: Literal["rises", "falls"]

    def rising(self) -> list[float]:
        """Values from the lowest to the highest rate: all whole numbers, or 128 even steps."""
        if isinstance(self.least, int):
            values: list[float] = list(range(self.least, int(self.most) + 1))
        else:
            step = (self.most - self.least) / _KNOB_STEPS
            values = [round(self.least + step * n, 4) for n in range(_KNOB_STEPS + 1)]
        return values if self.rate == "rises" else values[::-1]


@runtime_checkable
class HasKnobRange(Protocol):
    """A codec of `OpenLevels` whose rate rises or falls with one setting."""

    @property
    def knob_range(self) -> KnobRange: ...


@runtime_checkable
class Resizing(Protocol):
    """A codec that may hand on smaller images than it was given."""

    @property
    def restores_size(self) -> bool:
        """Whether decoded images have the size of the original all the same."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFileSettings:
    """How Pillow writes an image file: `image.save(file, format, **settings)`."""

    format: str
    settings: Mapping[str, Json]


@runtime_checkable
class WritesImageFile(Protocol):
    """A codec whose payload is an image file that Pillow writes."""

    def image_file(self, level: Level) -> ImageFileSettings | None:
        """How it is written at a level; None if the payload is not only that file."""
        ...


@runtime_checkable
class Adapted(Protocol):
    """A codec that is another one, its base, adapted to what machines see (image coding for
    machines)."""

    @property
    def adapted_from(self) -> str:
        """The base codec's name; "" for none."""
        ...


@runtime_checkable
class Categorized(Protocol):
    """A codec that says to which of the paper's categories it belongs. Without it a codec with
    weights is learned, any other one traditional."""

    @property
    def category(self) -> CodecCategory:
        """`generative`: the decoder was trained to make natural images, not only close ones."""
        ...


@runtime_checkable
class HasWeightFiles(Protocol):
    """A codec that knows the size of its weights. `eyechart plan` times it if they are small."""

    def weights_bytes(self, level: Level) -> int:
        """Size of a level's file. Raises InputError: no such level."""
        ...


@runtime_checkable
class HasChroma(Protocol):
    """A codec whose chroma format is fixed, so that it is not one of its options."""

    @property
    def chroma(self) -> str:
        """Of the coded image: `4:4:4`, `4:2:0`."""
        ...


@runtime_checkable
class EstimatesRate(Protocol):
    """A loaded level that knows its rate without coding, from the likelihoods of its symbols."""

    def estimate_bits(self, images: Sequence[Rgb8]) -> list[float]:
        """The information content of each image's latent, without headers."""
        ...


@runtime_checkable
class HasChoices(Protocol):
    """A task whose questions can be answered by choosing (choice-set decoding)."""

    def choices(self, question: Question) -> tuple[str, ...]:
        """The allowed answers; () for an open question."""
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
class HasChance(Protocol):
    """A task that knows how often a guess without the image is right."""

    def chance(self, question: Question) -> float | None:
        """Probability (0..1) that a guess is right; None if it is not defined."""
        ...


@runtime_checkable
class HasMetricLabels(Protocol):
    """A task whose metrics have other names in papers than in `summarize`, which keeps those of
    VLMEvalKit."""

    def metric_label(self, name: str) -> str:
        """A metric as tables and charts name it, with its unit: `F1, %`."""
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
class Checkable(Protocol):
    """A VLM that can check, without a question, whether it will be able to answer."""

    def check(self) -> None:
        """Called before a run directory is made. Raises InputError or UnusableVLMError."""
        ...


@runtime_checkable
class TaskDependent(Protocol):
    """A VLM whose settings depend on the task, for example the largest image size."""

    def for_task(self, task: str) -> VLM:
        """The VLM with the settings for the task of that name, sharing the same weights."""
        ...


@runtime_checkable
class SizesBatches(Protocol):
    """A VLM that sets the number of questions in a batch."""

    @property
    def questions_at_once(self) -> int: ...


@runtime_checkable
class Replicated(Protocol):
    """A VLM of several copies that answer at the same time, one batch each."""

    @property
    def copies(self) -> int: ...

    def submit(self, requests: Sequence[Request], decoding: Decoding) -> Future[list[list[Answer]]]:
        """Let a copy answer a batch; the future raises what `VLM.answer` raises."""
        ...


class Tokens(Protocol):
    """Tokens of questions with their images, and tokens of answers."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...


@runtime_checkable
class Billed(Protocol):
    """A VLM whose answers cost money. Costs are in US dollars; None if the prices are unknown."""

    @property
    def spent(self) -> Tokens:
        """As counted by the server, for all answers since the VLM was opened."""
        ...

    @property
    def spent_usd(self) -> float | None: ...

    def estimate_usd(self, requests: Sequence[Request], decoding: Decoding) -> float | None:
        """An estimate of what these requests will cost."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A VLM that knows how many tokens an image of a size takes."""

    def visual_tokens(self, height_px: int, width_px: int) -> int: ...


@runtime_checkable
class Remote(Protocol):
    """A VLM that may run on another machine, behind a server; declared on the class.

    It ignores `--device`, and no adapter can be trained for it.
    """

    @property
    def remote(self) -> bool: ...


@runtime_checkable
class Served(Protocol):
    """A VLM behind a server, whose address is noted beside the answers. It is in no cell's key."""

    @property
    def address(self) -> str:
        """The server's URL, without user, password and query."""
        ...


@runtime_checkable
class HasParameters(Protocol):
    """A VLM that knows its size, for the scaling figures. It is in no cell's key."""

    @property
    def parameters(self) -> int | None:
        """Number of weights; None if it cannot be told before they are loaded."""
        ...


@runtime_checkable
class TakesRunOptions(Protocol):
    """A plug-in class whose constructor has parameters that the run fills in.

    `device`: where a VLM computes. `adapter`: an adapter for a VLM, by directory or name.
    `data`: a file or folder with a task's data.
    """

    @property
    def run_options(self) -> Collection[RunOption]: ...


def facts_of(codec: Codec) -> CodecFacts:
    """What is stored of a codec beside its identity. Raises ValueError: a value is not allowed."""
    usual: CodecCategory = "learned" if is_neural(codec) else "traditional"
    return checked_facts(
        CodecFacts(
            reproducible=codec.reproducible if is_neural(codec) else "bitwise",
            adapted_from=codec.adapted_from if isinstance(codec, Adapted) else "",
            category=codec.category if isinstance(codec, Categorized) else usual,
            chroma=codec.chroma if isinstance(codec, HasChroma) else "",
        )
    )


def checked_facts(facts: CodecFacts) -> CodecFacts:
    """The facts, if their values are allowed. Raises ValueError."""
    if not fits(facts.reproducible, Reproducible):
        raise ValueError(f"reproducible is {facts.reproducible!r}")
    if not fits(facts.adapted_from, str):
        raise ValueError(f"adapted_from is {facts.adapted_from!r}")
    if not fits(facts.chroma, str):
        raise ValueError(f"chroma is {facts.chroma!r}")
    if facts.category and not fits(facts.category, CodecCategory):
        raise ValueError(f"category is {facts.category!r}")
    return facts


def restores_size(codec: Codec) -> bool:
    """Whether a codec's decoded images have the size of the original."""
    return codec.restores_size if isinstance(codec, Resizing) else True


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


def for_task(vlm: VLM, task: str) -> VLM:
    """The VLM with its settings for a task."""
    return vlm.for_task(task) if isinstance(vlm, TaskDependent) else vlm


def questions_at_once(vlm: VLM) -> int:
    """How many questions to hand to a VLM in one call."""
    return vlm.questions_at_once if isinstance(vlm, SizesBatches) else QUESTIONS_AT_ONCE


def batches_at_once(vlm: VLM) -> int:
    """How many batches to have in flight, so that a slow batch leaves no other copy idle."""
    return 2 * vlm.copies if isinstance(vlm, Replicated) else 1


def parameters_of(vlm: object) -> int | None:
    """Number of weights of a VLM; None if it is unknown."""
    return vlm.parameters if isinstance(vlm, HasParameters) else None


def is_remote(factory: object) -> bool:
    """Whether a VLM, or the class of one, declares that it may run on another machine."""
    factory = _class_of(factory)
    return isinstance(factory, Remote) and factory.remote


def takes(factory: object, option: RunOption) -> bool:
    """Whether a plug-in's class declares that its constructor takes that option."""
    factory = _class_of(factory)
    return isinstance(factory, TakesRunOptions) and option in factory.run_options


def _class_of(factory: object) -> object:
    """The class or function inside a `functools.partial`, which an entry point may name."""
    while isinstance(factory, partial):
        factory = factory.func
    return factory
