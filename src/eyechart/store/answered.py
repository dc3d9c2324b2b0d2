"""A record without its answer: what scores and rates of a cell are computed from."""

from __future__ import annotations

from typing import Annotated

import msgspec


class AnsweredQuestion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Fields of a `core.records.Record`, with its limits. msgspec makes it in a third of the time
    of a record, which counts for millions."""

    question_id: str
    image: str
    value: float
    parsed_answer: str
    parsed: bool
    payload_bytes: Annotated[int, msgspec.Meta(ge=0)]
    height_px: Annotated[int, msgspec.Meta(ge=1)]
    width_px: Annotated[int, msgspec.Meta(ge=1)]
    visual_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    answer_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    input_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def bpp(self) -> float:
        """Rate of the image this question was asked about."""
        return 8 * self.payload_bytes / (self.height_px * self.width_px)
