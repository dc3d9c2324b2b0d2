"""What an image at a setting costs: bytes, visual tokens, dollars, and seconds to an answer.

dollars = tokens of question and answer * their prices + bytes * price of the transfer

The tokens of a question are those that the server counted, else those of its image alone.
seconds = encode + 8 * bytes / bandwidth + decode + answer
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar, get_args

import numpy as np

from eyechart.analysis.axis import Axis
from eyechart.analysis.cells import CellData
from eyechart.analysis.sums import CellSums
from eyechart.core.errors import InputError, one_line
from eyechart.core.records import Record
from eyechart.core.types import Floats
from eyechart.store.timings import Timing
from eyechart.vlms.token_cost import Prices

Unit: TypeAlias = Literal["bytes", "tokens", "usd", "seconds"]
_Number = TypeVar("_Number", float, Floats)
UNITS: tuple[Unit, ...] = get_args(Unit)
BANDWIDTH_MBIT = 10.0
_MOST_MBIT = 1e6
_LIMIT_USD = 1e6
_PRICE_RANGE = f"from 0 to less than {_LIMIT_USD:,.0f}"


def why_unknown(unit: str, *, transfer: bool = False) -> str:
    """Why a run can have no figures of a unit. transfer: whether its price can be given, too."""
    prices = "--usd-per-million, or --usd-per-gb" if transfer else "--usd-per-million"
    return {
        "bytes": "no codec was run",
        "tokens": "the visual tokens of its VLM are unknown (behind a server, give the VLM's "
        "option image_tokens=gpt-4o or gpt-4o-mini if it counts like that model, and run again)",
        "usd": f"the price of its VLM is unknown (give {prices}), or its tokens are (the server "
        "reports no usage, and its visual tokens are unknown)",
        "seconds": "no times were measured, or every image was stored before",
    }[unit]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """US dollars per million tokens, of questions with their images and of answers."""

    usd_input: float
    usd_output: float = 0.0

    @classmethod
    def of(cls, usd_per_million: Sequence[float] | None) -> TokenPrices | None:
        """Prices of two numbers, of input and output; None for None."""
        if usd_per_million is None:
            return None
        usd_input, usd_output = usd_per_million
        return cls(usd_input=usd_input, usd_output=usd_output)

    def __post_init__(self) -> None:
        for price in (self.usd_input, self.usd_output):
            if not 0 <= price < _LIMIT_USD:
                raise InputError(
                    f"price {price:g}; allowed: US dollars per million tokens, {_PRICE_RANGE}"
                )

    def usd(self, input_tokens: _Number, answer_tokens: _Number) -> _Number:
        """Cost of one question with its image, and of its answer. Or of many."""
        return (input_tokens * self.usd_input + answer_tokens * self.usd_output) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class UsdPrices:
    """What a deployment pays for. tokens: None for the list prices of known VLMs. per_gb: US
    dollars per 10^9 bytes sent; None: the transfer is not counted. Raises InputError."""

    tokens: TokenPrices | None = None
    per_gb: float | None = None

    def __post_init__(self) -> None:
        if self.per_gb is not None and not 0 <= self.per_gb < _LIMIT_USD:
            raise InputError(f"price {self.per_gb:g}; allowed: US dollars per GB, {_PRICE_RANGE}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Means of one image; None where they are unknown.

    tokens: visual tokens. token_usd: of one question, for its tokens, or those of its image alone,
    and those of the answer. usd_per_gb: of the transfer. encode_s, decode_s: of an image. answer_s:
    of one question.
    """

    size_bytes: float
    tokens: float | None = None
    token_usd: float | None = None
    usd_per_gb: float | None = None
    encode_s: float | None = None
    decode_s: float | None = None
    answer_s: float | None = None

    @property
    def usd(self) -> float | None:
        """Of the image sent with one question; of its transfer alone where tokens have no price."""
        if self.token_usd is None and self.usd_per_gb is None:
            return None
        return (self.token_usd or 0.0) + self.size_bytes * (self.usd_per_gb or 0.0) / 1e9

    def seconds(self, bandwidth_mbit: float) -> float | None:
        """From an image to an answer, at a bandwidth in Mbit/s; None if a time is unknown."""
        if self.encode_s is None or self.decode_s is None or self.answer_s is None:
            return None
        sent_s = 8 * self.size_bytes / (1e6 * bandwidth_mbit)
        return self.encode_s + sent_s + self.decode_s + self.answer_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What to save. bandwidth_mbit: for seconds. Raises InputError for an unknown unit."""

    unit: str = "bytes"
    bandwidth_mbit: float = BANDWIDTH_MBIT

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise InputError(f"save {one_line(self.unit, 60)!r}; allowed: {', '.join(UNITS)}")
        if not 0 < self.bandwidth_mbit <= _MOST_MBIT:
            raise InputError(
                f"bandwidth {self.bandwidth_mbit:g}; allowed: more than 0, up to {_MOST_MBIT:,.0f} "
                "Mbit/s"
            )

    def value(self, costs: Costs) -> float | None:
        """The cost in this unit, None if it is unknown."""
        if self.unit == "seconds":
            return costs.seconds(self.bandwidth_mbit)
        known = {"bytes": costs.size_bytes, "tokens": costs.tokens, "usd": costs.usd}
        return known[self.unit]

    def of(self, costs: Costs) -> float:
        """The cost in this unit, infinite if it is unknown."""
        value = self.value(costs)
        return float("inf") if value is None else value

    def require(self, costs: Iterable[Costs], run_dir: Path) -> None:
        """Raises InputError if no cost is known in this unit."""
        if all(self.value(one) is None for one in costs):
            why = why_unknown(self.unit, transfer=True)
            raise InputError(f"{run_dir}: cannot save {self.unit}: {why}")


def answers_of(cells: Iterable[CellData]) -> list[tuple[str, Record]]:
    """Task and record of every answer. Reads each cell once."""
    return [(cell.task, record) for cell in cells for record in cell.records]


def costs_of(
    cells: Sequence[CellData],
    answers: Sequence[tuple[str, Record]],
    timings: Mapping[str, Timing],
    prices: UsdPrices,
) -> Costs:
    """The costs of one level, from its cells of all tasks.

    answers: of `answers_of`, at least one.
    """
    timing = Timing()
    for cell in cells:
        timing.add(timings.get(cell.key, Timing()))
    # Different images of two tasks may have the same key.
    images = {(task, record.image): record for task, record in answers}
    tokens = [record.visual_tokens for record in images.values()]
    known = bool(tokens) and all(tokens)
    inputs = [record.input_tokens for _, record in answers]  # 0: the server did not count them
    price, token_usd = prices.tokens or listed_prices(cells[0]), None
    if (known or all(inputs)) and price is not None:
        visual = [record.visual_tokens for _, record in answers]
        input_tokens = float(np.mean(inputs if all(inputs) else visual))
        answer_tokens = float(np.mean([record.answer_tokens for _, record in answers]))
        token_usd = price.usd(input_tokens, answer_tokens)
    counted = price is None or token_usd is not None  # else the transfer alone would mislead
    return Costs(
        size_bytes=float(np.mean([record.payload_bytes for record in images.values()])),
        tokens=float(np.mean(tokens)) if known else None,
        token_usd=token_usd,
        usd_per_gb=prices.per_gb if counted else None,
        encode_s=timing.mean_encode_s,
        decode_s=timing.mean_decode_s,
        answer_s=timing.mean_answer_s,
    )


def rates_over(
    axis: Axis, sums: CellSums, cell: CellData, prices: TokenPrices | None
) -> Floats | None:
    """The place of each of `CellSums.images` on an axis, in the axis' unit; None if it is unknown.

    prices: None for the list prices of known VLMs.
    """
    if axis.name == "bpp":
        return sums.rates_bpp
    if axis.name == "bytes":
        return sums.payload_bytes / 1000
    if axis.name == "tokens":
        return sums.visual_tokens if sums.visual_tokens.all() else None
    price = prices or listed_prices(cell)
    asked = sums.input_tokens if sums.input_tokens.all() else sums.visual_tokens
    if price is None or not asked.all():
        return None
    return 1000 * price.usd(asked, sums.answer_tokens)


def listed_prices(cell: CellData) -> TokenPrices | None:
    """List prices of a VLM by its model's name; None if they are unknown."""
    model = cell.cell.vlm.options.get("model")
    listed = Prices.of(model, None, None) if isinstance(model, str) else None
    if listed is None or listed.usd_input is None or listed.usd_output is None:
        return None
    return TokenPrices(usd_input=listed.usd_input, usd_output=listed.usd_output)


