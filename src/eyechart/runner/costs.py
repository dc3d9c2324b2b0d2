"""What a VLM that is paid for costs: about, before it is asked, and as it was billed, after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from eyechart.core.attempt import Failed, attempt
from eyechart.core.hooks import Billed
from eyechart.core.types import VLM, Request
from eyechart.runner.work import TaskWork

_SAMPLED_IMAGES = 8  # of each task; its other images are taken to cost the same a question


@dataclass(frozen=True, slots=True, kw_only=True)
class UsdRange:
    """US dollars, from answers of one token to answers as long as a task allows."""

    least: float
    most: float

    def __str__(self) -> str:
        return f"{dollars(self.least)} to {dollars(self.most)}"


def usd_before(vlm: VLM, left: Iterable[tuple[TaskWork, int]]) -> UsdRange | None:
    """What so many questions of each task will cost. None: the VLM is not paid for, its prices are
    not known, or a task has no readable image."""
    if not isinstance(vlm, Billed):
        return None
    least = most = 0.0
    for part, questions in left:
        sample = _sample(part, vlm.family)
        short = vlm.estimate_usd(sample, replace(part.decoding, max_new_tokens=1))
        full = vlm.estimate_usd(sample, part.decoding)
        asked = sum(len(request.prompts) for request in sample)
        if short is None or full is None or not asked:
            return None
        least += short * questions / asked
        most += full * questions / asked
    return UsdRange(least=least, most=most)


def _sample(part: TaskWork, family: str) -> list[Request]:
    sample = []
    for image, questions in part.images[:_SAMPLED_IMAGES]:
        rgb8 = attempt("load", partial(part.task.image, image))
        if not isinstance(rgb8, Failed):
            prompts = tuple(part.task.prompt(question, family) for question in questions)
            sample.append(Request(image=rgb8, prompts=prompts))
    return sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one VLM's turn has cost, by the server's own count."""

    vlm: str
    input_tokens: int
    output_tokens: int
    usd: float | None

    def __str__(self) -> str:
        tokens = f"{self.vlm}: {self.input_tokens:,} tokens in, {self.output_tokens:,} out"
        return tokens if self.usd is None else f"{tokens}, {dollars(self.usd)}"


def bill_of(vlm: VLM, label: str) -> Bill | None:
    """What it has spent since it was opened; None: nothing, or it is not paid for."""
    if not isinstance(vlm, Billed) or not (vlm.spent.input_tokens or vlm.spent.output_tokens):
        return None
    return Bill(
        vlm=label,
        input_tokens=vlm.spent.input_tokens,
        output_tokens=vlm.spent.output_tokens,
        usd=vlm.spent_usd,
    )


def dollars(usd: float) -> str:
    """Cents from a cent up, two digits below."""
    return f"${usd:,.2f}" if usd >= 0.01 else f"${usd:.2g}"
