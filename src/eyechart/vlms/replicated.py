"""One copy of a VLM on each device of this machine or a cluster, each in a separate process.

    batches -> queue -> worker on cuda:0 -> answers
                     -> worker on cuda:1 -> answers

Processes instead of threads, because the Python code between two kernels would make threads wait
for each other. For the run it is one VLM: a cell's key does not depend on the number of devices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from copy import copy
from functools import partial
from typing import TypeAlias

from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import InputError, VLMError, WorkerDiedError
from eyechart.core.hooks import Checkable, CountsTokens, for_task, parameters_of, questions_at_once
from eyechart.core.pool import WorkerPool
from eyechart.core.types import VLM, Answer, Decoding, Json, Request
from eyechart.core.workers import DEVICE, ClusterWorkers, OpenWorkers, worker_device
from eyechart.vlms.adapter_identity import require_version

Open: TypeAlias = Callable[[str], VLM]  # device -> VLM; pickled for the workers
Answers: TypeAlias = list[list[Answer]]
VisualTokens: TypeAlias = dict[tuple[str, int, int], int]  # task, height, width -> visual tokens
_PIXELS_PER_TOKEN = 28 * 28
_TOKENS_PER_QUESTION = 32


class ReplicatedVLM:
    """Answers with as many copies of a VLM as there are devices; workers start at the first answer.

    open_on: opens the VLM on a device without loading weights. open_workers: opens one worker for
    each device.
    """

    def __init__(
        self, open_on: Open, devices: Sequence[str], open_workers: OpenWorkers = WorkerPool
    ) -> None:
        self._open_on = open_on
        self._local = open_on(devices[0])  # used only for its identity
        self._open_workers = open_workers
        self._executor = open_workers(0, devices)
        self._task = ""
        self._tokens: VisualTokens = {}  # also of the copies of this object for other tasks

    @property
    def name(self) -> str:
        """Name of the VLM."""
        return self._local.name

    @property
    def version(self) -> str:
        return self._local.version

    @property
    def family(self) -> str:
        return self._local.family

    @property
    def options(self) -> Mapping[str, Json]:
        return self._local.options

    @property
    def parameters(self) -> int | None:
        """Number of its weights; None if it is not known."""
        return parameters_of(self._local)

    @property
    def copies(self) -> int:
        """How many batches are answered at a time."""
        return self._executor.workers(DEVICE)

    @property
    def questions_at_once(self) -> int:
        """Questions of a batch: each goes to one copy."""
        return questions_at_once(self._local)

    @property
    def reads_remote_arrays(self) -> bool:
        """Whether its copies and workers for codecs are on one cluster."""
        return isinstance(self._open_workers, ClusterWorkers)

    def check(self) -> None:
        """What the VLM itself checks, here or on every node of a cluster. Raises InputError."""
        if isinstance(self._open_workers, ClusterWorkers):
            self._open_workers.on_every_node(DEVICE, _check, self._open_on, self.version)
        elif isinstance(self._local, Checkable):
            self._local.check()

    def for_task(self, task: str) -> ReplicatedVLM:
        """The same workers, with the VLM's settings for a task."""
        local = for_task(self._local, task)
        if local is self._local:
            return self
        other = copy(self)
        other._local, other._task = local, task
        return other

    def submit(self, requests: Sequence[Request], decoding: Decoding) -> Future[Answers]:
        """Let the next free copy answer a batch. The future raises what `answer` raises."""
        given: Future[Answers] = Future()
        expected = self.version, self._local.options.get("adapter")
        asked = self._executor.submit(
            DEVICE, _answer, self._open_on, expected, self._task, list(requests), decoding
        )
        asked.add_done_callback(lambda done: self._settle(done, given))
        return given

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> Answers:
        """One list of answers for each request, in order; the requests are split among the copies.

        Raises:
            VLMError: a worker died (it is started again at the next call), or the VLM's error.
            InputError: the VLM's error.
        """
        shares = [share for share in split(list(map(cost_tokens, requests)), self.copies) if share]
        futures = [self.submit([requests[i] for i in share], decoding) for share in shares]
        wait(futures)  # no copy is still busy when an error of another one is raised
        answers: Answers = [[] for _ in requests]
        for share, future in zip(shares, futures, strict=True):
            for index, given in zip(share, future.result(), strict=True):
                answers[index] = given
        return answers

    def visual_tokens(self, height_px: int, width_px: int) -> int:
        """Tokens of an image of a size that was asked about; 0 if the VLM does not count them.

        Only the copies load what counts, so that the number comes with their answers.
        """
        return self._tokens.get((self._task, height_px, width_px), 0)

    def close(self) -> None:
        """End the workers. Also called when the VLM is garbage collected."""
        self._executor.close()

    def _settle(self, done: Future[tuple[Answers, VisualTokens]], given: Future[Answers]) -> None:
        error = done.exception()
        if error is None:
            answers, tokens = done.result()
            self._tokens.update(tokens)
            given.set_result(answers)
            return
        if isinstance(error, WorkerDiedError):
            died = VLMError(f"{self.name}: the worker process died", retryable=True)
            died.__cause__ = error
            error = died
        given.set_exception(error)


