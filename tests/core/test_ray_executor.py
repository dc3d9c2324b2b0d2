"""The executor of Ray with a stand-in for Ray: workers that cannot be used again."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from eyechart.core.errors import WorkerDiedError
from eyechart.core.pool import answer_call
from eyechart.core.ray_workers import _HTTP2, RayExecutor, _Actor, _speaks_grpc
from eyechart.core.workers import CPU

WAIT_S = 60


class ActorGoneError(Exception):
    """What Ray raises for an actor that ended."""


class NoMemoryError(Exception):
    """What Ray raises for an actor that was killed for lack of memory: no `RayActorError`."""


class StandIn:
    """As much of Ray as the executor uses. start, call: what an actor does, by its number."""

    exceptions = SimpleNamespace(RayActorError=ActorGoneError, ActorUnavailableError=ActorGoneError)

    def __init__(
        self,
        *,
        start: Callable[[int], Any] = bool,
        call: Callable[[int, bytes], bytes] = lambda number, message: answer_call(message),
    ) -> None:
        self._start, self._call = start, call
        self._lock = threading.Lock()
        self.started = 0
        self.killed: list[int] = []

    def remote(self, **needs: object) -> Callable[[object], Any]:
        return lambda cls: SimpleNamespace(remote=self._actor)

    def _actor(self, *arguments: object) -> Any:
        with self._lock:
            self.started += 1
            number = self.started
        return _StandInActor(number, self._start, self._call)

    def get(self, reference: Callable[[], Any]) -> Any:
        return reference()

    def kill(self, actor: _StandInActor) -> None:
        self.killed.append(actor.number)

    def is_initialized(self) -> bool:
        return True


class _StandInActor:
    def __init__(self, number: int, start: Any, call: Any) -> None:
        self.number = number
        self.ready = SimpleNamespace(remote=lambda: lambda: start(number))
        self.call = SimpleNamespace(remote=lambda message, *_: lambda: call(number, message))


def opened(ray: StandIn, workers: int = 1) -> RayExecutor:
    return RayExecutor(ray, workers, 0, gpu_share=0, nice=0)


@pytest.mark.parametrize("error", [ActorGoneError, NoMemoryError])
def test_a_worker_that_ended_gets_no_further_call(error: type[Exception]) -> None:
    def call(number: int, message: bytes) -> bytes:
        if number == 1:
            raise error("gone")
        return answer_call(message)

    ray = StandIn(call=call)
    executor = opened(ray)
    futures = [executor.submit(CPU, abs, -n) for n in range(5)]
    assert [future.result(WAIT_S) for future in futures] == list(range(5))
    assert ray.killed == [1]
    executor.close()


def test_a_call_that_ends_every_worker_fails_with_the_reason() -> None:
    def call(number: int, message: bytes) -> bytes:
        raise NoMemoryError("the node is low on memory")

    executor = opened(StandIn(call=call))
    with pytest.raises(WorkerDiedError, match=r"died \(the node is low on memory\)"):
        executor.submit(CPU, abs, -1).result(WAIT_S)
    executor.close()


def test_an_error_of_the_call_ends_no_worker() -> None:
    ray = StandIn()
    executor = opened(ray)
    with pytest.raises(TypeError):
        executor.submit(CPU, abs, "x").result(WAIT_S)
    assert executor.submit(CPU, abs, -1).result(WAIT_S) == 1
    assert ray.started == 1
    executor.close()


@pytest.fixture
def broken() -> Iterator[RayExecutor]:
    def start(number: int) -> bool:
        raise RuntimeError("no package eyechart")

    executor = opened(StandIn(start=start), workers=2)
    yield executor
    executor.close()


def test_calls_fail_where_no_worker_starts_also_later_ones(broken: RayExecutor) -> None:
    for _ in range(3):
        with pytest.raises(WorkerDiedError, match=r"no worker started \(no package eyechart\)"):
            broken.submit(CPU, abs, -1).result(WAIT_S)


def test_workers_that_are_killed_while_they_start_are_started_again() -> None:
    def start(number: int) -> bool:
        if number <= 10:
            raise ActorGoneError("killed")
        return True

    executor = opened(StandIn(start=start))
    assert executor.submit(CPU, abs, -1).result(WAIT_S) == 1
    executor.close()


def test_threads_of_a_worker_sleep_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else a VLM on the cores of a node takes ten times as long beside workers for codecs.
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get_gpu_ids=list))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    _Actor(device=True, nice=0)
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_the_first_frame_of_a_head_node_may_come_in_pieces() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(WAIT_S)
        far.sendall(bytes(3))

        def answer() -> None:
            with far.makefile("rb") as stream:
                stream.read(len(_HTTP2))
            far.sendall(b"\x04" + bytes(5))

        thread = threading.Thread(target=answer)
        thread.start()
        assert _speaks_grpc(near)
        thread.join()
