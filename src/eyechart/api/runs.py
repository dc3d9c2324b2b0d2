"""Runs: plan, estimate, encode ahead, run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from eyechart.core.errors import InputError
from eyechart.core.plugins import split_specs
from eyechart.runner.plan import Plan, changed, load_plan, make_plan
from eyechart.store.remote import reading, writing

if TYPE_CHECKING:
    from eyechart.core.attempt import Failed
    from eyechart.core.workers import OpenWorkers
    from eyechart.runner.engine import Outcome
    from eyechart.runner.estimate import Estimate
    from eyechart.runner.progress import Progress


class PlanKeys(TypedDict, total=False):
    """Values instead of those of the plan; None leaves the plan's.

    vlms, tasks, codecs, adapters: names with options; several in one text are separated by commas.
        VLMs come without the plan's adapters, and codecs beside `source`, the uncompressed image.
    data: folder with the tasks' files; all its images are used, without `max_images`.
    max_images: number of images of each task. choice_set: VLMs choose one of a question's answers.
    title: of the report.
    """

    vlms: str | Sequence[str] | None
    tasks: str | Sequence[str] | None
    codecs: str | Sequence[str] | None
    adapters: str | Sequence[str] | None
    data: str | Path | None
    max_images: int | None
    choice_set: bool | None
    title: str | None


class EncodeOptions(TypedDict, total=False):
    """How codecs work in a run; no option changes a result.

    workers: processes for codecs without weights; 0: none; None: one per CPU core.
    codec_device, codec_batch: device of codecs with weights, and images in one call of them.
    decoded_gb: disk space for decoded images, in GB.
    wait: wait while another run writes to the directory, instead of raising.
    open_workers: opens the workers (`eyechart.core.workers.OpenWorkers`); default: processes of
        this machine.
    ray: address of a Ray cluster (`HOST:PORT`, `auto`) that the workers are on; "": a local Ray
        that is started and ended; None: no Ray.
    """

    workers: int | None
    codec_device: str
    codec_batch: int | None
    decoded_gb: float
    wait: bool
    open_workers: OpenWorkers
    ray: str | None


class RunOptions(EncodeOptions, total=False):
    """How a run works, besides `EncodeOptions`; no option changes a result.

    device: see `open_vlm`.
    batch: questions passed to each copy of a VLM at once; None: the VLM's preference.
    retry_failed: ask questions again that failed permanently in an earlier run.
    """

    device: str
    batch: int | None
    retry_failed: bool


class RunSettings(PlanKeys, RunOptions, total=False):
    """All keyword arguments of `run` that change the plan or how it is run."""


class EncodeSettings(PlanKeys, EncodeOptions, total=False):
    """All keyword arguments of `encode` that change the plan or how it is encoded."""


def open_plan(
    plan: Plan | Mapping[str, Any] | str | Path = "quick", /, **keys: Unpack[PlanKeys]
) -> Plan:
    """A plan: a built-in one (`quick`, `paper`), a YAML file, or its keys as a mapping.

    keys: values instead of the plan's (`PlanKeys`).

    Raises:
        InputError: no such file, not YAML, an unknown or missing key, a value of a wrong kind.

    Examples:
        >>> eyechart.open_plan("quick", codecs="jpeg,webp", max_images=5).max_images
        5
    """
    given: dict[str, Any] = {key: value for key, value in keys.items() if value is not None}
    for key in ("vlms", "tasks", "codecs", "adapters"):
        if isinstance(given.get(key), str):
            given[key] = split_specs(given[key])
    if "data" in given:
        given["data"] = str(given["data"])
    if isinstance(plan, Mapping):
        return changed(make_plan(dict(plan), "mapping"), given, "mapping")
    found = plan if isinstance(plan, Plan) else load_plan(str(plan))
    return changed(found, given, "arguments" if isinstance(plan, Plan) else str(plan))


def run(
    plan: Plan | Mapping[str, Any] | str | Path = "quick",
    *,
    out: str | Path,
    progress: Progress | None = None,
    log: Callable[[str], None] | None = None,
    strict: bool = True,
    command: str = "",
    most_questions: int | None = None,
    **settings: Unpack[RunSettings],
) -> Outcome:
    """Answer all questions of a plan that the run directory lacks.

    An interrupted run keeps its answers; the same call continues it.

    plan: as for `open_plan`. out: the run directory.
    progress: receives the progress (`eyechart.api.progress.Progress`). log: instead of it, called
        with lines of progress, for example `print`.
    command: what was typed to run it, for the report.
    strict: raise if a VLM cannot be used; otherwise `unusable` of the outcome says so.
    most_questions: refuse to ask VLMs behind servers more than this in all; None: any number.
    settings: values instead of the plan's (`PlanKeys`), and how to run it (`RunOptions`).

    Returns the outcome: `answered`, `failed`, `clean` (every question has an answer), ...

    Raises:
        InputError: something in the plan cannot be used; nothing was written.
        UnusableVLMError: a VLM cannot be used; the answers of the others are stored.
        StoreError: the run directory cannot be used, or another run writes to it.

    Examples:
        >>> outcome = eyechart.run(
        ...     "quick", out="out/first", tasks="POPE", codecs="jpeg", adapters="none",
        ...     max_images=2, workers=0,
        ... )
        >>> outcome.clean
        True
    """
    from eyechart.runner.options import Options
    from eyechart.runner.progress import ProgressLines, SilentProgress
    from eyechart.runner.start import run_plan

    keys, options = _parted(settings)
    watching = progress or (SilentProgress() if log is None else ProgressLines(log))
    opened, chosen = open_plan(plan, **keys), Options(**options)
    with writing(out, wait=chosen.wait, note=watching.note) as folder:
        outcome = run_plan(opened, folder, watching, chosen, command, most_questions=most_questions)
    if strict:
        outcome.raise_unusable()
    return outcome


def encode(
    plan: Plan | Mapping[str, Any] | str | Path = "quick",
    *,
    out: str | Path,
    advance: Callable[[str, int], None] = lambda what, total: None,
    **settings: Unpack[EncodeSettings],
) -> list[Failed]:
    """Encode and decode a plan's images into a run directory, without asking a VLM.

    The plan's VLMs and adapters need not be on this machine. `run` with the same plan and directory
    finds the images. Every bitstream is stored, and the decoded images of codecs that decode
    slowly, up to `decoded_gb`.

    plan, out: as for `run`.
    advance: called after each image with its task, codec and level, and the number of all images.
    settings: values instead of the plan's (`PlanKeys`), and how to encode (`EncodeOptions`).

    Returns the failures, one for each image that could not be made: `stage`, `message`, ...

    Raises:
        InputError, StoreError: as `run`.

    Examples:
        >>> plan = {"vlms": "eyechart-mini", "tasks": "POPE", "codecs": "jpeg", "max_images": 2}
        >>> eyechart.encode(plan, out="out/ahead", workers=0)
        []
        >>> eyechart.run(plan, out="out/ahead", workers=0).clean
        True
    """
    from eyechart.runner.options import Options
    from eyechart.runner.start import encode_plan

    keys, options = _parted(settings)
    opened, chosen = open_plan(plan, **keys), Options(**options)
    with writing(out, wait=chosen.wait) as folder:
        return encode_plan(opened, folder, chosen, advance)


def _parted(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keys of the plan, and options."""
    keys = {key: value for key, value in settings.items() if key in PlanKeys.__annotations__}
    return keys, {key: value for key, value in settings.items() if key not in keys}


def estimate(
    plan: Plan | Mapping[str, Any] | str | Path = "quick",
    *,
    rate: float | None = None,
    rates: str | Path | None = None,
) -> Estimate:
    """Estimate of a plan: cells, images, questions, disk space, time. Runs no VLM.

    The codecs are timed on one image. rate: questions per second of every VLM. rates: a YAML file
    of measured speeds, or a run directory; None: those that ship with eyechart.

    Raises:
        InputError: something in the plan, or the rates, cannot be used.

    Examples:
        >>> plan = {"vlms": "eyechart-mini", "tasks": "POPE", "codecs": ["source", "jpeg"]}
        >>> found = eyechart.estimate(plan, rate=100)
        >>> found.cells
        5
        >>> found.answer_s() == found.questions / 100
        True
    """
    from eyechart.paper.codecs import published_codecs
    from eyechart.runner.estimate import estimate as estimate_plan
    from eyechart.runner.rates import load_rates

    if rate is not None and not 0 < rate < math.inf:
        raise InputError(f"rate {rate}: allowed: more than 0, and finite")
    measured = None
    if rates is not None:
        with reading(rates) as place:
            measured = load_rates(place)
    return estimate_plan(open_plan(plan), rate=rate, rates=measured, published=published_codecs())
