"""Runs on Ray: the same records as without it, also when workers and nodes end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.faults import toy
from eyechart import api
from eyechart.api.progress import Tally
from eyechart.cli import run_args
from eyechart.core.errors import InputError
from eyechart.core.ray_settings import CALL_LIMIT
from eyechart.core.ray_workers import _RayActors
from eyechart.core.records import Record
from eyechart.core.workers import CPU, DEVICE, Resources, worker_device
from eyechart.runner.progress import SilentProgress
from eyechart.store import Store
from tests.run.ray_hang import node_of_the_second

KILLS = int(os.environ.get("EYECHART_RAY_KILLS", "3"))
IMAGES, PER_IMAGE = 8, 3
WAIT_S = 120.0
SIZE = (200, 240)  # large enough to stay on the nodes
PLAN = {"vlms": toy.VLM, "tasks": "POPE", "codecs": ["source", "jpeg"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Questions, and the toy VLM as an installed plug-in of this process and of nodes."""
    folder = tmp_path_factory.mktemp("ray")
    before, path = os.environ.get("PYTHONPATH"), list(sys.path)
    toy.register(folder)
    places = [str(folder), str(Path.cwd()), *filter(None, [before])]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    file = toy.pope(folder / "data", Random(0), images=IMAGES, per_image=PER_IMAGE, size=SIZE)
    yield file.parent
    sys.path[:] = path
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Record]]:
    out = tmp_path_factory.mktemp("local") / "run"
    assert api.run(PLAN, out=out, data=data, workers=0).clean
    return records(out)


