"""A pool of workers on other machines: its calls, and what happens when a worker ends.

    submit -> queue -> thread of a free worker -> `Actors` -> worker on some node
                                               <- result, or the end of the worker

What starts the workers and carries calls to them is behind the protocol `Actors`
(`core.ray_workers` for Ray). If a worker ends, its calls go to other ones, and a new one is
started. A worker that does not answer in time is ended, and its node gets no new one. Calls and
results are pickled here, so that errors arrive as from a local worker; large arrays travel apart
from them (`core.remote_arrays`).
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np

from eyechart.core.errors import ArrayLostError, WorkerDiedError, one_line
from eyechart.core.remote_arrays import dump_call, load_reply
from eyechart.core.workers import CPU, DEVICE, Resources

_P = ParamSpec("_P")
_T = TypeVar("_T")
_TRIES = 4  # a call that ended so many workers ends no more; as often an actor may fail to start
_CLOSED = "the workers are closed"


class Actors(Protocol):
    """Starts workers that make one call at a time, and talks to them. May raise any
    exception; a worker whose call or start raised is not used again."""

    def create(self, resources: Resources, avoid: Collection[str]) -> Any:
        """Start a worker, without waiting for it. avoid: addresses of nodes that do not answer."""
        ...

    def ready(self, actor: Any) -> str:
        """Wait until it has started; -> the address of its node."""
        ...

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Let workers read an array of this process; -> its reference."""
        ...

    def call(
        self, actor: Any, message: bytes, references: Sequence[Any], most_kept: int
    ) -> tuple[bytes, Sequence[Any]]:
        """Let it make a call, `core.remote_arrays.answer_remote_call`, with the arrays of these
        references; -> the reply, and the references of the arrays that it keeps. Raises
        TimeoutError: there is no reply after a long time."""
        ...

    def is_lost(self, error: Exception) -> bool:
        """Whether a call was not made because one of its arrays is lost."""
        ...

    def end(self, actor: Any) -> None:
        """End it at once."""
        ...

    def was_ended(self, error: Exception) -> bool:
        """Whether the worker was killed or its node ended, so that it did not fail itself."""
        ...

    def connected(self) -> bool:
        """Whether workers can still be started."""
        ...


@dataclass(slots=True, kw_only=True)
class _ActorCall:
    message: bytes
    references: Sequence[Any]
    most_kept: int
    future: Future[Any]
    tries: int = 0
    hung_on: str | None = None  # address of the node that did not answer it


