"""Costs of a server's answers: estimates before questions are asked, and totals after."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from eyechart.core.hooks import Tokens
from eyechart.core.types import Request

# US dollars per million tokens (input, output), OpenAI's list prices of August 2024; the first
# version of gpt-4o kept its older price.
_LIST_PRICES = {
    "gpt-4o-2024-05-13": (5.0, 15.0),
    "gpt-4o": (2.5, 10.0),
    "gpt-4o-mini": (0.15, 0.6),
}
# Tokens of an image, and of each of its tiles. OpenAI's table gives the small model more tokens for
# an image, so that its images cost as much.
_PICTURE_TOKENS = {"gpt-4o": (85, 170), "gpt-4o-mini": (2833, 5667)}
IMAGE_TOKEN_MODELS = tuple(_PICTURE_TOKENS)
_TILE_PX, _LONGEST_PX, _SHORTEST_PX = 512, 2048, 768
_CHARACTERS_A_TOKEN = 4
_MESSAGE_TOKENS = 10  # approximate tokens of the chat format around a question
_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEstimate:
    """Approximate tokens of some requests."""

    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class SpentTokens:
    """Tokens counted by the server; safe to add to from several threads."""

    input_tokens: int = 0
    output_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, input_tokens: int, output_tokens: int) -> None:
        """Count one answer."""
        with self._lock:
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """US dollars per million tokens; None if unknown."""

    usd_input: float | None
    usd_output: float | None

    @classmethod
    def of(cls, model: str, usd_input: float | None, usd_output: float | None) -> Prices:
        """The given prices, else the list price of the model (also of its dated names), else
        None."""
        unknown = (None, None)
        listed = _LIST_PRICES.get(model) or _LIST_PRICES.get(_undated(model)) or unknown
        return cls(
            usd_input=listed[0] if usd_input is None else usd_input,
            usd_output=listed[1] if usd_output is None else usd_output,
        )

    def usd(self, tokens: Tokens) -> float | None:
        """Cost of these tokens in US dollars, or None if a price is unknown."""
        if self.usd_input is None or self.usd_output is None:
            return None
        cost = tokens.input_tokens * self.usd_input + tokens.output_tokens * self.usd_output
        return cost / 1e6


def estimate(
    requests: Sequence[Request], max_new_tokens: int, detail: str, model: str = "gpt-4o"
) -> TokenEstimate:
    """Tokens of requests if every question sends its image and gets the longest answer."""
    questions = sum(len(request.prompts) for request in requests)
    text = sum(
        _MESSAGE_TOKENS + ceil(len(prompt) / _CHARACTERS_A_TOKEN)
        for request in requests
        for prompt in request.prompts
    )
    images = sum(
        len(request.prompts) * image_tokens(*request.image.shape[:2], detail=detail, model=model)
        for request in requests
    )
    return TokenEstimate(input_tokens=text + images, output_tokens=questions * max_new_tokens)


def counts_as(model: str) -> str:
    """The model of `IMAGE_TOKEN_MODELS` whose images take as many tokens; "" if there is none."""
    return _undated(model) if _undated(model) in _PICTURE_TOKENS else ""


def image_tokens(height_px: int, width_px: int, *, detail: str, model: str = "gpt-4o") -> int:
    """OpenAI's count: scaled to 2048 px, shorter side to 768 px, then tiles of 512 px and a base.

    Models of others are counted like GPT-4o, which is good for a rough estimate only.
    """
    base, tile = _PICTURE_TOKENS.get(_undated(model), _PICTURE_TOKENS["gpt-4o"])
    if detail == "low":
        return base
    scale = min(1.0, _LONGEST_PX / max(height_px, width_px))
    scale *= min(1.0, _SHORTEST_PX / (min(height_px, width_px) * scale))
    tiles = ceil(height_px * scale / _TILE_PX) * ceil(width_px * scale / _TILE_PX)
    return base + tile * tiles


def _undated(model: str) -> str:
    """`gpt-4o` of `gpt-4o-2024-08-06`."""
    return _DATE.sub("", model)
