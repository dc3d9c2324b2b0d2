"""Running on a cluster: where the workers are, and whether its nodes have what the plan names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from eyechart.codecs.opening import open_spec
from eyechart.core.types import CodecSpec, is_neural
from eyechart.core.units import counted
from eyechart.core.workers import CPU, DEVICE, ClusterWorkers, NodeWork, ReportsNodes
from eyechart.runner.options import Options
from eyechart.runner.work import CodecLevels


@contextmanager
def on_cluster(options: Options) -> Iterator[Options]:
    """The options with workers on the cluster that they name, connected while the block runs.

    Raises:
        InputError: the cluster cannot be used.
    """
    if options.ray is None:
        yield options
        return
    from eyechart.core.ray_workers import ray_workers

    with ray_workers(options.ray, whole_nodes=options.device == "map") as cluster:
        workers = cluster.cpus if options.workers is None else options.workers
        yield replace(options, open_workers=cluster, workers=workers)


class NodeWatch:
    """What the nodes of a cluster do in one VLM's turn; says nothing without a cluster."""

    def __init__(self, workers: object) -> None:
        self._workers = workers if isinstance(workers, ReportsNodes) else None
        self._before = {name: node.batches for name, node in self._nodes().items()}
        self._faults: set[str] = set()

    def page(self) -> str:
        """`Ray's dashboard: http://10.0.0.7:8265`; empty without a cluster or that page."""
        if self._workers is None or not self._workers.dashboard:
            return ""
        return f"Ray's dashboard: {self._workers.dashboard}"

    def alive(self) -> str:
        """`, 8 workers on 2 nodes`; empty without a cluster."""
        working = [node.workers for node in self._nodes().values() if node.workers]
        if not working:
            return ""
        return f", {counted(sum(working), 'worker')} on {counted(len(working), 'node')}"

    def faults(self) -> list[str]:
        """A line for each node that has not answered a call; each line once."""
        nodes = self._nodes().items()
        lines = [
            f"node {name}: a call had no answer in time and goes to another worker; "
            "no new worker is started on this node while there are others"
            for name, node in nodes
            if node.hung and name not in self._faults
        ]
        self._faults |= {name for name, node in nodes if node.hung}
        return lines

    def speeds(self, questions: int, seconds: float) -> str:
        """`about these questions/s by node: 10.0.0.7 12.1, 10.0.0.8 4.0 (the slowest)`; empty if
        no copy of the VLM is on a node. Questions are divided in proportion to the batches."""
        batches = {
            name: node.batches - self._before.get(name, 0) for name, node in self._nodes().items()
        }
        total = sum(batches.values())
        if not total or seconds <= 0:
            return ""
        rates = {name: questions * count / total / seconds for name, count in batches.items()}
        slowest = min(rates, key=lambda name: rates[name])
        texts = [f"{name} {rate:.1f}" for name, rate in rates.items() if name != slowest]
        mark = " (the slowest)" if texts else ""
        texts.append(f"{slowest} {rates[slowest]:.1f}{mark}")
        return f"about these questions/s by node: {', '.join(texts)}"

    def _nodes(self) -> Mapping[str, NodeWork]:
        return {} if self._workers is None else self._workers.by_node()


def check_codecs(cluster: ClusterWorkers, codecs: Sequence[CodecLevels]) -> None:
    """Check that every node has the same codecs, with their weights. Raises InputError."""
    for resources, specs in (
        (CPU, [entry.spec for entry in codecs if not entry.neural]),
        (DEVICE, [entry.spec for entry in codecs if entry.neural]),
    ):
        if specs:
            cluster.on_every_node(resources, _check, specs)


def _check(specs: Sequence[CodecSpec]) -> None:
    for spec in specs:
        codec = open_spec(spec)
        if is_neural(codec):
            codec.check()
