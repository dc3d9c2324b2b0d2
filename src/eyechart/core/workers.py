"""Executors: they run calls in this process or in worker processes, behind one protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a call needs while it runs. device: whether it needs one of the executor's devices."""

    device: bool = False


CPU = Resources()
DEVICE = Resources(device=True)


def usable_cores() -> int:
    """CPU cores that this process may use; all cores where the system does not say which."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def let_threads_sleep() -> None:
    """Let threads of a calculation that wait for each other leave their core to other processes.

    By default OpenMP's threads wait in a loop that uses a core. With workers for codecs beside the
    VLM, a run on two cores then takes twice as long. Effective until torch is imported, and in
    workers; a value that the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Executor(Protocol):
    """Accepts calls without waiting and returns futures.

    A call is a module-level function. The function and its arguments are pickled. State that is
    expensive to make (a loaded codec, an open VLM) stays in the worker between calls.
    """

    def workers(self, resources: Resources) -> int:
        """How many calls with these needs run at a time."""
        ...

    def submit(
        self, resources: Resources, call: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs
    ) -> Future[_T]:
        """Submit a call. Its future raises what the call raises, or WorkerDiedError if the worker
        process ended during the call."""
        ...

    def close(self) -> None:
        """End all work at once. Futures of unfinished calls get an error."""
        ...


@runtime_checkable
class KeepsArrays(Executor, Protocol):
    """An executor whose workers can keep arrays of a result on their node, for other calls."""

    def submit_keeping(
        self,
        most: int,
        resources: Resources,
        call: Callable[_P, _T],
        /,
        *args: _P.args,
        **named: _P.kwargs,
    ) -> Future[_T]:
        """As `submit`, but in the result a `core.remote_arrays.RemoteArray` takes the place of each
        of up to `most` large arrays. As an argument of a call it is the array again; the future of
        that call raises ArrayLostError if the array's node has ended."""
        ...


class OpenWorkers(Protocol):
    """Opens an executor, for the codecs of a run or an export, or for the copies of a VLM.

    `core.pool.WorkerPool` is the one for this machine.
    """

    def __call__(
        self, cpu_workers: int, devices: Sequence[str] = ("cpu",), *, nice: int = 0
    ) -> Executor:
        """`cpu_workers` workers for calls that need a core, one worker a device for the others.

        nice: added to the priority number of CPU workers.
        """
        ...


@runtime_checkable
class ClusterWorkers(OpenWorkers, Protocol):
    """Opens executors whose workers are on other machines.

    devices: of the workers for calls that need one, as VLMs and codecs are opened with in this
    process; a worker replaces it by what it has.
    """

    devices: Sequence[str]

    def on_every_node(
        self, resources: Resources, call: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs
    ) -> list[tuple[str, _T]]:
        """Make a call once on every node that gets workers with these needs; -> (node, result).

        Raises InputError: the call failed; the message names the node.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWork:
    """A node of a cluster. workers: that are alive. batches: that copies of a VLM on it have
    answered. hung: calls that it did not answer in time."""

    workers: int
    batches: int
    hung: int = 0


@runtime_checkable
class ReportsNodes(Protocol):
    """Opens executors, and knows what each node does. dashboard: URL of a web page about the
    cluster; "" if there is none."""

    dashboard: str

    def by_node(self) -> Mapping[str, NodeWork]:
        """Address of a node -> its work so far."""
        ...


class SerialExecutor:
    """Runs each call at once in this process, for tests and debugging.

    device: for calls that need one.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device

    def workers(self, resources: Resources) -> int:
        """One."""
        return 1

    def submit(
        self, resources: Resources, call: Callable[_P, _T], /, *args: _P.args, **named: _P.kwargs
    ) -> Future[_T]:
        """Run the call and return a finished future."""
        future: Future[_T] = Future()
        set_worker_device(self._device if resources.device else "cpu")
        try:
            future.set_result(call(*args, **named))
        except Exception as error:  # noqa: BLE001 - the future carries it, as from a worker
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Does nothing."""


_device = "cpu"


def worker_device() -> str:
    """The device of the worker process that makes the call: `cpu`, `cuda:0`, ..."""
    return _device


def set_worker_device(device: str) -> None:
    """Set the device for calls in this process."""
    global _device
    _device = device
