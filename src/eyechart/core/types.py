"""The central types: the data on the way from a task through a codec and a VLM to a score.

    task --Question--> codec --Bitstream--> VLM --Answer--> scorer --Score--> store (Record)

All values are frozen and keyword-only. The three plug-in kinds (Codec, Task, VLM) are protocols: a
plug-in is any class with these members and needs no base class. Optional members are declared in
`core.hooks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np
import numpy.typing as npt

Rgb8: TypeAlias = npt.NDArray[np.uint8]  # (height, width, 3), sRGB
Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
Floats: TypeAlias = npt.NDArray[np.float64]

# The uncompressed image is an ordinary codec with one level, under these names.
UNCOMPRESSED = "source"
LOSSLESS = "lossless"


# A level's knob: the longer side, in pixels, that an image is encoded at.
LONG_SIDE = "long_side"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Identity of a plug-in in a cell: its name, version and every option that changes results."""

    name: str
    version: str
    options: Mapping[str, Json] = field(default_factory=dict)


class Plugin(Protocol):
    """Members of every codec, task and VLM. `options` holds only what can change a result."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Json]: ...


def component_of(plugin: Plugin) -> Component:
    """The identity of a plug-in instance, as used in a cell's key."""
    return Component(name=plugin.name, version=plugin.version, options=dict(plugin.options))


