"""Answering with a VLM on this machine: a family's backbone and the shared-prefix engine.

All families share this code: it makes batches that fit the memory, returns answers in the order of
the questions, and retries smaller batches after an out-of-memory error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch

from eyechart.core.errors import InputError, VLMError
from eyechart.core.memory import freed_memory_kept, is_out_of_memory
from eyechart.core.types import Answer, Decoding, Request
from eyechart.vlms.backbone import Backbone, PreparedImage
from eyechart.vlms.shared_prefix import Generated, PromptRow, decode

# Images of a few batches are prepared ahead, at most this many bytes, so that a batch can be formed
# of images with similar numbers of tokens.
_BATCHES_AHEAD = 4
AHEAD_BYTES = 1 << 30
_EXPECTED_ANSWER_TOKENS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _RequestPart:
    """Some or all questions of one request.

    choices: for each question its choices by first token; () for free answers.
    """

    request: int
    first_question: int
    condition: tuple[str, str]
    image: PreparedImage
    prefix: tuple[int, ...]
    questions: tuple[tuple[int, ...], ...]
    choices: tuple[Mapping[int, str], ...] = ()

    @property
    def cost_tokens(self) -> int:
        """Key slots that this job needs; memory and time are about proportional to it."""
        asked = sum(len(question) + _EXPECTED_ANSWER_TOKENS for question in self.questions)
        return len(self.prefix) + asked

    def halves(self) -> list[_RequestPart]:
        """The same questions in two jobs."""
        middle = len(self.questions) // 2
        return [
            replace(
                self,
                first_question=self.first_question + (part.start or 0),
                questions=self.questions[part],
                choices=self.choices[part],
            )
            for part in (slice(middle), slice(middle, None))
        ]


class Answerer:
    """Answers requests with one backbone.

    budget_tokens: largest number of key slots in a batch. set_conditions: called with the
    (codec, level) of each unit before the vision tower encodes it; None without an adapter.
    ahead_bytes: of images that are prepared but not encoded yet.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        budget_tokens: int,
        set_conditions: Callable[[Sequence[tuple[str, str]]], None] | None = None,
        ahead_bytes: int = AHEAD_BYTES,
    ) -> None:
        self.backbone = backbone
        self.budget_tokens = budget_tokens
        self._set_conditions, self._ahead_bytes = set_conditions, ahead_bytes
        self._known_choices: dict[tuple[str, ...], Mapping[int, str]] = {}

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One list of answers for each request, in order.

        Raises:
            InputError: choice-set decoding without choices, or with ones that it cannot tell apart.
            VLMError: a prompt and its image exceed the model's context; a single image or question
                exceeds the memory.
        """
        answers: list[list[Answer | None]] = [[None] * len(r.prompts) for r in requests]
        waiting = deque((i, request) for i, request in enumerate(requests) if request.prompts)
        with freed_memory_kept():
            while waiting:
                for job, generated in self._run(self._prepare(waiting, decoding), decoding):
                    for offset, one in enumerate(generated):
                        choices = job.choices[offset] if job.choices else None
                        said = self._said(one, choices)
                        answers[job.request][job.first_question + offset] = said
        return [[one for one in given if one is not None] for given in answers]

    def _prepare(
        self, waiting: deque[tuple[int, Request]], decoding: Decoding
    ) -> list[_RequestPart]:
        """Take requests from the front and make jobs of them, as many as fit the memory limit; at
        least one."""
        jobs: list[_RequestPart] = []
        held_bytes = cost_tokens = 0
        most_tokens = _BATCHES_AHEAD * self.budget_tokens
        while waiting and held_bytes < self._ahead_bytes and cost_tokens < most_tokens:
            index, request = waiting[0]
            try:
                job = self._job(index, request, decoding)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if not jobs:
                    height, width, _ = request.image.shape
                    raise VLMError(f"out of memory with one image of {width}x{height}") from error
                break  # it is prepared again after those before it are answered
            waiting.popleft()
            jobs.append(job)
            held_bytes += job.image.size_bytes
            cost_tokens += job.cost_tokens
        return jobs

    def _job(self, index: int, request: Request, decoding: Decoding) -> _RequestPart:
        image = self.backbone.prepare(request.image)
        texts = [self.backbone.text(prompt) for prompt in request.prompts]
        encoded = self.backbone.tokenizer(texts)["input_ids"]
        full = [self.backbone.expand(ids, image) for ids in encoded]
        longest = max(map(len, full)) + decoding.max_new_tokens
        if longest > self.backbone.context_tokens:
            raise VLMError(
                f"prompt with an image of {image.tokens} tokens and {decoding.max_new_tokens} "
                f"new ones makes {longest} tokens; the model takes {self.backbone.context_tokens} "
                "(lower max_pixels or the token limit)"
            )
        columns = zip(*full, strict=False)
        shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
        shared = min(shared, min(map(len, full)) - 1)  # a question has at least one token
        return _RequestPart(
            request=index,
            first_question=0,
            condition=(request.codec, request.level),
            image=image,
            prefix=tuple(full[0][:shared]),
            questions=tuple(tuple(ids[shared:]) for ids in full),
            choices=self._choices(request) if decoding.choice_set else (),
        )

    def _run(
        self, jobs: list[_RequestPart], decoding: Decoding
    ) -> Iterator[tuple[_RequestPart, list[Generated]]]:
        """Run all jobs in batches of similar lengths, smaller ones after out-of-memory errors."""
        waiting = sorted(jobs, key=lambda job: (len(job.prefix), job.cost_tokens))
        while waiting:
            batch = self._next_batch(waiting)
            results = self._try(batch, decoding)
            if results is None:  # done here, where no traceback keeps the tensors alive
                self._shrink(batch, waiting)
                continue
            del waiting[: len(batch)]
            yield from zip(batch, results, strict=True)

    def _try(
        self, batch: Sequence[_RequestPart], decoding: Decoding
    ) -> list[list[Generated]] | None:
        """The answers of a batch; None if it did not fit the memory."""
        try:
            return self._batch(batch, decoding)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _next_batch(self, waiting: list[_RequestPart]) -> list[_RequestPart]:
        """As many jobs from the front as fit the budget, padded to the longest; at least one."""
        while waiting[0].cost_tokens > self.budget_tokens and len(waiting[0].questions) > 1:
            waiting[:1] = waiting[0].halves()
        count, largest = 1, waiting[0].cost_tokens
        for job in waiting[1:]:
            largest = max(largest, job.cost_tokens)
            if largest * (count + 1) > self.budget_tokens:
                break
            count += 1
        return waiting[:count]

    def _shrink(self, batch: list[_RequestPart], waiting: list[_RequestPart]) -> None:
        """After an out-of-memory error: reduce the budget for this batch and all later ones."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        used = max(job.cost_tokens for job in batch) * len(batch)
        if len(batch) == 1 and len(batch[0].questions) == 1:
            raise VLMError(
                f"out of memory with one question on one image of {batch[0].image.tokens} "
                "tokens; lower max_pixels, or use a device with more memory"
            )
        self.budget_tokens = max(1, min(self.budget_tokens, used) // 2)
        if len(batch) == 1:
            waiting[:1] = batch[0].halves()

    def _batch(self, batch: Sequence[_RequestPart], decoding: Decoding) -> list[list[Generated]]:
        backbone = self.backbone
        with torch.inference_mode():
            if self._set_conditions is not None:
                conditions = [job.condition for job in batch for _ in range(job.image.units)]
                self._set_conditions(conditions)
            features = backbone.encode([job.image for job in batch])
            rows = []
            for job, feature in zip(batch, features, strict=True):
                prefix = backbone.embed(list(job.prefix), feature)
                positions, after = backbone.positions(list(job.prefix), job.image)
                rows.append(
                    PromptRow(
                        prefix_NW=prefix,
                        positions_AN=positions,
                        next_position=after,
                        questions=job.questions,
                        allowed=tuple(tuple(choices) for choices in job.choices),
                    )
                )
            return decode(
                backbone.text_model,
                backbone.head,
                rows,
                stop=backbone.stop,
                max_new_tokens=decoding.max_new_tokens,
            )

    def _choices(self, request: Request) -> tuple[Mapping[int, str], ...]:
        if len(request.choices) != len(request.prompts) or not all(request.choices):
            raise InputError("choice-set decoding needs the choices of every question")
        return tuple(map(self._by_first_token, request.choices))

    def _by_first_token(self, choices: tuple[str, ...]) -> Mapping[int, str]:
        """The token that begins a choice -> the choice.

        A choice may also begin with a space, which models generate after chat templates that end
        without one. That form is left out if its first token begins several choices.
        """
        if choices not in self._known_choices:
            bare, spaced = (self._first_tokens(choices, before) for before in ("", " "))
            if len(set(bare)) < len(choices):
                raise InputError(
                    f"choices {', '.join(map(repr, choices))} do not all begin with another token, "
                    "which choice-set decoding needs"
                )
            alone = [token for token in spaced if spaced.count(token) == 1 and token not in bare]
            with_space = {token: choices[spaced.index(token)] for token in alone}
            known = {**dict(zip(bare, choices, strict=True)), **with_space}
            self._known_choices[choices] = known
        return self._known_choices[choices]

    def _first_tokens(self, choices: Sequence[str], before: str) -> list[int]:
        encoded = self.backbone.tokenizer(
            [before + choice for choice in choices], add_special_tokens=False
        )["input_ids"]
        if not all(encoded):
            raise InputError("a choice has no tokens")
        return [ids[0] for ids in encoded]

    def _said(self, generated: Generated, choices: Mapping[int, str] | None) -> Answer:
        if choices is not None:
            return Answer(text=choices[generated.tokens[0]], tokens=1)
        text = self.backbone.tokenizer.decode(generated.tokens, skip_special_tokens=True)
        return Answer(text=text, tokens=len(generated.tokens), truncated=generated.truncated)
