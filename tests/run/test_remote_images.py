"""Decoded images that stay on the nodes of a cluster, with a stand-in for the cluster."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from run_fakes import FakeCodec, FakeNeuralCodec, FakeTask, FakeVLM, fake_work

from eyechart.core import remote_arrays
from eyechart.core.actor_pool import ActorPool
from eyechart.core.errors import WorkerDiedError
from eyechart.core.remote_arrays import RemoteArray, answer_remote_call, dump_call, load_reply
from eyechart.core.types import Answer, Decoding, Request
from eyechart.core.workers import CPU, DEVICE, Resources, SerialExecutor
from eyechart.runner import reconstruction
from eyechart.runner.engine import encode, run
from eyechart.runner.options import Options
from eyechart.runner.progress import SilentProgress
from eyechart.runner.work import Work
from eyechart.store import Store
from eyechart.vlms import replicated
from eyechart.vlms.replicated import ReplicatedVLM


class LostError(Exception):
    """An object of a node that has ended."""


class Reference:
    """array: None after its node has ended."""

    def __init__(self, array: np.ndarray[Any, Any] | None) -> None:
        self.array = array


class Nodes:
    """Workers in this process (`core.actor_pool.Actors`). loses: says at the call of each VLM
    whether the nodes with the arrays of results have ended."""

    def __init__(self, loses: Callable[[int], bool] = lambda call: False) -> None:
        self._loses = loses
        self.results: weakref.WeakSet[Reference] = weakref.WeakSet()
        self.sent: list[Reference] = []
        self.vlm_calls = self.lost = 0

    def create(self, resources: Resources, avoid: Collection[str]) -> Resources:
        return resources

    def ready(self, actor: Any) -> str:
        return "here"

    def put(self, array: np.ndarray[Any, Any]) -> Reference:
        self.sent.append(Reference(array))
        return self.sent[-1]

    def call(
        self, actor: Any, message: bytes, references: Sequence[Any], most_kept: int
    ) -> tuple[bytes, Sequence[Any]]:
        if actor == DEVICE and not most_kept:
            self.vlm_calls += 1
            if self._loses(self.vlm_calls):
                for reference in list(self.results):
                    reference.array = None
        if any(reference.array is None for reference in references):
            self.lost += 1
            raise LostError
        arrays = [reference.array for reference in references]
        reply, kept = answer_remote_call(message, arrays, most_kept)
        left = [Reference(array) for array in kept]
        self.results.update(left)
        return reply, left

    def is_lost(self, error: Exception) -> bool:
        return isinstance(error, LostError)

    def was_ended(self, error: Exception) -> bool:
        return False

    def end(self, actor: Any) -> None:
        pass

    def connected(self) -> bool:
        return True


class PoolExecutor:
    """The pool as `core.ray_workers.RayExecutor` has it."""

    def __init__(self, nodes: Nodes, cpu_workers: int, device_workers: int) -> None:
        self._pool = ActorPool(nodes, {CPU: cpu_workers, DEVICE: device_workers})
        self.submit_keeping = self._pool.submit_keeping
        self.close = self._pool.close

    def workers(self, resources: Resources) -> int:
        return self._pool.counts[resources]

    def submit(self, resources: Resources, call: Any, /, *args: Any, **named: Any) -> Any:
        return self._pool.submit_keeping(0, resources, call, *args, **named)


class OpenOnNodes:
    """Opens executors on the nodes (`core.workers.ClusterWorkers`)."""

    devices = ("auto",)

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def __call__(
        self, cpu_workers: int, devices: Sequence[str] = ("cpu",), *, nice: int = 0
    ) -> PoolExecutor:
        return PoolExecutor(self._nodes, cpu_workers, len(devices))

    def on_every_node(self, *call: object) -> NoReturn:
        raise AssertionError("not used")


class WritingVLM(FakeVLM):
    """Writes into its image, as a VLM may."""

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        answers = super().answer(requests, decoding)
        for request in requests:
            request.image[:] = 0
        return answers


def open_vlm(device: str) -> FakeVLM:
    return WritingVLM()


@pytest.fixture(autouse=True)
def every_array_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_arrays, "LEAST_BYTES", 1)
    monkeypatch.setattr(replicated, "_vlm", None)  # of a worker, which is this process
    monkeypatch.setattr(replicated, "_by_task", {})


def todo(tmp_path: Path) -> Work:
    neural = FakeNeuralCodec(log=str(tmp_path / "log"))
    tasks = [FakeTask(images=9), FakeTask(name="Other", images=4, bad_image="i2")]
    return fake_work(codecs=[FakeCodec(bad_images=(15,)), neural], tasks=tasks)


def lines(root: Path) -> dict[str, list[bytes]]:
    """Sorted, because which failed image shares a batch with others sets the order."""
    files = root.glob("cells/*/*.jsonl")
    return {str(path.relative_to(root)): sorted(path.read_bytes().split(b"\n")) for path in files}


def run_on(nodes: Nodes, work: Work, root: Path) -> None:
    opener = OpenOnNodes(nodes)
    vlm = ReplicatedVLM(open_vlm, opener.devices, opener)  # type: ignore[arg-type]
    model = replace(work.models[0], open=lambda: vlm)
    store = Store(root)
    store.create()
    executor = opener(1, opener.devices)
    run(
        replace(work, models=(model,)),
        store,
        executor,  # type: ignore[arg-type]
        SilentProgress(),
        Options(batch=4),
    )
    vlm.close()


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, list[bytes]]:
    store = Store(tmp_path / "local")
    store.create()
    run(todo(tmp_path), store, SerialExecutor(), SilentProgress(), Options(batch=4))
    found = lines(tmp_path / "local")
    assert found
    return found


def test_decoded_images_go_from_worker_to_worker_and_are_freed(
    tmp_path: Path, undisturbed: dict[str, list[bytes]]
) -> None:
    nodes, work = Nodes(), todo(tmp_path)
    seen = []
    call = nodes.call

    def watched(actor: Any, message: bytes, references: Sequence[Any], most: int) -> Any:
        reply, kept = call(actor, message, references, most)
        seen.append((message, reply, [reference.array for reference in kept]))
        return reply, kept

    nodes.call = watched  # type: ignore[method-assign]
    run_on(nodes, work, tmp_path / "run")
    assert lines(tmp_path / "run") == undisturbed
    sources = {id(reference.array) for reference in nodes.sent}
    assert len(sources) <= sum(len(part.images) for part in work.tasks)  # no decoded image
    assert sum(len(kept) for _, _, kept in seen) > len(sources)
    gc.collect()
    assert not nodes.results


@pytest.mark.parametrize("every", [1, 3])
def test_lost_images_are_made_again(
    every: int, tmp_path: Path, undisturbed: dict[str, list[bytes]]
) -> None:
    nodes = Nodes(loses=lambda call: call % every == 0)
    run_on(nodes, todo(tmp_path), tmp_path / "run")
    assert nodes.lost
    assert lines(tmp_path / "run") == undisturbed


def test_a_cluster_that_takes_no_array_fails_the_call() -> None:
    class Gone(Nodes):
        def put(self, array: np.ndarray[Any, Any]) -> Reference:
            raise ConnectionError("no cluster")

    pool = ActorPool(Gone(), {CPU: 1, DEVICE: 1})
    with pytest.raises(WorkerDiedError, match="no cluster"):
        pool.submit_keeping(0, CPU, np.mean, np.zeros(9)).result()
    pool.close()


def test_encoding_ahead_fetches_no_decoded_image(tmp_path: Path) -> None:
    nodes, store = Nodes(), Store(tmp_path / "run")
    store.create()
    work = fake_work()
    executor = OpenOnNodes(nodes)(1)
    assert not encode(work, store, executor, Options(), lambda where: None)  # type: ignore[arg-type]
    assert len(list(store.images.bitstreams.root.rglob("*.bin"))) == 3 * 2
    gc.collect()
    assert not nodes.results


def undecodable(spec: object, bitstream: object) -> NoReturn:
    raise ValueError("not here")


@pytest.mark.parametrize("decodes", [True, False])
def test_bitstreams_travel_where_decoding_takes_less_time(
    decodes: bool,
    tmp_path: Path,
    undisturbed: dict[str, list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only those of codecs without weights. If the VLM's worker cannot decode, it gets pixels."""
    monkeypatch.setattr(reconstruction, "_NETWORK_BYTES_S", 1e-6)
    if not decodes:
        monkeypatch.setattr(reconstruction, "_decoded", undecodable)
    name = reconstruction._decoded.__name__.encode()
    nodes, messages = Nodes(), []
    call = nodes.call

    def watched(actor: Any, message: bytes, references: Sequence[Any], most: int) -> Any:
        if name in message:
            messages.append(message)
        return call(actor, message, references, most)

    nodes.call = watched  # type: ignore[method-assign]
    run_on(nodes, todo(tmp_path), tmp_path / "run")
    assert lines(tmp_path / "run") == undisturbed
    assert messages
    assert not any(b"fake-neural" in message for message in messages)


