"""The executor of Ray with a stand-in for Ray: workers that cannot be used again."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from eyechart.core.actor_pool import HungCalls
from eyechart.core.errors import InputError, WorkerDiedError
from eyechart.core.pool import answer_call
from eyechart.core.ray_settings import CALL_LIMIT, CALL_S, HTTP2, call_limit_s, speaks_grpc
from eyechart.core.ray_workers import RayExecutor, _Actor, _RayActors
from eyechart.core.workers import CPU

WAIT_S = 60


class ActorGoneError(Exception):
    """What Ray raises for an actor that ended."""


class GetTimeoutError(TimeoutError):
    """What Ray raises if a result is not there in time."""


class NoMemoryError(Exception):
    """What Ray raises for an actor that was killed for lack of memory: no `RayActorError`."""


CORE = {"CPU": 1.0}


class StandIn:
    """As much of Ray as the executor uses. start, call: what an actor does, by its number."""

    exceptions = SimpleNamespace(RayActorError=ActorGoneError, ActorUnavailableError=ActorGoneError)

    def __init__(
        self,
        *,
        start: Callable[[int], Any] = bool,
        call: Callable[[int, bytes], bytes] = lambda number, message: answer_call(message),
        nodes: Sequence[str] = (),
    ) -> None:
        self._start, self._call, self._nodes = start, call, nodes
        self._lock = threading.Lock()
        self.started = 0
        self.killed: list[int] = []
        self.needs: list[dict[str, object]] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": f"id-{name}", "NodeManagerAddress": name, "Alive": True, "Resources": CORE}
            for name in self._nodes
        ]

    def remote(self, **needs: object) -> Callable[[object], Any]:
        self.needs.append(needs)
        return lambda cls: SimpleNamespace(remote=self._actor)

    def _actor(self, *arguments: object) -> Any:
        with self._lock:
            self.started += 1
            number = self.started
        return _StandInActor(number, self._start, self._call)

    def get(self, reference: Callable[[], Any], timeout: float | None = None) -> Any:
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


def opened(ray: StandIn, workers: int = 1, hung: HungCalls | None = None) -> RayExecutor:
    actors = _RayActors(ray, gpu_share=0, nice=0, most_s=WAIT_S)
    return RayExecutor(actors, workers, 0, hung)


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


class Hanging:
    """Calls that some workers do not answer, by their number; worker n is on node n, or on `node`.

    A call without an answer takes no time: the limit is over at once.
    """

    def __init__(self, *numbers: int, node: str = "") -> None:
        self.numbers, self.node = numbers, node

    def start(self, number: int) -> str:
        return self.node or f"n{number}"

    def call(self, number: int, message: bytes) -> bytes:
        if number in self.numbers:
            raise GetTimeoutError("Get timed out: some object(s) not ready.")
        return answer_call(message)


def test_a_call_without_an_answer_is_made_on_another_node() -> None:
    hanging = Hanging(1)
    ray = StandIn(start=hanging.start, call=hanging.call, nodes=["n1", "n2", "n3"])
    hung = HungCalls()
    executor = opened(ray, hung=hung)
    assert executor.submit(CPU, abs, -1).result(WAIT_S) == 1
    assert ray.killed == [1]
    assert hung.counts() == {"n1": 1}
    assert [need.get("label_selector") for need in ray.needs] == [
        None,
        {"ray.io/node-id": "!in(id-n1)"},
    ]
    executor.close()


def test_the_only_node_gets_a_worker_again() -> None:
    hanging = Hanging(1, node="n1")
    ray = StandIn(start=hanging.start, call=hanging.call, nodes=["n1"])
    executor = opened(ray)
    assert executor.submit(CPU, abs, -1).result(WAIT_S) == 1
    assert "label_selector" not in ray.needs[-1]
    executor.close()


def test_a_call_that_hangs_on_two_nodes_fails_and_blames_neither() -> None:
    hanging = Hanging(1, 2)
    ray = StandIn(start=hanging.start, call=hanging.call, nodes=["n1", "n2", "n3"])
    hung = HungCalls()
    executor = opened(ray, hung=hung)
    with pytest.raises(WorkerDiedError, match=f"two workers gave no answer within {WAIT_S} s"):
        executor.submit(CPU, abs, -1).result(WAIT_S)
    assert not hung.counts()
    assert executor.submit(CPU, abs, -2).result(WAIT_S) == 2
    executor.close()


def test_the_limit_of_a_call_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CALL_LIMIT, raising=False)
    assert call_limit_s() == CALL_S
    monkeypatch.setenv(CALL_LIMIT, "90")
    assert call_limit_s() == 90
    for wrong in ("0", "-1", "nan", "inf", "1h"):
        monkeypatch.setenv(CALL_LIMIT, wrong)
        with pytest.raises(InputError, match=f"{CALL_LIMIT}={wrong}: not a time; allowed: seconds"):
            call_limit_s()


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
                stream.read(len(HTTP2))
            far.sendall(b"\x04" + bytes(5))

        thread = threading.Thread(target=answer)
        thread.start()
        assert speaks_grpc(near)
        thread.join()
