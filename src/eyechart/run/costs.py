"""What a VLM that is paid for costs: about, before it is asked, and as it was billed, after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from eyechart.core.types import VLM, Billed, Request
from eyechart.run.attempt import Failed, attempt
from eyechart.run.work import TaskWork

_SAMPLED_IMAGES = 8  # of each task; its other pictures are taken to cost the same a question


def usd_before(vlm: VLM, left: Iterable[tuple[TaskWork, int]]) -> float | None:
    """US dollars for so many questions of each task, every answer at full length. None: the VLM
    is not paid for, its prices are not known, or a task has no readable picture."""
    if not isinstance(vlm, Billed):
        return None
    total = 0.0
    for part, questions in left:
        sample = _sample(part, vlm.family)
        usd = vlm.estimate_usd(sample, part.decoding)
        asked = sum(len(request.prompts) for request in sample)
        if usd is None or not asked:
            return None
        total += usd * questions / asked
    return total


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
