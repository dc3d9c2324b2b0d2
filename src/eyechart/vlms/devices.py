"""Devices of a VLM (one, several with a copy on each, or all GPUs for one copy) and of codecs."""

from __future__ import annotations

import re
from importlib.util import find_spec

from eyechart.core.errors import InputError
from eyechart.core.workers import usable_cores

_ALLOWED_CODECS = "auto, cpu, cuda, cuda:1, cuda:0,cuda:1, all"
_ALLOWED = f"{_ALLOWED_CODECS}, map"
# On a CPU: a network computes in one thread, and each worker holds a level in memory.
_CPU_CODEC_WORKERS = 2


def devices_of(wanted: str, allowed: str = _ALLOWED) -> tuple[str, ...]:
    """The devices that get a copy of the VLM; usually one.

    wanted: `all` means every CUDA device of this machine, `cuda:0,cuda:2` these two; all others
    (`auto`, `cpu`, `cuda`, `cuda:1`, `map`) mean one copy. Only `all` loads torch. allowed: what an
    error names.

    Raises:
        InputError: not a device, a device twice, `all` without a CUDA device.
    """
    if not isinstance(wanted, str):  # an option of a plan may have any kind
        raise InputError(f"device {wanted!r}: not text; allowed: {allowed}")
    if wanted == "all":
        import torch

        count = torch.cuda.device_count()
        if not count:
            raise InputError("device 'all': no CUDA device here; allowed: cpu, auto")
        return tuple(f"cuda:{n}" for n in range(count))
    if re.fullmatch(r"auto|map|cuda|mps", wanted):
        return (wanted,)
    names = tuple(name.strip() for name in wanted.split(","))
    for name in names:
        if not re.fullmatch(r"cpu|cuda:\d+", name):
            raise InputError(f"device {wanted!r}: {name!r} is not one; allowed: {allowed}")
    twice = [name for name in names if name != "cpu" and names.count(name) > 1]
    if twice:
        raise InputError(f"device {wanted!r}: {twice[0]} is named twice")
    return names


def codec_devices(wanted: str, *, needed: bool = True) -> tuple[str, ...]:
    """The devices of codecs with weights, one worker each.

    wanted: as for `devices_of`, without `map`; `auto`: all GPUs, else up to two workers on the CPU.
    needed: whether there are such codecs; else the name alone is checked, and the device is `cpu`.
    Loads torch, except for `cpu`, and only if needed.

    Raises:
        InputError: as `devices_of`; a device that this machine does not have.
    """
    if not needed and wanted == "all":
        return ("cpu",)
    if wanted != "auto":
        devices = devices_of(wanted, _ALLOWED_CODECS)
        if "map" in devices:
            raise InputError(f"device 'map' is for VLMs; allowed for codecs: {_ALLOWED_CODECS}")
        if not needed:
            return ("cpu",)
        for device in devices:
            check_present(device)
        return devices
    if not needed or find_spec("torch") is None:
        return ("cpu",)
    import torch

    if torch.cuda.device_count():
        return devices_of("all")
    return ("cpu",) * min(_CPU_CODEC_WORKERS, usable_cores())


def training_devices(wanted: str) -> tuple[str, ...]:
    """The devices of a codec's training, one process each.

    wanted: as for `codec_devices`; `auto` on a CPU: one process.

    Raises:
        InputError: as `codec_devices`.
    """
    devices = codec_devices(wanted)
    return devices[:1] if wanted == "auto" and devices[0] == "cpu" else devices


def check_present(device: str) -> None:
    """Refuse a GPU that this machine does not have. Raises InputError."""
    if device != "map" and not device.startswith(("cuda", "mps")):
        return
    import torch

    if device == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device 'mps': no GPU of Apple here; allowed: cpu, auto")
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise InputError(f"device {device!r}: no CUDA device here; allowed: cpu, auto")
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        raise InputError(f"device {device!r}: allowed: cuda:0 to cuda:{count - 1}")
