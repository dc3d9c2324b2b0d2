"""What a run directory holds: cells, and the result of each question, a `Record` or a `Failure`.

Plug-ins know nothing of these; their types are in `core.types`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from eyechart.core.types import CodecCategory, Component, Decoding, Level, Reproducible, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """task x codec x level x VLM x adapter: the unit of work, of storage and of resumption.

    The adapter is in `adapter` alone, and not also in `vlm.options`.
    Workers, devices, batch sizes and the scorer's version are not part of a cell.
    """

    task: Component
    codec: Component
    level: Level
    vlm: Component
    adapter: Component | None
    decoding: Decoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One answered and scored question, as stored.

    height_px, width_px: of the original image. truncated: the token limit ended the answer.
    shown_height_px, shown_width_px: of the image that the VLM got, 0 if that is the original size.
    visual_tokens: of that image, 0 if the VLM does not count them. answer_tokens: of the answer, 0
    if they are unknown. input_tokens: of the question with its image, as a server counted them, 0
    if they are unknown.
    """

    question_id: str
    image: str
    answer: str
    value: float
    parsed_answer: str
    parsed: bool
    payload_bytes: int
    height_px: int
    width_px: int
    truncated: bool = False  # older records do not have it, nor those below
    shown_height_px: int = 0
    shown_width_px: int = 0
    visual_tokens: int = 0
    answer_tokens: int = 0
    input_tokens: int = 0

    @property
    def shown_pixels(self) -> int:
        """Pixels of the image that the VLM got."""
        height_px = self.shown_height_px or self.height_px
        return height_px * (self.shown_width_px or self.width_px)

    @property
    def bpp(self) -> float:
        """Rate of the image this question was asked about."""
        return 8 * self.payload_bytes / (self.height_px * self.width_px)

    @property
    def score(self) -> Score:
        """The stored score, as a scorer returned it."""
        return Score(
            question_id=self.question_id,
            value=self.value,
            parsed_answer=self.parsed_answer,
            parsed=self.parsed,
        )


Stage: TypeAlias = Literal["load", "encode", "decode", "answer", "score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A question that got no answer. Never stored as an answer text."""

    question_id: str
    image: str
    stage: Stage
    kind: str  # exception class name
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecFacts:
    """What an analysis needs to know of a codec, which it does not open. Stored with a cell, and no
    part of its identity.

    reproducible: as `NeuralCodec.reproducible`. adapted_from: as in `core.hooks.Adapted`. category:
    as in `core.hooks.Categorized`, "" where it is unknown. chroma: as in `core.hooks.HasChroma`.
    """

    reproducible: Reproducible = "bitwise"
    adapted_from: str = ""
    category: CodecCategory | Literal[""] = ""
    chroma: str = ""


USUAL_FACTS = CodecFacts()
