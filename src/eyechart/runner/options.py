"""How to run a plan: devices, workers, batches, disk space."""

from __future__ import annotations

from dataclasses import dataclass

from eyechart.codecs.reconstruct import check_batch
from eyechart.core.errors import InputError, one_line
from eyechart.core.pool import WorkerPool
from eyechart.core.workers import OpenWorkers
from eyechart.runner.work import Work

# Images of a block. A codec with weights reads each of its levels once for each block.
BLOCK_IMAGES, NEURAL_BLOCK_IMAGES = 16, 64

_RANGES = {
    "workers": (0, 1024),
    "batch": (1, 10**9),
    "decoded_gb": (0, 10**9),
    "block_images": (1, 10**9),
    "ahead": (1, 10**9),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run a plan; no option changes a record.

    device: `auto`, `cpu`, `cuda:1`; `cuda:0,cuda:1` or `all` for a copy of the VLM on each GPU;
        `map` to spread one copy over all GPUs.
    workers: processes for codecs without weights; 0: none; None: one per CPU core.
    codec_device: for codecs with weights, as `device`; `auto`: all GPUs, else up to two workers on
        the CPU.
    codec_batch: images in one call of a codec with weights; None: 8.
    batch: questions passed to each copy of a VLM at once (at least those of one image); None: the
        VLM's preference.
    decoded_gb: disk space for decoded images, in GB (10^9 bytes).
    retry_failed: ask questions again that failed permanently in an earlier run.
    wait: wait while another run writes to the directory, instead of refusing.
    block_images: images that go through all codecs and levels before the next ones; None: 16, or 64
        if a codec has weights.
    ahead: images reconstructed in advance, per worker.
    batch_of_one_cell: never answer questions of two levels together, so that each is timed.
    open_workers: opens the workers of codecs, and those of a VLM with several copies.
    ray: address of a Ray cluster that the workers are on, "" for one on this machine; None: none.
    """

    device: str = "auto"
    workers: int | None = None
    codec_device: str = "auto"
    codec_batch: int | None = None
    batch: int | None = None
    decoded_gb: float = 2.0
    retry_failed: bool = False
    wait: bool = False
    block_images: int | None = None
    ahead: int = 16
    batch_of_one_cell: bool = False
    open_workers: OpenWorkers = WorkerPool
    ray: str | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                shown = one_line(str(value), 60)
                raise InputError(f"{name} is {shown}; allowed: {least:,} to {most:,}")
        check_batch(self.codec_batch)
        if self.ray is not None:
            for name, allowed in (("device", ("auto", "map")), ("codec_device", ("auto",))):
                if (value := getattr(self, name)) not in allowed:
                    shown = one_line(str(value), 60)
                    raise InputError(f"{name} is {shown}; allowed with ray: {', '.join(allowed)}")

    def block_of(self, work: Work) -> int:
        """Images of a block of this work."""
        neural = any(entry.neural for entry in work.codecs)
        return self.block_images or (NEURAL_BLOCK_IMAGES if neural else BLOCK_IMAGES)

    @property
    def codec_batch_images(self) -> int:
        """Images in one call of a codec with weights."""
        return check_batch(self.codec_batch)

    @property
    def decoded_bytes(self) -> int:
        """Disk space for decoded images."""
        return int(self.decoded_gb * 1e9)
