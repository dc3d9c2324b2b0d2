"""One copy of a VLM on each device of this machine, each in a process of its own.

    requests -> shares of about equal cost -> worker on cuda:0 -\
                                           -> worker on cuda:1 --> answers, in the old order

Processes, because the engine's Python between two kernels would make threads wait for each other.
To the run it is one VLM: neither a cell nor its key knows how many devices answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from copy import copy
from typing import TypeAlias

from eyechart.core.children import Children
from eyechart.core.errors import VLMError
from eyechart.core.hooks import for_task, questions_at_once
from eyechart.core.types import VLM, Answer, Decoding, Json, Request

Open: TypeAlias = Callable[[str], VLM]  # device -> VLM; it travels to the workers by pickle
_PIXELS_A_TOKEN = 28 * 28
_TOKENS_A_QUESTION = 32


class SpreadVLM:
    """Answers with as many copies of a VLM as there are devices; workers start at the first answer.

    open_on: opens the VLM on a device without loading weights.
    """

    def __init__(self, open_on: Open, devices: Sequence[str]) -> None:
        self._here = open_on(devices[0])  # only asked who it is
        self._workers = [_Worker(open_on, device) for device in devices]
        self._task = ""

    @property
    def name(self) -> str:
        """The VLM's own, as are the others."""
        return self._here.name

    @property
    def version(self) -> str:
        return self._here.version

    @property
    def family(self) -> str:
        return self._here.family

    @property
    def options(self) -> Mapping[str, Json]:
        return self._here.options

    @property
    def questions_at_once(self) -> int:
        """As many for every copy as one wants."""
        return questions_at_once(self._here) * len(self._workers)

    def for_task(self, task: str) -> SpreadVLM:
        """The same workers, with the VLM as it is set up for a task (see `core.types.for_task`)."""
        here = for_task(self._here, task)
        if here is self._here:
            return self
        other = copy(self)
        other._here, other._task = here, task
        return other

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One list of answers a request, in order.

        Raises:
            VLMError: a worker died (it is started anew at the next call), or what the VLM raises.
            InputError: what the VLM raises.
        """
        shares = split([cost_tokens(request) for request in requests], len(self._workers))
        busy = [
            (worker, share, worker.submit(self._task, [requests[i] for i in share], decoding))
            for worker, share in zip(self._workers, shares, strict=True)
            if share
        ]
        wait([future for _, _, future in busy])  # no worker is left behind when another has failed
        answers: list[list[Answer]] = [[] for _ in requests]
        for worker, share, future in busy:
            try:
                for index, given in zip(share, future.result(), strict=True):
                    answers[index] = given
            except BrokenProcessPool as error:
                worker.close()
                raise VLMError(
                    f"{self.name} on {worker.device}: the worker process died", retryable=True
                ) from error
        return answers

    def close(self) -> None:
        """End the workers; the next answer starts new ones. Happens by itself when forgotten."""
        for worker in self._workers:
            worker.close()


def cost_tokens(request: Request) -> int:
    """About the tokens of a picture and its questions: enough to share work out evenly."""
    height_px, width_px = request.image.shape[:2]
    pixels: int = height_px * width_px
    return pixels // _PIXELS_A_TOKEN + _TOKENS_A_QUESTION * len(request.prompts)


def split(costs: Sequence[int], parts: int) -> list[list[int]]:
    """Indices in `parts` shares, each in order: the dearest first, to whoever has least to do."""
    shares: list[list[int]] = [[] for _ in range(parts)]
    loads = [0] * parts
    for index in sorted(range(len(costs)), key=lambda i: -costs[i]):
        least = loads.index(min(loads))
        shares[least].append(index)
        loads[least] += costs[index]
    return [sorted(share) for share in shares]


class _Worker:
    """A process with the VLM on one device; started when it is first needed."""

    def __init__(self, open_on: Open, device: str) -> None:
        self.device = device
        self._open_on = open_on
        self._children: Children | None = None

    def submit(
        self, task: str, requests: list[Request], decoding: Decoding
    ) -> Future[list[list[Answer]]]:
        if self._children is None:
            self._children = Children(1, _prepare, self._open_on, self.device)
        try:
            return self._children.submit(_answer, task, requests, decoding)
        except BrokenProcessPool as error:  # it died between two calls: told with its result
            failed: Future[list[list[Answer]]] = Future()
            failed.set_exception(error)
            return failed

    def close(self) -> None:
        if self._children is not None:
            self._children.close()
        self._children = None


# The worker's VLM, and as it is set up for a task: they keep their weights between calls.
_vlm: VLM | None = None
_by_task: dict[str, VLM] = {}


def _prepare(open_on: Open, device: str) -> None:
    global _vlm
    _vlm = open_on(device)


def _answer(task: str, requests: list[Request], decoding: Decoding) -> list[list[Answer]]:
    assert _vlm is not None
    if task not in _by_task:
        _by_task[task] = for_task(_vlm, task) if task else _vlm
    return _by_task[task].answer(requests, decoding)
