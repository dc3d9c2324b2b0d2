"""Optional protocols of VLMs, and what holds for VLMs without them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, runtime_checkable

from eyechart.core.hooks.run_options import class_of
from eyechart.core.types import VLM, Answer, Decoding, Request

QUESTIONS_AT_ONCE = 32  # enough to keep a CPU busy; a kill of the run loses only these


@runtime_checkable
class Checkable(Protocol):
    """A VLM that can check, without a question, whether it will be able to answer."""

    def check(self) -> None:
        """Called before a run directory is made. Raises InputError or UnusableVLMError."""
        ...


@runtime_checkable
class TaskDependent(Protocol):
    """A VLM whose settings depend on the task, for example the largest image size."""

    def for_task(self, task: str) -> VLM:
        """The VLM with the settings for the task of that name, sharing the same weights."""
        ...


@runtime_checkable
class SizesBatches(Protocol):
    """A VLM that sets the number of questions in a batch."""

    @property
    def questions_at_once(self) -> int: ...


@runtime_checkable
class Replicated(Protocol):
    """A VLM of several copies that answer at the same time, one batch each."""

    @property
    def copies(self) -> int: ...

    def submit(self, requests: Sequence[Request], decoding: Decoding) -> Future[list[list[Answer]]]:
        """Let a copy answer a batch; the future raises what `VLM.answer` raises."""
        ...


@runtime_checkable
class ReadsRemoteArrays(Protocol):
    """A VLM whose copies may be on a cluster. If they are, images of its requests may be a
    `core.remote_arrays.RemoteArray` or `ArrayToMake`; the future raises ArrayLostError if one is
    lost."""

    @property
    def reads_remote_arrays(self) -> bool: ...


class Tokens(Protocol):
    """Tokens of questions with their images, and tokens of answers."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...


@runtime_checkable
class Billed(Protocol):
    """A VLM whose answers cost money. Costs are in US dollars; None if the prices are unknown."""

    @property
    def spent(self) -> Tokens:
        """As counted by the server, for all answers since the VLM was opened."""
        ...

    @property
    def spent_usd(self) -> float | None: ...

    def estimate_usd(self, requests: Sequence[Request], decoding: Decoding) -> float | None:
        """An estimate of what these requests will cost."""
        ...


@runtime_checkable
class EstimatesTokens(Protocol):
    """A VLM that can tell before it is asked about how many tokens that takes."""

    def estimate_tokens(self, requests: Sequence[Request], decoding: Decoding) -> Tokens:
        """Tokens of these questions with their images, and of the longest allowed answers."""
        ...


@runtime_checkable
class HasPrices(Protocol):
    """A VLM that knows the prices of its tokens."""

    @property
    def usd_per_million(self) -> tuple[float, float] | None:
        """US dollars per million tokens, of questions and of answers; None if unknown."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A VLM that knows how many tokens an image of a size takes."""

    def visual_tokens(self, height_px: int, width_px: int) -> int:
        """Tokens of the image; 0 if they are unknown."""
        ...


@runtime_checkable
class Remote(Protocol):
    """A VLM that may run on another machine, behind a server; declared on the class.

    It ignores `--device`, and no adapter can be trained for it.
    """

    @property
    def remote(self) -> bool: ...


@runtime_checkable
class Served(Protocol):
    """A VLM behind a server, whose address is noted beside the answers. It is in no cell's key."""

    @property
    def address(self) -> str:
        """The server's URL, without user, password and query."""
        ...


@runtime_checkable
class HasParameters(Protocol):
    """A VLM that knows its size, for the scaling figures. It is in no cell's key."""

    @property
    def parameters(self) -> int | None:
        """Number of weights; None if it cannot be told before they are loaded."""
        ...


def for_task(vlm: VLM, task: str) -> VLM:
    """The VLM with its settings for a task."""
    return vlm.for_task(task) if isinstance(vlm, TaskDependent) else vlm


def questions_at_once(vlm: VLM) -> int:
    """How many questions to hand to a VLM in one call."""
    return vlm.questions_at_once if isinstance(vlm, SizesBatches) else QUESTIONS_AT_ONCE


def batches_at_once(vlm: VLM) -> int:
    """How many batches to have in flight, so that a slow batch leaves no other copy idle."""
    return 2 * vlm.copies if isinstance(vlm, Replicated) else 1


def reads_remote_arrays(vlm: VLM) -> bool:
    """Whether images of requests may stay on the nodes that made them."""
    return isinstance(vlm, ReadsRemoteArrays) and vlm.reads_remote_arrays


def parameters_of(vlm: object) -> int | None:
    """Number of weights of a VLM; None if it is unknown."""
    return vlm.parameters if isinstance(vlm, HasParameters) else None


def is_remote(factory: object) -> bool:
    """Whether a VLM, or the class of one, declares that it may run on another machine."""
    factory = class_of(factory)
    return isinstance(factory, Remote) and factory.remote
