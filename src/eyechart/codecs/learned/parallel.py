"""Training in one process a device: the group of processes, and the mean of their gradients.

Every process draws the same crops, trains on its share of them, and takes the same step with the
mean of all gradients (data parallel), so that the weights stay equal. The first process is the
caller's; it alone measures and saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from eyechart.core.pool import ctrl_c_blocked, ignore_ctrl_c

_TIMEOUT = timedelta(minutes=30)  # the others wait while the first one measures and saves


@contextmanager
def process_group(
    devices: Sequence[str], call: Callable[..., None], *arguments: Any
) -> Iterator[None]:
    """A group of this process and one more for each device after the first.

    call: of a module, so that other processes can import it. It runs in the others as
    `call(*arguments, device, index)`, index from 1, and has to take as many steps as this one.
    They end with the block.
    """
    spawn = torch.multiprocessing.get_context("spawn")
    with TemporaryDirectory() as folder:
        meeting = (Path(folder) / "group").as_uri()
        others = [
            spawn.Process(target=_run, args=(devices, index, meeting, call, arguments), daemon=True)
            for index in range(1, len(devices))
        ]
        try:
            with ctrl_c_blocked():
                for other in others:
                    other.start()
            _join(devices, 0, meeting)
            yield
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
            for other in others:
                if other.pid is not None:
                    other.kill()
                    other.join()


def mean_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients of all processes by their mean."""
    for parameter in parameters:
        if parameter.grad is not None:
            mean_of(parameter.grad)


def mean_of(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes, in place."""
    dist.all_reduce(values)
    return values.div_(dist.get_world_size())


def _run(
    devices: Sequence[str],
    index: int,
    meeting: str,
    call: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    # If it ended, the first process would wait for it in `_join` and hear no Ctrl-C.
    ignore_ctrl_c()
    _join(devices, index, meeting)
    call(*arguments, devices[index], index)


def _join(devices: Sequence[str], index: int, meeting: str) -> None:
    """Become a member of the group. meeting: the URL of a file through which members find it."""
    device = torch.device(devices[index])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=meeting,
        rank=index,
        world_size=len(devices),
        timeout=_TIMEOUT,
    )