def cost_tokens(request: Request) -> int:
    """Approximate tokens of an image and its questions, to split the work evenly."""
    height_px, width_px = request.image.shape[:2]
    pixels: int = height_px * width_px
    return pixels // _PIXELS_PER_TOKEN + _TOKENS_PER_QUESTION * len(request.prompts)


def split(costs: Sequence[int], parts: int) -> list[list[int]]:
    """Indices in `parts` shares of similar cost, each share in ascending order.

    The most expensive item is assigned first, each to the share with the lowest cost.
    """
    shares: list[list[int]] = [[] for _ in range(parts)]
    loads = [0] * parts
    for index in sorted(range(len(costs)), key=lambda i: -costs[i]):
        least = loads.index(min(loads))
        shares[least].append(index)
        loads[least] += costs[index]
    return [sorted(share) for share in shares]


# In a worker: the VLM and its settings for each task, kept between calls.
_vlm: VLM | None = None
_by_task: dict[str, VLM] = {}
_counted: VisualTokens = {}


def _check(open_on: Open, version: str) -> None:
    vlm = open_on("auto")
    _require_version(vlm, version)
    if isinstance(vlm, Checkable):
        vlm.check()


def _require_version(vlm: VLM, version: str) -> None:
    """Weights at a URL or of the hub may be others here. Raises InputError."""
    if vlm.version != version:
        raise InputError(
            f"VLM {vlm.name}: its version is {vlm.version} here; answers are stored under "
            f"{version}; allowed are the same weights on all machines"
        )


def _answer(
    open_on: Open,
    expected: tuple[str, Json],
    task: str,
    requests: list[Request],
    decoding: Decoding,
) -> tuple[Answers, VisualTokens]:
    global _vlm
    if _vlm is None:
        opened = open_on(worker_device())
        version, adapter = expected
        _require_version(opened, version)
        require_version(opened.options.get("adapter"), adapter)
        _vlm = opened
    if task not in _by_task:
        _by_task[task] = for_task(_vlm, task) if task else _vlm
    vlm = _by_task[task]
    answers = vlm.answer(requests, decoding)
    return answers, _count(vlm, task, requests)


def _count(vlm: VLM, task: str, requests: Sequence[Request]) -> VisualTokens:
    """The visual tokens of all sizes of images, without those that cannot be counted."""
    if not isinstance(vlm, CountsTokens):
        return {}
    keys = {(task, *request.image.shape[:2]) for request in requests}
    for key in keys - _counted.keys():
        found = attempt("answer", partial(vlm.visual_tokens, *key[1:]))
        _counted[key] = 0 if isinstance(found, Failed) else found
    return {key: _counted[key] for key in keys}
