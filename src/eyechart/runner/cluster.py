"""Running on a cluster: where the workers are, and whether its nodes have what the plan names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from eyechart.codecs.opening import open_spec
from eyechart.core.types import CodecSpec, is_neural
from eyechart.core.workers import CPU, DEVICE, ClusterWorkers
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

    with ray_workers(options.ray) as cluster:
        workers = cluster.cpus if options.workers is None else options.workers
        yield replace(options, open_workers=cluster, workers=workers)


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