@pytest.fixture(scope="module")
def cluster(data: Path) -> Iterator[Any]:
    """A head and another node, as processes of this machine."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # Else every other program of this machine goes before the workers.
    settings = pytest.MonkeyPatch()
    if "RAY_worker_niceness" not in os.environ:
        settings.setenv("RAY_worker_niceness", "0")
    made = None
    try:
        with _busy_machine():
            head = {**node_settings(), "include_dashboard": False}
            made = Cluster(initialize_head=True, head_node_args=head)
            made.add_node(**node_settings())
        yield made
    finally:
        if made is not None:
            made.shutdown()
        settings.undo()


@contextmanager
def _busy_machine() -> Iterator[None]:
    """Ray gives each of its own processes 30 seconds to start, a fixed limit."""
    try:
        yield
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        pytest.skip("this machine is too busy to start Ray")


def node_settings() -> dict[str, int]:
    """A small node. Its agents get their ports here: on a busy machine a node that waits for them
    gives up."""
    agents = ("metrics_agent", "runtime_env_agent", "metrics_export", "dashboard_agent_listen")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in agents]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    named = {f"{agent}_port": port for agent, port in zip(agents, ports, strict=True)}
    return {"num_cpus": 1, "object_store_memory": 80 << 20, **named}


def records(out: Path) -> dict[str, list[Record]]:
    return {stored.key: stored.records() for stored in Store(out).cells()}


class Killer(SilentProgress):
    """Ends something of the cluster after every batch, `times` times, in random order: the process
    of a worker, an actor, or a node. Another node comes after the next batch.

    actors: handles of the actors that were started, as far as they are known.
    """

    def __init__(self, cluster: Any, times: int, actors: list[Any]) -> None:
        self._cluster, self._actors, self._chance = cluster, actors, Random(1)
        kinds = (self._process, self._actor, self._node, self._process, self._actor)
        self.left = [kinds[number % len(kinds)] for number in range(times)]
        self._chance.shuffle(self.left)
        self._missing = 0

    def advance(self, where: str, tally: Tally) -> None:
        while self._missing:
            self._cluster.add_node(**node_settings())
            self._missing -= 1
        if self.left and self.left[-1]():
            self.left.pop()

    def _process(self) -> bool:
        workers = sorted(_workers(self._cluster))
        if workers:
            os.kill(self._chance.choice(workers), signal.SIGKILL)
        return bool(workers)

    def _actor(self) -> bool:
        import ray

        if not self._actors:
            return False
        ray.kill(self._actors.pop(self._chance.randrange(len(self._actors))))
        return True

    def _node(self) -> bool:
        node = self._chance.choice(
            sorted(self._cluster.worker_nodes, key=lambda one: one.unique_id)
        )
        self._cluster.remove_node(node, allow_graceful=False)
        self._missing += 1
        return True


def _workers(cluster: Any) -> Iterator[int]:
    """Processes of actors that the nodes of this cluster have started."""
    raylets = {
        info.process.pid
        for node in [cluster.head_node, *cluster.worker_nodes]
        for info in node.all_processes["raylet"]
    }
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            name = (stat.parent / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if parent in raylets and b"_Actor" in name:
            yield int(stat.parent.name)


@pytest.mark.slow
def test_a_local_ray_gives_the_same_records_and_ends(
    data: Path,
    undisturbed: dict[str, list[Record]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import ray

    out = tmp_path / "run"
    command = toy.run_arguments(data, out, codecs="jpeg")
    code = run_args([*command[:-3], "--no-report", "--ray"])
    printed = capsys.readouterr()
    if "timed out during startup" in printed.err:
        pytest.skip("this machine is too busy to start Ray")
    assert "on 1 node" in printed.out
    assert "questions/s by node" in printed.out
    assert code == 0
    assert records(out) == undisturbed
    assert not ray.is_initialized()


@pytest.mark.slow
def test_what_a_node_lacks_is_named(
    cluster: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = tmp_path / "late"
    late.mkdir()
    (late / "late-1.dist-info").mkdir()
    (late / "late-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: late\nVersion: 1\n"
    )
    (late / "late-1.dist-info" / "entry_points.txt").write_text(
        "[eyechart.vlms]\nonly-here = benchmarks.faults.toy:Toy\n"
    )
    sys.path.append(str(late))
    out = tmp_path / "run"
    command = toy.run_arguments(data, out, vlm="only-here")
    try:
        assert run_args([*command, "--ray", cluster.address]) == 2
    finally:
        sys.path.remove(str(late))
    (line,) = capsys.readouterr().err.splitlines()
    assert "node " in line
    assert "only-here" in line
    assert not out.exists()


@pytest.mark.slow
def test_killed_workers_actors_and_nodes_change_no_record(
    cluster: Any,
    data: Path,
    undisturbed: dict[str, list[Record]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actors: list[Any] = []
    killer = Killer(cluster, KILLS, actors)
    create = _RayActors.create

    def noted(self: _RayActors, resources: Resources, avoid: Collection[str]) -> Any:
        actors.append(create(self, resources, avoid))
        return actors[-1]

    monkeypatch.setattr(_RayActors, "create", noted)
    settings = {"data": data, "ray": cluster.address, "batch": PER_IMAGE}
    with _busy_machine():
        for turn in range(KILLS + 1):
            out = tmp_path / f"run{turn}"
            actors.clear()
            assert api.run(PLAN, out=out, progress=killer, **settings).clean
            assert records(out) == undisturbed
            if not killer.left:
                break
    assert not killer.left


@pytest.mark.slow
def test_a_driver_that_is_killed_is_continued_by_the_same_command(
    cluster: Any, data: Path, undisturbed: dict[str, list[Record]], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [str(data), str(out), cluster.address]
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("ray_child.py")), *command],
        check=False,
        timeout=300,
    )
    assert child.returncode == -signal.SIGKILL
    kept = sum(map(len, records(out).values()))
    assert 0 < kept < sum(map(len, undisturbed.values()))
    assert api.run(PLAN, out=out, data=data, ray=cluster.address).clean
    assert records(out) == undisturbed


def test_a_local_ray_is_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address Ray would look for a cluster that this machine has already."""
    ray = pytest.importorskip("ray")
    from eyechart.core.ray_workers import ray_workers

    asked: list[str] = []

    def init(*, address: str, **settings: object) -> None:
        asked.append(address)
        raise ConnectionError("not started")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match="a local Ray: cannot be used"), ray_workers():
        pass
    assert asked == ["local"]