class HungCalls:
    """Calls without an answer by address of a node. Pools of one cluster share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def note(self, node: str, earlier: str | None) -> None:
        """A call had no answer on a node. If another did not answer it `earlier`, the call is at
        fault, and that node gets its count back."""
        with self._lock:
            if earlier in (None, node):
                self._counts[node] += 1
            else:
                self._counts -= Counter([earlier])  # without nodes that have no count left

    def counts(self) -> Counter[str]:
        """Number of such calls by address, of nodes that have any."""
        with self._lock:
            return Counter(self._counts)


class ActorPool:
    """A number of workers of each kind, each with a thread of this process, and the waiting calls.

    counts: workers for calls with these needs. They start at the first call of their kind.
    """

    def __init__(
        self, actors: Actors, counts: Mapping[Resources, int], hung: HungCalls | None = None
    ) -> None:
        self._actors, self.counts = actors, counts
        self._hung = HungCalls() if hung is None else hung
        self._waiting: dict[Resources, deque[_ActorCall]] = {CPU: deque(), DEVICE: deque()}
        self._changed = threading.Condition()
        self._closed = False
        self._threads: dict[Resources, int] = {}  # that have, or can get, an actor
        self._refused: dict[Resources, str] = {}  # why no call is made any more
        self._started: set[Any] = set()
        self.nodes: dict[Any, str] = {}  # actor that is ready -> address of its node
        self.answered: Counter[str] = Counter()  # by address; also of actors that have ended

    def submit_keeping(
        self,
        most: int,
        resources: Resources,
        call: Callable[_P, _T],
        /,
        *args: _P.args,
        **named: _P.kwargs,
    ) -> Future[_T]:
        """Let the next free worker make a call, and keep up to `most` large arrays of its result
        (`core.workers.KeepsArrays`). Raises pickle's error for arguments that cannot be pickled."""
        future: Future[_T] = Future()
        try:
            message, references = dump_call((call, args, named), self._put)
        except WorkerDiedError as error:
            future.set_exception(error)
            return future
        waiting = _ActorCall(message=message, references=references, most_kept=most, future=future)
        with self._changed:
            if resources in self._refused:
                future.set_exception(WorkerDiedError(self._refused[resources]))
                return future
            self._waiting[resources].append(waiting)
            self._changed.notify_all()
            if resources not in self._threads:
                self._threads[resources] = self.counts[resources]
                for _ in range(self.counts[resources]):
                    threading.Thread(target=self._serve, args=(resources,), daemon=True).start()
        return future

    def _put(self, array: np.ndarray[Any, Any]) -> Any:
        try:
            return self._actors.put(array)
        except Exception as error:
            raise WorkerDiedError(f"an array cannot be sent ({last_line(error)})") from error

    def close(self) -> None:
        """End the workers at once."""
        with self._changed:
            self._closed = True
            self._refused = dict.fromkeys(self.counts, _CLOSED)
            left = [call for calls in self._waiting.values() for call in calls]
            actors = list(self._started)
            self._changed.notify_all()
        for call in left:
            _settle(call, None, WorkerDiedError(_CLOSED))
        for actor in actors:
            with suppress(Exception):  # the cluster may be gone
                self._actors.end(actor)

    def _serve(self, resources: Resources) -> None:
        """A thread: keeps one actor and hands it one call at a time."""
        actor = None
        while not self._closed:
            if actor is None and (actor := self._start_actor(resources)) is None:
                return
            call = self._next(resources)
            if call is None:
                return
            node = self.nodes.get(actor, "")
            problem = self._make(actor, call)
            if problem is not None:
                self._end(actor)
                actor = None
                self._again(resources, call, node, problem)
            del call  # a waiting thread must not keep images in memory

    def _start_actor(self, resources: Resources) -> Any:
        """A new actor, as soon as there is room for it; None if none can be started, or the
        pool is closed."""
        failures = 0
        while not self._closed:
            actor = None
            try:
                actor = self._actors.create(resources, list(self._hung.counts()))
                with self._changed:
                    self._started.add(actor)
                if not self._closed:  # else `close` may not have seen this actor
                    # Without a limit: it may wait for room, and no call waits for this worker.
                    self.nodes[actor] = self._actors.ready(actor)
                    return actor
                self._end(actor)
            except Exception as error:  # noqa: BLE001 - whatever it raises, no future stays open
                self._end(actor)
                failures += not self._actors.was_ended(error)
                if failures >= _TRIES or not self._actors.connected():
                    self._give_up(resources, last_line(error))
                    return None
        return None

    def _next(self, resources: Resources) -> _ActorCall | None:
        with self._changed:
            while not self._closed and not self._waiting[resources]:
                self._changed.wait()
            return None if self._closed else self._waiting[resources].popleft()

    def _make(self, actor: Any, call: _ActorCall) -> Exception | None:
        """Let an actor make a call; -> why there is no reply, None if there is one.

        What the call itself raises is in the reply. Everything else means that the actor cannot be
        used again: it has ended or was killed for lack of memory, or its reply is lost.
        """
        try:
            reply, kept = self._actors.call(actor, call.message, call.references, call.most_kept)
        except Exception as error:  # noqa: BLE001 - whatever it raises, no future stays open
            if call.references and self._actors.is_lost(error):
                _settle(call, None, ArrayLostError("an array is lost, because its node ended"))
                return None
            return error
        try:
            ok, value = load_reply(reply, kept)
        except Exception as error:  # noqa: BLE001 - a class that this process cannot build
            _settle(call, None, WorkerDiedError(f"the result cannot be read: {one_line(error)}"))
            return None
        with self._changed:
            self.answered[self.nodes.get(actor, "")] += 1
        _settle(call, value if ok else None, None if ok else value)
        return None

    def _again(self, resources: Resources, call: _ActorCall, node: str, problem: Exception) -> None:
        """Let another worker make a call, unless it has ended too many, or two did not answer.

        A call without an answer counts as a fault of its node; if another node does not answer it
        either, as a fault of the call.
        """
        call.tries += 1
        why = ""
        if call.tries >= _TRIES:
            why = f"the worker process died ({last_line(problem)})"
        if isinstance(problem, TimeoutError):
            self._hung.note(node, call.hung_on)
            if call.hung_on is not None:
                why = f"two workers gave {last_line(problem)}"
            call.hung_on = node
        if why:
            _settle(call, None, WorkerDiedError(why))
            return
        with self._changed:
            if not self._closed:
                self._waiting[resources].appendleft(call)
                self._changed.notify_all()
                return
        _settle(call, None, WorkerDiedError(_CLOSED))

    def _give_up(self, resources: Resources, problem: str) -> None:
        """End a thread that gets no worker. After the last one calls fail instead of waiting."""
        with self._changed:
            self._threads[resources] -= 1
            if self._threads[resources] or self._closed:
                return
            why = self._refused[resources] = f"no worker started ({problem})"
            left = list(self._waiting[resources])
            self._waiting[resources].clear()
        for call in left:
            _settle(call, None, WorkerDiedError(why))

    def _end(self, actor: Any) -> None:
        with self._changed:
            self._started.discard(actor)
            self.nodes.pop(actor, None)
        if actor is not None:
            with suppress(Exception):
                self._actors.end(actor)


def last_line(error: Exception) -> str:
    """Of a message that may contain a whole trace."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1] if lines else error, 200)


def _settle(call: _ActorCall, result: object, error: BaseException | None) -> None:
    if call.future.done():
        return
    if error is None:
        call.future.set_result(result)
    else:
        call.future.set_exception(error)
