"""What a run on a cluster says about its nodes."""

from __future__ import annotations

from eyechart.core.pool import WorkerPool
from eyechart.core.workers import NodeWork
from eyechart.runner.cluster import NodeWatch


class Cluster:
    dashboard = ""

    def __init__(self, **nodes: tuple[int, int]) -> None:
        self.nodes = nodes
        self.hung: list[str] = []

    def by_node(self) -> dict[str, NodeWork]:
        return {
            name: NodeWork(workers=workers, batches=batches, hung=self.hung.count(name))
            for name, (workers, batches) in self.nodes.items()
        }


def test_workers_that_are_alive_are_counted() -> None:
    assert NodeWatch(Cluster(a=(3, 0), b=(1, 0), c=(0, 5))).alive() == ", 4 workers on 2 nodes"
    assert NodeWatch(Cluster(a=(2, 0))).alive() == ", 2 workers on 1 node"


def test_speeds_are_those_of_this_turn() -> None:
    cluster = Cluster(a=(1, 10), b=(1, 0))
    watch = NodeWatch(cluster)
    cluster.nodes = {"a": (1, 11), "b": (1, 3)}
    assert watch.speeds(80, 10.0) == ("about these questions/s by node: b 6.0, a 2.0 (the slowest)")


def test_nothing_is_said_without_a_cluster_or_batches_on_it() -> None:
    for workers in (WorkerPool, Cluster(), Cluster(a=(0, 0))):
        watch = NodeWatch(workers)
        assert watch.alive() == ""
        assert watch.speeds(10, 1.0) == ""


def test_a_node_that_does_not_answer_is_named_once() -> None:
    cluster = Cluster(a=(1, 0), b=(1, 0))
    watch = NodeWatch(cluster)
    assert watch.faults() == []
    cluster.hung += ["b"]
    (line,) = watch.faults()
    assert line.startswith("node b: a call had no answer in time and goes to another worker")
    cluster.hung += ["b", "a"]
    (line,) = watch.faults()
    assert line.startswith("node a: ")
    assert NodeWatch(WorkerPool).faults() == []


def test_the_page_of_the_cluster_is_named() -> None:
    cluster = Cluster(a=(1, 0))
    assert NodeWatch(cluster).page() == ""
    cluster.dashboard = "http://10.0.0.7:8265"
    assert NodeWatch(cluster).page() == "Ray's dashboard: http://10.0.0.7:8265"
    assert NodeWatch(WorkerPool).page() == ""