@pytest.mark.slow
def test_a_vlm_may_have_all_gpus_of_a_node() -> None:
    """Ray believes the number of GPUs that a node is started with: there need be none."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from eyechart.core.ray_workers import ray_workers

    cluster = None
    try:
        with _busy_machine():
            head = {**node_settings(), "include_dashboard": False, "num_gpus": 2}
            cluster = Cluster(initialize_head=True, head_node_args=head)
            cluster.add_node(**node_settings(), num_gpus=3)
        with ray_workers(cluster.address, whole_nodes=True) as workers:
            assert len(workers.devices) == 2
            vlm, codec = workers(0, ("auto",)), workers(1, ("auto",))
            assert vlm.submit(DEVICE, worker_device).result() == "map"
            assert codec.submit(DEVICE, worker_device).result() == "cpu"
        with ray_workers(cluster.address) as workers:
            assert len(workers.devices) == 5
            vlm = workers(0, ("auto",))
            assert vlm.submit(DEVICE, worker_device).result() == "cuda:0"
    finally:
        if cluster is not None:
            cluster.shutdown()


@pytest.mark.slow
def test_a_call_without_an_answer_goes_to_another_node(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from eyechart.core.ray_workers import ray_workers

    monkeypatch.setenv(CALL_LIMIT, "5")  # time for a worker to answer on a busy machine
    cluster, marker = None, tmp_path / "first"
    try:
        with _busy_machine():
            head = {**node_settings(), "include_dashboard": False}
            cluster = Cluster(initialize_head=True, head_node_args=head)
            cluster.add_node(**node_settings(), node_ip_address="127.0.0.2")
        with ray_workers(cluster.address) as workers:
            executor = workers(1)
            second = executor.submit(CPU, node_of_the_second, marker).result(WAIT_S)
            assert second != marker.read_text()
            assert sorted(node.hung for node in workers.by_node().values()) == [0, 1]
            marker.unlink()
            with pytest.raises(InputError, match=r"node [0-9.]+: no answer within 5 s"):
                workers.on_every_node(CPU, node_of_the_second, marker)
    finally:
        if cluster is not None:
            cluster.shutdown()


def test_a_node_with_other_versions_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from eyechart.core.ray_workers import RayWorkers

    class OneNode:
        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 1}

        def nodes(self) -> list[Any]:
            return []

    workers = RayWorkers(OneNode())
    found = [("10.0.0.7", ("0.1.0", "3.10.1"))]
    monkeypatch.setattr(workers, "_on_every_node", lambda *call: found)
    with pytest.raises(
        InputError, match=r"node 10\.0\.0\.7: eyechart 0\.1\.0 on Python 3\.10\.1; this"
    ):
        workers.check_nodes()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "127.0.0.1:1: does not answer"),
        ("nowhere", "nowhere: not an address; allowed: HOST:PORT"),
        ("a:b", "not an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, said: str
) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "run"
    assert run_args([*toy.run_arguments(data, out), "--ray", address]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not out.exists()


def test_a_server_that_is_not_of_ray_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    out, address = tmp_path / "run", f"127.0.0.1:{server.server_port}"
    try:
        assert run_args([*toy.run_arguments(data, out), "--ray", address]) == 2
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    error = capsys.readouterr().err
    assert f"--ray {address}: is no head node of Ray" in error
    assert not out.exists()


def test_without_ray_the_extra_is_named(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    out = tmp_path / "run"
    assert run_args([*toy.run_arguments(data, out), "--ray"]) == 2
    assert "pip install 'eyechart[ray]'" in capsys.readouterr().err
    assert not out.exists()


def test_a_device_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = toy.run_arguments(data, tmp_path / "run")
    assert run_args([*command, "--ray", "--device", "cuda:1"]) == 2
    assert "device is cuda:1; allowed with ray: auto, map" in capsys.readouterr().err
    assert run_args([*command, "--ray", "--device", "map"]) == 2  # this machine has no GPU for Ray
    assert "device is map; allowed on a cluster without GPUs: auto" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