# --- codecs -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One rate point of a codec; `name` is what users type.

    rank: position in the codec's list, 0 for the smallest rate. It depends on the other levels in
    the list and does not change the bitstream, so it is not part of a level's identity.
    weights: sha256 (hex) of the level's checkpoint; "" for a codec without weights.
    """

    name: str
    rank: int
    knobs: Mapping[str, Json]
    weights: str = ""

    @property
    def identity(self) -> Mapping[str, Json]:
        """What identifies the level, independent of the list that it is in."""
        weights = {"weights": self.weights} if self.weights else {}
        return {"name": self.name, "knobs": self.knobs, **weights}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bitstream:
    """A compressed image. The payload alone decodes in a fresh process.

    height_px, width_px: size of the ORIGINAL image, the divisor of the rate.
    """

    payload: bytes
    height_px: int
    width_px: int

    @property
    def bpp(self) -> float:
        """Bits per pixel: 8 * bytes of the payload / pixels of the original image."""
        return 8 * len(self.payload) / (self.height_px * self.width_px)


@runtime_checkable
class Codec(Plugin, Protocol):
    """A lossy (or, for `source`, lossless) image codec with real bitstreams."""

    @property
    def levels(self) -> Sequence[Level]:
        """Rate points, lowest rate first."""
        ...

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        """Compress an image of any size from 1x1. Raises CodecError."""
        ...

    def decode(self, bitstream: Bitstream) -> Rgb8:
        """Reconstruct an image of the original size, from the payload alone. Raises CodecError."""
        ...


Reproducible: TypeAlias = Literal["bitwise", "per device"]
CodecCategory: TypeAlias = Literal["traditional", "learned", "generative"]


@runtime_checkable
class NeuralCodec(Codec, Protocol):
    """A codec with weights. It holds one level in memory and processes images in batches.

    `encode` and `decode` of `Codec` process one image and may load a level on each call.
    """

    @property
    def reproducible(self) -> Reproducible:
        """`bitwise`: payloads and decoded images are equal on all devices. `per device`: equal
        only if they are made on the same kind of device."""
        ...

    def check(self) -> None:
        """Check that the files of all levels exist, without reading weights.

        Raises PluginError: a file or package is missing; the message says how to get it.
        """
        ...

    def load(self, level: Level, device: str) -> LoadedCodec:
        """Read one level into the memory of a device (`cpu`, `cuda:0`). Raises CodecError."""
        ...


class LoadedCodec(Protocol):
    """One level of a NeuralCodec in memory. Results do not depend on how images are batched."""

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        """Compress images of any sizes from 1x1. Raises CodecError, MemoryError."""
        ...

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        """Reconstruct images of the original sizes. Raises CodecError, MemoryError."""
        ...

    def close(self) -> None:
        """Free the memory. The object is not used afterwards."""
        ...


def is_neural(codec: Codec) -> TypeGuard[NeuralCodec]:
    """Whether a codec has weights. Unlike isinstance, which in Python 3.11 reads the properties of
    an object to compare it with a protocol, this reads none: `version` may need a program."""
    return hasattr(codec, "check") and hasattr(codec, "load")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSpec:
    """What a worker needs to open a codec: the plug-in's name and its constructor's options.

    component: the codec's identity in the main process.
    """

    plugin: str
    options: Mapping[str, Json] = field(default_factory=dict)
    component: Component


# --- tasks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a benchmark.

    id: the row's index, as text. image: key for `Task.image`; questions on one image have equal
    keys. answer: the reference, or a JSON list of several. category: as in the task's file. group:
    questions that are scored together (MME's pairs, MMBench's rotations) share it; else the id.
    options: (letter, text) pairs of a multiple-choice question.
    """

    id: str
    image: str
    text: str
    answer: str
    category: str = ""
    l2_category: str = ""
    group: str = ""
    options: tuple[tuple[str, str], ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The score of one answer.

    value: 0..1 (captions: 0, because they are scored as a corpus from `parsed_answer`).
    parsed_answer: the extracted answer ("yes", "B", the caption). parsed: False if nothing could be
    extracted; such an answer counts as wrong, and reports show how many there are.
    """

    question_id: str
    value: float
    parsed_answer: str
    parsed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSums:
    """The headline metric as sums over images, so that a bootstrap is one matrix product.

    images: keys, in order. sums: (images, k) sufficient statistics; `Task.headline` turns the sum
    of any (weighted) selection of rows into the metric. strata: the stratum of each image, or ()
    for none. The bootstrap resamples within each stratum. A metric that adds up parts (categories,
    counts) needs strata, because a part that is not drawn would count 0.
    """

    images: tuple[str, ...]
    sums: Floats
    strata: tuple[str, ...] = ()


@runtime_checkable
class Task(Plugin, Protocol):
    """A benchmark: questions about images, prompts, and a pure scorer."""

    @property
    def headline_metric(self) -> str:
        """Name of the task's metric in tables and curves."""
        ...

    def questions(self) -> Sequence[Question]:
        """All questions, in file order; questions of one image need not be neighbours."""
        ...

    def image(self, key: str) -> Rgb8:
        """Decode one image. Raises ImageError."""
        ...

    def prompt(self, question: Question, vlm_family: str) -> str:
        """The prompt for a VLM of that family, as VLMEvalKit builds it."""
        ...

    def max_new_tokens(self, question: Question) -> int:
        """Token limit of the answer, high enough for any right answer of this task."""
        ...

    def score(self, question: Question, answer: str) -> Score:
        """Score one answer. Pure; never raises on any answer text."""
        ...

    def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
        """All sub-metrics of the benchmark by name, the headline included, in table order."""
        ...

    def image_sums(self, scores: Sequence[Score]) -> ImageSums:
        """Per-image sufficient statistics of the headline metric."""
        ...

    def headline(self, sums: Floats) -> Floats:
        """Headline metric of summed statistics: (..., k) -> (...)."""
        ...


# --- VLMs -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How answers are generated; always greedily.

    choice_set: the answer is the one of its question's choices with the likeliest first token.
    This is a separate protocol, which is never in one table with free answers.
    """

    max_new_tokens: int = 64
    choice_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """All questions of ONE image. Answering them together makes the engine fast.

    codec, level: how the image was compressed, for adapters with labelled conditioning.
    choices: the allowed answers of each prompt if `Decoding.choice_set` is set, else ().
    """

    image: Rgb8
    prompts: tuple[str, ...]
    codec: str = UNCOMPRESSED
    level: str = ""
    choices: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of a VLM. truncated: the token limit ended it. input_tokens: of the question with
    its image, as a server counted them; 0 if they are unknown."""

    text: str
    tokens: int
    truncated: bool = False
    input_tokens: int = 0


@runtime_checkable
class VLM(Plugin, Protocol):
    """A vision-language model. `family` selects the prompts (Task.prompt)."""

    @property
    def family(self) -> str: ...

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One list of answers for each request, in order. Raises VLMError."""
        ...
