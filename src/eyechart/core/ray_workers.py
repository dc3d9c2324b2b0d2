"""Workers on a Ray cluster; the only module that imports Ray.

    submit -> queue -> thread of a free worker -> actor on some node
                                               <- result, or the end of the actor

A worker is a Ray actor that makes one call at a time and keeps its state (a loaded codec, an open
VLM) between calls, as a process of `core.pool` does. If an actor or its node ends, its call goes to
another worker, and the actor is started again where there is room. Calls and results are pickled
here, so that errors arrive as from a local worker.
"""

from __future__ import annotations

import os
import pickle
import platform
import socket
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from eyechart.core.errors import InputError, WorkerDiedError, one_line
from eyechart.core.pool import answer_call
from eyechart.core.version import VERSION
from eyechart.core.workers import (
    CPU,
    DEVICE,
    NodeWork,
    Resources,
    set_worker_device,
    usable_cores,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")
_TRIES = 4  # a call that ended so many workers ends no more; as often an actor may fail to start
_CLOSED = "the workers are closed"
_CONNECT_S = 10.0
_LOCAL_STORE_BYTES = 1 << 30  # images on the way; a local Ray would take a third of the memory
_NODE_S = 120.0  # to start a first process on a node, which imports this package
# Share of a GPU. A copy of a VLM and a worker for codecs fit on one, but not two copies.
_VLM_GPU, _CODEC_GPU = 0.6, 0.4


@dataclass(slots=True, kw_only=True)
class _RayCall:
    message: bytes
    future: Future[Any]
    tries: int = 0


@contextmanager
def ray_workers(address: str = "") -> Iterator[RayWorkers]:
    """Connect to a Ray cluster; "": start one on this machine, and end it with the block.

    address: HOST:PORT of the head node, or `auto` for the cluster that this machine is part of.

    Raises:
        InputError: Ray is not installed, the address does not answer, or a node has another version
            of eyechart or of Python.
    """
    ray = _ray()
    _check_answers(address)
    # Ray would print its own messages into the progress display.
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        settings["address"] = address
    else:
        settings |= {
            "num_cpus": usable_cores(),
            "include_dashboard": False,
            "object_store_memory": _LOCAL_STORE_BYTES,
        }
    try:
        ray.init(**settings)
    except Exception as error:
        where = address or "a local Ray"
        raise InputError(f"--ray {where}: cannot be used ({one_line(error, 300)})") from error
    try:
        workers = RayWorkers(ray)
        with closing(workers):
            workers.check_nodes()
            yield workers
    finally:
        ray.shutdown()


class RayWorkers:
    """Opens workers on a connected cluster (`core.workers.ClusterWorkers`)."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._opened: weakref.WeakSet[RayExecutor] = weakref.WeakSet()
        resources = ray.cluster_resources()
        self._gpus = int(resources.get("GPU", 0))
        self.cpus = max(1, int(resources.get("CPU", 1)))
        # Without GPUs a copy of a VLM uses all cores of a node.
        self.devices = ("auto",) * (self._gpus or max(1, len(self._nodes(DEVICE))))

    def __call__(
        self, cpu_workers: int, devices: Sequence[str] = ("cpu",), *, nice: int = 0
    ) -> RayExecutor:
        """An executor: see `core.workers.OpenWorkers`."""
        for_codecs = cpu_workers > 0
        share = (_CODEC_GPU if for_codecs else _VLM_GPU) if self._gpus else 0
        made = RayExecutor(self._ray, cpu_workers, len(devices), gpu_share=share, nice=nice)
        self._opened.add(made)
        return made

    def close(self) -> None:
        """End all workers."""
        for executor in list(self._opened):
            executor.close()

    def by_node(self) -> dict[str, NodeWork]:
        """See `core.workers.ReportsNodes`."""
        alive: Counter[str] = Counter()
        batches: Counter[str] = Counter()
        for executor in list(self._opened):
            alive += executor.alive()
            batches += executor.batches()
        return {
            node: NodeWork(workers=alive[node], batches=batches[node])
            for node in sorted({*alive, *batches})
        }

    def check_nodes(self) -> None:
        """Check the versions of eyechart and Python on every node. Raises InputError."""
        here = (VERSION, platform.python_version())
        for node, found in self.on_every_node(CPU, _versions):
            if found != here:
                raise InputError(
                    f"node {node}: {_described(found)}; this machine has {_described(here)}; "
                    "install the same versions on all nodes"
                )

    def on_every_node(
        self, resources: Resources, call: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs
    ) -> list[tuple[str, _T]]:
        """Make a call once on every node that gets workers; -> (address of the node, result).

        Raises:
            InputError: the call raised, or the node does not answer; the node is named.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        message = pickle.dumps((call, args, named))
        task = self._ray.remote(num_cpus=0, max_retries=0)(_call_on_node)
        asked = []
        for node in self._nodes(resources):
            there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            asked.append((node, task.options(scheduling_strategy=there).remote(message)))
        results = []
        for node, reference in asked:
            name = str(node["NodeManagerAddress"])
            try:
                ok, value = pickle.loads(self._ray.get(reference, timeout=_NODE_S))
            except Exception as error:
                if node["NodeID"] not in {one["NodeID"] for one in self._nodes(resources)}:
                    continue  # it has ended meanwhile
                raise InputError(f"node {name}: {_without_trace(error)}") from error
            if not ok:
                raise InputError(f"node {name}: {one_line(value)}") from value
            results.append((name, value))
        return results

    def _nodes(self, resources: Resources) -> list[dict[str, Any]]:
        """The nodes that are there and can have workers with these needs."""
        kind = "GPU" if resources.device and self._gpus else "CPU"
        return [
            node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get(kind, 0)
        ]


class RayExecutor:
    """`cpu_workers` actors for calls that need a core, `device_workers` for the others.

    Actors start at the first call of their kind. They end at `close`, and when the executor is
    garbage collected. gpu_share: of a GPU for each device worker.
    """

    def __init__(
        self, ray: Any, cpu_workers: int, device_workers: int, *, gpu_share: float, nice: int
    ) -> None:
        counts = {CPU: cpu_workers, DEVICE: device_workers}
        self._pool = _ActorPool(ray, counts, gpu_share=gpu_share, nice=nice)
        self._end = weakref.finalize(self, self._pool.close)

    def workers(self, resources: Resources) -> int:
        """How many calls with these needs run at a time, where the cluster has room."""
        return self._pool.counts[resources]

    def submit(
        self, resources: Resources, call: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs
    ) -> Future[_T]:
        """Submit a call. Raises pickle's error for arguments that cannot be pickled."""
        future: Future[_T] = Future()
        message = pickle.dumps((call, args, named), protocol=pickle.HIGHEST_PROTOCOL)
        self._pool.add(resources, _RayCall(message=message, future=future))
        return future

    def alive(self) -> Counter[str]:
        """Workers by node."""
        return Counter(self._pool.nodes.values())

    def batches(self) -> Counter[str]:
        """Calls that device workers have answered, by node; of a VLM's executor only."""
        return Counter() if self._pool.counts[CPU] else Counter(self._pool.answered)

    def close(self) -> None:
        """End the workers at once."""
        self._end()


class _ActorPool:
    """The actors of an executor, each with a thread of the driver, and the waiting calls."""

    def __init__(
        self, ray: Any, counts: Mapping[Resources, int], *, gpu_share: float, nice: int
    ) -> None:
        self._ray, self.counts, self._gpu_share, self._nice = ray, counts, gpu_share, nice
        self._waiting: dict[Resources, deque[_RayCall]] = {CPU: deque(), DEVICE: deque()}
        self._changed = threading.Condition()
        self._closed = False
        self._threads: dict[Resources, int] = {}  # that have, or can get, an actor
        self._refused: dict[Resources, str] = {}  # why no call is made any more
        self._actors: set[Any] = set()
        self.nodes: dict[Any, str] = {}  # actor that is ready -> address of its node
        self.answered: Counter[str] = Counter()  # by address; also of actors that have ended

    def add(self, resources: Resources, call: _RayCall) -> None:
        """Let the next free worker make a call."""
        with self._changed:
            if resources in self._refused:
                call.future.set_exception(WorkerDiedError(self._refused[resources]))
                return
            self._waiting[resources].append(call)
            self._changed.notify_all()
            if resources not in self._threads:
                self._threads[resources] = self.counts[resources]
                for _ in range(self.counts[resources]):
                    threading.Thread(target=self._serve, args=(resources,), daemon=True).start()

    def close(self) -> None:
        """End the workers at once."""
        with self._changed:
            self._closed = True
            self._refused = dict.fromkeys(self.counts, _CLOSED)
            left = [call for calls in self._waiting.values() for call in calls]
            actors = list(self._actors)
            self._changed.notify_all()
        for call in left:
            _settle(call, None, WorkerDiedError(_CLOSED))
        for actor in actors:
            with suppress(Exception):  # the cluster may be gone
                self._ray.kill(actor)

    def _serve(self, resources: Resources) -> None:
        """A thread of the driver: keeps one actor and hands it one call at a time."""
        actor = None
        while not self._closed:
            if actor is None and (actor := self._start_actor(resources)) is None:
                return
            call = self._next(resources)
            if call is None:
                return
            problem = self._make(actor, call)
            if problem:
                self._end(actor)
                actor = None
                self._again(resources, call, problem)
            del call  # a waiting thread must not keep images in memory

    def _start_actor(self, resources: Resources) -> Any:
        """A new actor, as soon as there is room for it; None if none can be started, or the
        executor is closed."""
        needs: dict[str, Any] = {"num_cpus": 1}
        if resources.device:
            needs = {"num_cpus": 0, "num_gpus": self._gpu_share, "scheduling_strategy": "SPREAD"}
        failures = 0
        while not self._closed:
            actor = None
            try:
                made = self._ray.remote(max_restarts=0, **needs)(_Actor)
                actor = made.remote(resources.device, self._nice)
                with self._changed:
                    self._actors.add(actor)
                if not self._closed:  # else `close` may not have seen this actor
                    self.nodes[actor] = self._ray.get(actor.ready.remote())
                    return actor
                self._end(actor)
            except Exception as error:  # noqa: BLE001 - whatever Ray raises, no future stays open
                self._end(actor)
                failures += not _was_ended(self._ray, error)
                if failures >= _TRIES or not self._ray.is_initialized():
                    self._give_up(resources, _without_trace(error))
                    return None
        return None

    def _next(self, resources: Resources) -> _RayCall | None:
        with self._changed:
            while not self._closed and not self._waiting[resources]:
                self._changed.wait()
            return None if self._closed else self._waiting[resources].popleft()

    def _make(self, actor: Any, call: _RayCall) -> str:
        """Let an actor make a call; -> why there is no reply, "" if there is one.

        What the call itself raises is in the reply. Everything else means that the actor cannot be
        used again: it has ended or was killed for lack of memory, or its reply is lost.
        """
        try:
            reply = self._ray.get(actor.call.remote(call.message))
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, no future stays open
            return _without_trace(error)
        try:
            ok, value = pickle.loads(reply)
        except Exception as error:  # noqa: BLE001 - a class that this process cannot build
            _settle(call, None, WorkerDiedError(f"the result cannot be read: {one_line(error)}"))
            return ""
        with self._changed:
            self.answered[self.nodes.get(actor, "")] += 1
        _settle(call, value if ok else None, None if ok else value)
        return ""

    def _again(self, resources: Resources, call: _RayCall, problem: str) -> None:
        """Let another worker make a call, unless it has ended too many."""
        call.tries += 1
        if call.tries >= _TRIES:
            _settle(call, None, WorkerDiedError(f"the worker process died ({problem})"))
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
            self._actors.discard(actor)
            self.nodes.pop(actor, None)
        with suppress(Exception):
            self._ray.kill(actor)


class _Actor:
    """A worker process on a node."""

    def __init__(self, device: bool, nice: int) -> None:
        import ray

        # Ray lets a process see only the GPUs that it was given.
        gpu = bool(device and ray.get_gpu_ids())
        set_worker_device("cuda:0" if gpu else "cpu")
        if not device:
            os.nice(nice)
        elif not gpu:  # Ray allows one thread to a process that reserves no core
            os.environ["OMP_NUM_THREADS"] = str(usable_cores())

    def ready(self) -> str:
        """Returns as soon as the process has started; -> the address of its node."""
        import ray

        return str(ray.util.get_node_ip_address())

    def call(self, message: bytes) -> bytes:
        """Make a pickled call; -> its pickled result or error."""
        return answer_call(message)


def _ray() -> Any:
    # A process that only reserves cores keeps the GPUs that its node lets it see.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send statistics to its maker
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # a late call must not start another Ray
    try:
        import ray
    except ImportError as error:
        raise InputError("--ray: needs the package ray; pip install 'eyechart[ray]'") from error
    return ray


def _check_answers(address: str) -> None:
    """Ray itself tries for minutes to reach an address. Raises InputError."""
    if address in ("", "auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--ray {one_line(address, 60)}: not an address; allowed: HOST:PORT, auto")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"--ray {address}: does not answer ({one_line(error)})") from error


def _call_on_node(message: bytes) -> bytes:
    return answer_call(message)


def _versions() -> tuple[str, str]:
    return VERSION, platform.python_version()


def _described(versions: tuple[str, str]) -> str:
    return f"eyechart {versions[0]} on Python {versions[1]}"


def _was_ended(ray: Any, error: Exception) -> bool:
    """Whether an actor ended for no reason of its own: it was killed, or its node ended."""
    ended = ray.exceptions.RayActorError | ray.exceptions.ActorUnavailableError
    return isinstance(error, ended) and not getattr(error, "actor_init_failed", False)


def _without_trace(error: Exception) -> str:
    """The last line, as Ray's messages contain whole traces."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1] if lines else error, 200)


def _settle(call: _RayCall, result: object, error: BaseException | None) -> None:
    if call.future.done():
        return
    if error is None:
        call.future.set_result(result)
    else:
        call.future.set_exception(error)