def fastest(costs: Mapping[str, Costs], bandwidth_mbit: float) -> str:
    """The name of the setting with the shortest time to an answer; "" if no time is known."""
    seconds = {
        name: value
        for name, one in costs.items()
        if (value := one.seconds(bandwidth_mbit)) is not None
    }
    return min(seconds, key=lambda name: seconds[name]) if seconds else ""


def crossovers(costs: Mapping[str, Costs]) -> list[tuple[float, str, str]]:
    """Bandwidths in Mbit/s at which another setting becomes the fastest, rising, with the names of
    the one below and the one above.

    Each time is a + b / bandwidth with b = 8 * bytes; the fastest is the lower envelope of these
    lines in 1 / bandwidth, from the smallest b (slow networks) on.
    """
    lines = {
        name: (fixed, 8 * one.size_bytes / 1e6)
        for name, one in costs.items()
        if (fixed := one.seconds(float("inf"))) is not None
    }
    if not lines:
        return []
    current = min(lines, key=lambda name: (lines[name][1], lines[name][0]))
    found: list[tuple[float, str, str]] = []
    while True:
        fixed, slope = lines[current]
        later = [
            ((other_slope - slope) / (fixed - other_fixed), name)
            for name, (other_fixed, other_slope) in lines.items()
            if other_fixed < fixed and other_slope > slope
        ]
        if not later:
            return found
        bandwidth, name = min(later)
        found.append((bandwidth, current, name))
        current = name


def parse_bandwidths(text: str) -> list[float]:
    """`0.5,2,10` or `0.5,2,10 Mbit/s` as numbers. Raises InputError."""
    numbers = text.lower().removesuffix("mbit/s").split(",")
    try:
        values = [float(number) for number in numbers]
    except ValueError as error:
        raise InputError(
            f"bandwidth {one_line(text, 60)!r}; allowed: numbers in Mbit/s, as in 0.5,2,10"
        ) from error
    for value in values:
        Saving(bandwidth_mbit=value)
    return values