def test_uncompressed_images_whose_bitstreams_are_stored_are_not_sent(tmp_path: Path) -> None:
    work, root = fake_work(), tmp_path / "run"
    store, local = Store(root), Store(tmp_path / "local")
    for one in (store, local):
        one.create()
    run(work, local, SerialExecutor(), SilentProgress(), Options(batch=4))
    assert not encode(work, store, SerialExecutor(), Options(), lambda where: None)
    nodes = Nodes()
    run_on(nodes, work, root)
    assert lines(root) == lines(tmp_path / "local")
    assert not nodes.sent
    gc.collect()
    assert not nodes.results


def test_arrays_that_are_not_kept_stay_in_the_reply() -> None:
    arrays = [np.full((2, 3, 3), n, np.uint8) for n in range(3)]
    message, references = dump_call((list, (arrays,), {}), lambda array: array)
    assert len(references) == 3
    reply, kept = answer_remote_call(message, references, 2)
    ok, (first, second, third) = load_reply(reply, kept)
    assert ok
    assert isinstance(first, RemoteArray)
    assert (second.shape, second.dtype, second.nbytes) == ((2, 3, 3), np.dtype(np.uint8), 18)
    np.testing.assert_array_equal(third, arrays[2])
    message, references = dump_call((np.mean, (first,), {}), lambda array: array)
    assert references == [first.reference]


def test_an_error_of_a_call_with_arrays_is_in_the_reply() -> None:
    message, references = dump_call((int, (np.zeros(9),), {}), lambda array: array)
    ok, error = load_reply(*answer_remote_call(message, references, 1))
    assert not ok
    assert isinstance(error, TypeError)
