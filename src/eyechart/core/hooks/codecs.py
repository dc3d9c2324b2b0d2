"""Optional protocols of codecs, and what holds for codecs without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from eyechart.core.kinds import fits
from eyechart.core.records import CodecFacts
from eyechart.core.types import (
    Bitstream,
    Codec,
    CodecCategory,
    Json,
    Level,
    Reproducible,
    Rgb8,
    is_neural,
)

_KNOB_STEPS = 128


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
class HasMissingLevels(Protocol):
    """A codec that knows of levels that are not here. `eyechart codec list` names them."""

    @property
    def missing_levels(self) -> str:
        """Which they are, and where they are published; "" for none."""
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
