"""Cost of a paid VLM: an estimate before a run, and the server's count after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import InputError
from eyechart.core.hooks import Billed, EstimatesTokens, is_remote
from eyechart.core.types import VLM, Decoding, Question, Request, Task
from eyechart.core.units import counted
from eyechart.runner.work import ModelConfig, TaskWork, Work, questions_left
from eyechart.store import Store
from eyechart.vlms.token_cost import Prices

_SAMPLED_IMAGES = 8  # of each task; other images are assumed to cost the same per question


@dataclass(frozen=True, slots=True, kw_only=True)
class UsdRange:
    """Range in US dollars, from answers of one token to answers of the longest allowed length."""

    least: float
    most: float

    def __str__(self) -> str:
        least, most = dollars(self.least), dollars(self.most)
        return least if least == most else f"{least} to {most}"


def words_before(
    work: Work, store: Store, *, retry_failed: bool, prices: Prices | None = None
) -> str:
    """`asking toy 600 questions (about $0.26 to $0.48), mini 300 questions`: what a run will ask;
    "" if nothing is left. prices: as for `usd_before`. Writes nothing. Raises StoreError."""
    left = _left(work, store, retry_failed=retry_failed)
    said = [_asked_of(model, its, prices) for model, its in left]
    return f"asking {', '.join(said)}" if said else ""


def refuse_many(
    work: Work,
    store: Store,
    most: int,
    *,
    retry_failed: bool,
    prices: Prices | None = None,
) -> None:
    """Refuse to ask VLMs behind servers, which may bill them, more than `most` questions in all.

    Raises:
        InputError: says how many there would be, and about what they cost. StoreError.
    """
    served = replace(work, models=tuple(one for one in work.models if _is_served(one)))
    left = _left(served, store, retry_failed=retry_failed)
    if sum(questions for _, its in left for _, questions in its) > most:
        said = ", ".join(_asked_of(model, its, prices) for model, its in left)
        raise InputError(f"would ask {said}; more than {most:,} questions to a server need --yes")


def _is_served(model: ModelConfig) -> bool:
    found = attempt("answer", model.open)  # an error is that of the run, which names it
    return not isinstance(found, Failed) and is_remote(found)


def _left(
    work: Work, store: Store, *, retry_failed: bool
) -> list[tuple[ModelConfig, list[tuple[TaskWork, int]]]]:
    """VLMs with questions that are not settled, and how many of each task."""
    every = [
        (model, questions_left(work, model, store, retry_failed=retry_failed))
        for model in work.models
    ]
    return [(model, its) for model, its in every if any(questions for _, questions in its)]


def _asked_of(
    model: ModelConfig, left: Sequence[tuple[TaskWork, int]], prices: Prices | None
) -> str:
    """`toy 600 questions (about $0.26 to $0.48)`."""
    usd = attempt("answer", partial(_usd_of, model, left, prices))
    known = usd is not None and not isinstance(usd, Failed)  # else the run is still useful
    cost = f" (about {usd})" if known else ""
    return f"{model.label} {counted(sum(count for _, count in left), 'question')}{cost}"


def _usd_of(
    model: ModelConfig, left: Iterable[tuple[TaskWork, int]], prices: Prices | None
) -> UsdRange | None:
    return usd_before(model.open(), left, prices)


def usd_before(
    vlm: VLM, left: Iterable[tuple[TaskWork, int]], prices: Prices | None = None
) -> UsdRange | None:
    """Cost of a number of questions of each task. None: the VLM is not paid, its prices are
    unknown, or a task has no readable image.

    prices: instead of the VLM's own.
    """
    if not isinstance(vlm, Billed):
        return None
    least = most = 0.0
    for part, questions in left:
        if not questions:
            continue
        sample = _sample(part, vlm.family)
        short = _usd(vlm, sample, replace(part.decoding, max_new_tokens=1), prices)
        full = _usd(vlm, sample, part.decoding, prices)
        asked = sum(len(request.prompts) for request in sample)
        if short is None or full is None or not asked:
            return None
        least += short * questions / asked
        most += full * questions / asked
    return UsdRange(least=least, most=most)


def _usd(
    vlm: Billed, requests: Sequence[Request], decoding: Decoding, prices: Prices | None
) -> float | None:
    if prices is not None and isinstance(vlm, EstimatesTokens):
        return prices.usd(vlm.estimate_tokens(requests, decoding))
    return vlm.estimate_usd(requests, decoding)


def _sample(part: TaskWork, family: str) -> list[Request]:
    sample = []
    for image, questions in part.images[:_SAMPLED_IMAGES]:
        request = attempt("load", partial(_request, part.task, image, questions, family))
        if not isinstance(request, Failed):
            sample.append(request)
    return sample


def _request(task: Task, image: str, questions: Sequence[Question], family: str) -> Request:
    prompts = tuple(task.prompt(question, family) for question in questions)
    return Request(image=task.image(image), prompts=prompts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of one VLM in a run, by the server's count."""

    vlm: str
    input_tokens: int
    output_tokens: int
    usd: float | None

    def __str__(self) -> str:
        tokens = f"{self.vlm}: {self.input_tokens:,} tokens in, {self.output_tokens:,} out"
        return tokens if self.usd is None else f"{tokens}, {dollars(self.usd)}"


def bill_of(vlm: VLM, label: str) -> Cost | None:
    """Cost of a VLM since it was opened; None if there was none or the VLM is not paid."""
    if not isinstance(vlm, Billed) or not (vlm.spent.input_tokens or vlm.spent.output_tokens):
        return None
    return Cost(
        vlm=label,
        input_tokens=vlm.spent.input_tokens,
        output_tokens=vlm.spent.output_tokens,
        usd=vlm.spent_usd,
    )


def dollars(usd: float) -> str:
    """An amount as text: with cents, or below one cent with two significant digits."""
    return f"${usd:,.2f}" if usd >= 0.01 else f"${usd:.2g}"
