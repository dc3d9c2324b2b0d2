"""Workers on a Ray cluster; the only module that imports Ray.

A worker is a Ray actor that makes one call at a time and keeps its state (a loaded codec, an open
VLM) between calls, as a process of `core.pool` does. `core.actor_pool` has the calls, and says what
happens if an actor or its node ends.
"""

from __future__ import annotations

import os
import pickle
import platform
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np

from eyechart.core.actor_pool import ActorPool, HungCalls, last_line
from eyechart.core.errors import InputError, one_line
from eyechart.core.pool import answer_call
from eyechart.core.ray_settings import CALL_S, call_limit_s, check_answers
from eyechart.core.remote_arrays import answer_remote_call
from eyechart.core.version import VERSION
from eyechart.core.workers import (
    CPU,
    DEVICE,
    NodeWork,
    Resources,
    let_threads_sleep,
    set_worker_device,
    usable_cores,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")
_LOCAL_STORE_BYTES = 1 << 30  # images on the way; a local Ray would take a third of the memory
_NODE_S = 120.0  # to start a first process on a node, which imports this package
# Share of a GPU. A copy of a VLM and a worker for codecs fit on one, but not two copies.
_VLM_GPU, _CODEC_GPU = 0.6, 0.4


@contextmanager
def ray_workers(address: str = "", *, whole_nodes: bool = False) -> Iterator[RayWorkers]:
    """Connect to a Ray cluster; "": start one on this machine, and end it with the block.

    address: HOST:PORT of the head node, or `auto` for the cluster that this machine is part of.
    whole_nodes: as `RayWorkers`.

    Raises:
        InputError: Ray is not installed, the address does not answer, or a node has another version
            of eyechart or of Python; no GPU for `whole_nodes`; a wrong limit in the environment.
    """
    ray, most_s = _ray(), call_limit_s()
    check_answers(address)
    # Ray would print its own messages into the progress display.
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    settings["address"] = address or "local"  # without it, Ray looks for one that is there
    if not address:
        # Ray's default would let its workers wait for every other program of this machine.
        os.environ.setdefault("RAY_worker_niceness", "0")
        settings |= {
            "num_cpus": usable_cores(),
            "include_dashboard": False,
            "object_store_memory": _LOCAL_STORE_BYTES,
        }
    try:
        page = ray.init(**settings).dashboard_url
    except Exception as error:
        where = address or "a local Ray"
        raise InputError(f"--ray {where}: cannot be used ({one_line(error, 300)})") from error
    try:
        workers = RayWorkers(
            ray,
            dashboard=f"http://{page}" if page else "",
            whole_nodes=whole_nodes,
            most_s=most_s,
        )
        with closing(workers):
            workers.check_nodes()
            yield workers
    finally:
        ray.shutdown()


class RayWorkers:
    """Opens workers on a connected cluster (`core.workers.ClusterWorkers`).

    whole_nodes: a copy of a VLM has all GPUs of a node, for a VLM that one GPU cannot hold; codecs
    with weights then run on CPUs. most_s: seconds to wait for the answer to a call.
    """

    def __init__(
        self,
        ray: Any,
        *,
        dashboard: str = "",
        whole_nodes: bool = False,
        most_s: float = CALL_S,
    ) -> None:
        self._ray, self.dashboard, self._most_s = ray, dashboard, most_s
        self._hung = HungCalls()
        self._opened: weakref.WeakSet[RayExecutor] = weakref.WeakSet()
        resources = ray.cluster_resources()
        self._gpus = int(resources.get("GPU", 0))
        self.cpus = max(1, int(resources.get("CPU", 1)))
        self._vlm_gpus, self._codec_gpus = (_VLM_GPU, _CODEC_GPU) if self._gpus else (0.0, 0.0)
        copies = self._gpus
        if whole_nodes:
            if not self._gpus:
                raise InputError("device is map; allowed on a cluster without GPUs: auto")
            counts = [int(node["Resources"]["GPU"]) for node in self._nodes(DEVICE)]
            self._vlm_gpus, self._codec_gpus, copies = min(counts), 0.0, len(counts)
        # Without GPUs a copy of a VLM uses all cores of a node.
        self.devices = ("auto",) * (copies or max(1, len(self._nodes(DEVICE))))

    def __call__(
        self, cpu_workers: int, devices: Sequence[str] = ("cpu",), *, nice: int = 0
    ) -> RayExecutor:
        """An executor: see `core.workers.OpenWorkers`."""
        share = self._codec_gpus if cpu_workers > 0 else self._vlm_gpus
        actors = _RayActors(self._ray, gpu_share=share, nice=nice, most_s=self._most_s)
        made = RayExecutor(actors, cpu_workers, len(devices), self._hung)
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
        hung = self._hung.counts()
        return {
            node: NodeWork(workers=alive[node], batches=batches[node], hung=hung[node])
            for node in sorted({*alive, *batches, *hung})
        }

    def check_nodes(self) -> None:
        """Check the versions of eyechart and Python on every node. Raises InputError."""
        here = (VERSION, platform.python_version())
        for node, found in self._on_every_node(_NODE_S, CPU, _versions):
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
            InputError: the call raised, or there is no answer in time; the node is named.
        """
        return self._on_every_node(self._most_s, resources, call, *args, **named)

    def _on_every_node(
        self,
        most_s: float,
        resources: Resources,
        call: Callable[_P, _T],
        /,
        *args: _P.args,
        **named: _P.kwargs,
    ) -> list[tuple[str, _T]]:
        """most_s: seconds to wait for a node. Raises InputError, also after this time."""
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
                ok, value = pickle.loads(_got(self._ray, reference, most_s))
            except Exception as error:
                if node["NodeID"] not in {one["NodeID"] for one in self._nodes(resources)}:
                    continue  # it has ended meanwhile
                raise InputError(f"node {name}: {last_line(error)}") from error
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
    garbage collected. hung: as for `ActorPool`.
    """

    def __init__(
        self,
        actors: _RayActors,
        cpu_workers: int,
        device_workers: int,
        hung: HungCalls | None = None,
    ) -> None:
        self._pool = ActorPool(actors, {CPU: cpu_workers, DEVICE: device_workers}, hung)
        self._end = weakref.finalize(self, self._pool.close)

    def workers(self, resources: Resources) -> int:
        """How many calls with these needs run at a time, where the cluster has room."""
        return self._pool.counts[resources]

    def submit(
        self, resources: Resources, call: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs
    ) -> Future[_T]:
        """Submit a call. Raises pickle's error for arguments that cannot be pickled."""
        return self._pool.submit_keeping(0, resources, call, *args, **named)

    def submit_keeping(
        self,
        most: int,
        resources: Resources,
        call: Callable[_P, _T],
        /,
        *args: _P.args,
        **named: _P.kwargs,
    ) -> Future[_T]:
        """See `core.workers.KeepsArrays`."""
        return self._pool.submit_keeping(most, resources, call, *args, **named)

    def alive(self) -> Counter[str]:
        """Workers by node."""
        return Counter(self._pool.nodes.values())

    def batches(self) -> Counter[str]:
        """Calls that device workers have answered, by node; of a VLM's executor only."""
        return Counter() if self._pool.counts[CPU] else Counter(self._pool.answered)

    def close(self) -> None:
        """End the workers at once."""
        self._end()


class _RayActors:
    """Starts actors of Ray (`core.actor_pool.Actors`).

    gpu_share: GPUs of each device worker, a share of one or several. nice: added to the priority
    number of CPU workers. most_s: seconds to wait for the answer to a call.
    """

    def __init__(self, ray: Any, *, gpu_share: float, nice: int, most_s: float = CALL_S) -> None:
        self._ray, self._gpu_share, self._nice, self._most_s = ray, gpu_share, nice, most_s
        self._put: dict[int, Any] = {}  # id of an array -> its reference

    def create(self, resources: Resources, avoid: Collection[str]) -> Any:
        needs: dict[str, Any] = {"num_cpus": 1}
        if resources.device:
            needs = {"num_cpus": 0, "num_gpus": self._gpu_share, "scheduling_strategy": "SPREAD"}
        if avoid:
            needs |= self._elsewhere(avoid, "GPU" if needs.get("num_gpus") else "CPU")
        made = self._ray.remote(max_restarts=0, **needs)(_Actor)
        return made.remote(resources.device, self._nice)

    def _elsewhere(self, avoid: Collection[str], kind: str) -> dict[str, Any]:
        """What keeps an actor from nodes, by address, as long as other nodes could have it."""
        there = [node for node in self._ray.nodes() if node["Alive"]]
        left_out = [node["NodeID"] for node in there if node["NodeManagerAddress"] in avoid]
        able = [node["NodeID"] for node in there if node["Resources"].get(kind, 0)]
        if not left_out or set(able) <= set(left_out):
            return {}
        return {"label_selector": {"ray.io/node-id": f"!in({','.join(left_out)})"}}

    def ready(self, actor: Any) -> str:
        return str(self._ray.get(actor.ready.remote()))

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """As long as the array exists it keeps its reference, so that an uncompressed image travels
        to a node once for all its levels."""
        if id(array) not in self._put:
            self._put[id(array)] = self._ray.put(array)
            weakref.finalize(array, self._put.pop, id(array), None).atexit = False
        return self._put[id(array)]

    def call(
        self, actor: Any, message: bytes, references: Sequence[Any], most_kept: int
    ) -> tuple[bytes, Sequence[Any]]:
        # The references are arguments of their own, because Ray reads only these from other nodes.
        if not most_kept:
            reply = actor.call.remote(message, 0, *references)
            return bytes(_got(self._ray, reply, self._most_s)), ()
        method = actor.call.options(num_returns=1 + most_kept)
        reply, *kept = method.remote(message, most_kept, *references)
        return bytes(_got(self._ray, reply, self._most_s)), kept

    def is_lost(self, error: Exception) -> bool:
        lost = self._ray.exceptions.ObjectLostError
        return isinstance(error, lost) or isinstance(getattr(error, "cause", None), lost)

    def end(self, actor: Any) -> None:
        self._ray.kill(actor)

    def was_ended(self, error: Exception) -> bool:
        ended = self._ray.exceptions.RayActorError | self._ray.exceptions.ActorUnavailableError
        return isinstance(error, ended) and not getattr(error, "actor_init_failed", False)

    def connected(self) -> bool:
        return bool(self._ray.is_initialized())


class _Actor:
    """A worker process on a node."""

    def __init__(self, device: bool, nice: int) -> None:
        import ray

        let_threads_sleep()  # the node was started by someone else, without this setting
        # Ray lets a process see only the GPUs that it was given.
        gpus = len(ray.get_gpu_ids()) if device else 0
        set_worker_device("map" if gpus > 1 else "cuda:0" if gpus else "cpu")
        if not device:
            os.nice(nice)
        elif not gpus:  # Ray allows one thread to a process that reserves no core
            os.environ["OMP_NUM_THREADS"] = str(usable_cores())

    def ready(self) -> str:
        """Returns as soon as the process has started; -> the address of its node."""
        import ray

        return str(ray.util.get_node_ip_address())

    def call(self, message: bytes, most_kept: int, *arrays: np.ndarray[Any, Any]) -> Any:
        """Make a pickled call; -> its pickled result or error, and with `most_kept` as many objects
        more: arrays of the result, then None."""
        reply, kept = answer_remote_call(message, arrays, most_kept)
        return (reply, *kept, *[None] * (most_kept - len(kept))) if most_kept else reply


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


def _got(ray: Any, reference: Any, most_s: float) -> Any:
    """The value of a reference. Raises TimeoutError, and what Ray raises."""
    try:
        return ray.get(reference, timeout=most_s)
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {most_s:g} s") from error


def _call_on_node(message: bytes) -> bytes:
    return answer_call(message)


def _versions() -> tuple[str, str]:
    return VERSION, platform.python_version()


def _described(versions: tuple[str, str]) -> str:
    return f"eyechart {versions[0]} on Python {versions[1]}"
