"""Which codecs, tasks, VLMs and packages work on this machine; how to get those that do not."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from eyechart.codecs.reconstruct import SourceImage, reconstruct_one
from eyechart.core import plugins
from eyechart.core.errors import BrokenPluginError, CodecError, EyechartError, PluginError
from eyechart.core.hooks import HasFile, HasMissingLevels
from eyechart.core.types import is_neural
from eyechart.core.version import VERSION
from eyechart.core.workers import usable_cores
from eyechart.store.remote import small_downloads

if TYPE_CHECKING:
    from eyechart.core.types import Codec, Rgb8

State = Literal["ready", "missing", "broken"]

# package -> its use
_OPTIONAL = {
    "torch": "VLMs and adapters",
    "transformers": "VLMs",
    "safetensors": "weights",
    "accelerate": "large VLMs over several GPUs",
    "peft": "LoRA adapters",
    "constriction": "codecs with weights",
    "diffusers": "diffusion codecs",
    "matplotlib": "plots and figures",
    "openai": "GPT-4o and servers",
    "pyarrow": "records as parquet",
    "openpyxl": "predictions in xlsx files",
    "ray": "several machines",
    "s3fs": "run directories in an object store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check.

    detail: the version, how to get what is missing, or the error.
    """

    name: str
    state: State
    detail: str


def machine() -> Iterator[CheckResult]:
    """Python, cores, memory, disk, accelerator."""
    yield CheckResult(name="eyechart", state="ready", detail=VERSION)
    yield CheckResult(
        name="Python", state="ready", detail=f"{platform.python_version()} on {platform.platform()}"
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = usable_cores()
    free_gb = shutil.disk_usage(".").free / 1e9
    detail = f"{cores} cores, {memory_gb:.0f} GB memory, {free_gb:.0f} GB free on this disk"
    yield CheckResult(name="hardware", state="ready", detail=detail)
    yield _accelerator()


def codecs() -> Iterator[CheckResult]:
    """Every registered codec, tried at its lowest rate on a small image."""
    import numpy as np

    ramp = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    for name in plugins.names("eyechart.codecs"):
        try:
            codec = plugins.load("eyechart.codecs", name)
            with plugins.guarded(name):
                yield _try_codec(name, codec, ramp)
        except EyechartError as error:
            yield _missing(name, error)


def _try_codec(name: str, codec: Codec, rgb8: Rgb8) -> CheckResult:
    if is_neural(codec):
        codec.check()  # a trial would load weights of any size
    else:
        reconstruct_one(codec, codec.levels[0], SourceImage.of(rgb8, "ramp"))
    detail = f"levels {', '.join(level.name for level in codec.levels)} ({codec.version})"
    if isinstance(codec, HasMissingLevels) and codec.missing_levels:
        detail += f"; {codec.missing_levels}"
    return CheckResult(name=name, state="ready", detail=detail)


def tasks() -> Iterator[CheckResult]:
    """Every registered task and its data."""
    for name in plugins.names("eyechart.tasks"):
        try:
            task = plugins.load("eyechart.tasks", name)
            with plugins.guarded(name), small_downloads():
                questions = task.questions()
                images = len({question.image for question in questions})
                where = task.data_file().origin if isinstance(task, HasFile) else "its own data"
                detail = f"{len(questions):,} questions, {images:,} images from {where}"
        except EyechartError as error:
            yield _missing(name, error)
            continue
        yield CheckResult(name=name, state="ready", detail=detail)


def vlms() -> Iterator[CheckResult]:
    """Every VLM that is known by name, checked without loading or downloading it."""
    from eyechart.vlms import known_vlms, open_vlm, vlm_names
    from eyechart.vlms.families import broken_families, not_ready

    for name, known in known_vlms():
        try:
            missing = not_ready(name, known)
        except PluginError as error:
            yield _missing(known.name, error)
            continue
        state: State = "ready" if missing is None else "missing"
        yield CheckResult(name=known.name, state=state, detail=missing or known.model or known.note)
    for name, why in broken_families().items():
        yield CheckResult(name=name, state="broken", detail=why)
    for name in sorted(set(vlm_names()) - {known.name for _, known in known_vlms()}):
        try:
            with plugins.guarded(name):
                detail = f"version {open_vlm(name).version}"
        except EyechartError as error:
            yield _missing(name, error)
            continue
        yield CheckResult(name=name, state="ready", detail=detail)


def metrics() -> Iterator[CheckResult]:
    """Every registered quality metric, and its weights."""
    from eyechart.quality import check_files, open_metric

    for name in plugins.names("eyechart.metrics"):
        try:
            metric = open_metric(name)
            with plugins.guarded(name):
                check_files(metric)
                detail = f"{metric.name} ({metric.version})"
        except EyechartError as error:
            yield _missing(name, error)
            continue
        yield CheckResult(name=name, state="ready", detail=detail)


def packages() -> Iterator[CheckResult]:
    """The packages that extras install."""
    for name, use in _OPTIONAL.items():
        if find_spec(name) is None:
            detail = f"{use}: {plugins.how_to_install(name)}"
            yield CheckResult(name=name, state="missing", detail=detail)
        else:
            yield CheckResult(name=name, state="ready", detail=f"{_version(name)}: {use}")


def _accelerator() -> CheckResult:
    name = "GPU"
    if find_spec("torch") is None:
        return CheckResult(
            name=name, state="missing", detail="not looked for: torch is not installed"
        )
    torch: Any = __import__("torch")
    if not torch.cuda.is_available():
        return CheckResult(
            name=name, state="missing", detail=f"none that torch {torch.__version__} can use"
        )
    found = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    detail = ", ".join(f"{gpu.name} ({gpu.total_memory / 1e9:.0f} GB)" for gpu in found)
    return CheckResult(name=name, state="ready", detail=detail)


def _missing(name: str, error: EyechartError) -> CheckResult:
    state: State = "broken" if isinstance(error, BrokenPluginError | CodecError) else "missing"
    return CheckResult(name=name, state=state, detail=str(error).removeprefix(f"{name}: "))


def _version(package: str) -> str:
    try:
        return version_of(package)
    except PackageNotFoundError:
        return "?"
