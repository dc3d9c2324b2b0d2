"""Runs: encode ahead, estimate, run, analyse, tables, reports, records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from eyechart.core.errors import InputError
from eyechart.core.files import check_out, is_dir
from eyechart.core.plugins import split_specs
from eyechart.runner.plan import Plan, changed, load_plan, make_plan

if TYPE_CHECKING:
    from eyechart.analysis.findings import PaperFinding
    from eyechart.analysis.result import Analysis
    from eyechart.core.attempt import Failed
    from eyechart.core.workers import OpenWorkers
    from eyechart.runner.engine import Outcome
    from eyechart.runner.estimate import Estimate
    from eyechart.runner.export_records import RecordRow
    from eyechart.runner.progress import Progress
    from eyechart.runner.rescore import RescoreResult


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
    """

    workers: int | None
    codec_device: str
    codec_batch: int | None
    decoded_gb: float
    wait: bool
    open_workers: OpenWorkers


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
    **settings: Unpack[RunSettings],
) -> Outcome:
    """Answer all questions of a plan that the run directory lacks.

    An interrupted run keeps its answers; the same call continues it.

    plan: as for `open_plan`. out: the run directory.
    progress: receives the progress (`eyechart.api.progress.Progress`). log: instead of it, called
        with lines of progress, for example `print`.
    strict: raise if a VLM cannot be used; otherwise `unusable` of the outcome says so.
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
    outcome = run_plan(open_plan(plan, **keys), Path(out), watching, Options(**options))
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
    return encode_plan(open_plan(plan, **keys), Path(out), Options(**options), advance)


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

    if rate is not None and not rate > 0:
        raise InputError(f"rate {rate}: allowed: more than 0")
    measured = None if rates is None else load_rates(Path(rates))
    return estimate_plan(open_plan(plan), rate=rate, rates=measured, published=published_codecs())


def analyse(
    run_directory: str | Path, *, fresh: bool = False, data: str | Path | None = None
) -> Analysis:
    """The analysis of a run: scores, curves, BD-Metrics with 95 % intervals, gaps.

    It is stored as `analysis.json` in the run directory and made again when answers or scores
    change.

    fresh: make it again in any case. data: folder with the tasks' files, if it has moved.

    Raises:
        InputError: not a run directory, no answers in it, a task or its data not found.
        StoreError: a damaged record.

    Examples:
        >>> analysis = eyechart.analyse("out/first")
        >>> sorted({cell.codec for cell in analysis.cells})
        ['jpeg', 'source']
        >>> [bd.codec for bd in analysis.bd]
        ['jpeg']
    """
    from eyechart.analysis.files import analysis_of

    place = None if data is None else str(data)
    return analysis_of(Path(run_directory), fresh=fresh, data=place)


def table(
    run_directory: str | Path,
    kind: Literal["bd", "scores", "gap", "adapter", "icm", "pairs"] = "bd",
    form: Literal["md", "csv", "latex", "json"] = "md",
) -> str:
    """A table of a run as text; empty if the run has no table of that kind.

    Examples:
        >>> "POPE" in eyechart.table("out/first", "bd", "csv")
        True
    """
    from eyechart.analysis.render import render
    from eyechart.analysis.tables import tables_of

    return render(tables_of(analyse(run_directory), kind), form)


def write_report(
    run_directory: str | Path,
    out: str | Path | None = None,
    *,
    fresh: bool = False,
    data: str | Path | None = None,
) -> Path:
    """Write the HTML report of a run, one file that needs no network; -> its path.

    out: the file; None: `report.html` in the run directory. fresh, data: as for `analyse`.

    Raises:
        InputError: as `analyse`; the file cannot be written.

    Examples:
        >>> eyechart.write_report("out/first").name
        'report.html'
    """
    from eyechart.report.html import write_report as write

    path = Path(run_directory) / "report.html" if out is None else Path(out)
    if is_dir(run_directory):
        check_out(path)
    write(analyse(run_directory, fresh=fresh, data=data), path)
    return path


def findings(run_directory: str | Path, *, data: str | Path | None = None) -> list[PaperFinding]:
    """The five findings of the paper, each supported, contradicted or not shown by a run.

    data: as for `analyse`. Returns `number`, `claim`, `verdict` and `evidence` of each.

    Raises:
        InputError: as `analyse`.

    Examples:
        >>> [finding.verdict for finding in eyechart.findings("out/first")]
        ['not shown', 'not shown', 'not shown', 'not shown', 'not shown']
    """
    from eyechart.analysis.findings import paper_findings

    return paper_findings(analyse(run_directory, data=data))


def write_figure(
    run_directory: str | Path,
    name: str,
    out: str | Path,
    *,
    width_mm: float = 88.0,
    vlm: str | None = None,
    task: str | None = None,
    data: str | Path | None = None,
) -> tuple[Path, Path]:
    """Draw a figure of the paper from a run; -> its file, and the CSV with its numbers beside it.

    name: the paper's number or a word (`3a` or `radar-vlms`, `4` or `curves`, ...). out: a .svg,
    .pdf or .png file. width_mm: a column of a paper has about 88. vlm, task: show only this one.
    data: as for `analyse`.

    Raises:
        InputError: as `analyse`; no such figure, VLM or task; the run lacks what the figure shows.
        PluginError: matplotlib is not installed (the extra `plot`).
        StoreError: a file cannot be written.

    Examples:
        >>> figure, numbers = eyechart.write_figure("out/first", "curves", "curves.svg")
        >>> numbers.name
        'curves.csv'
    """
    from eyechart.report.figures import write_figure as write

    check_out(Path(out))
    analysis = analyse(run_directory, data=data)
    return write(analysis, name, Path(out), width_mm=width_mm, vlm=vlm, task=task)


def records(run_directory: str | Path, *, data: str | Path | None = None) -> list[RecordRow]:
    """Every answered or failed question of a run as one row, ready for `pandas.DataFrame`.

    All rows have the same columns; docs/export.md describes them. Values that a failed question
    lacks are None. The run may still be going on.

    Raises:
        InputError: not a run directory, no records, a task or its data not found.
        StoreError: a damaged record.

    Examples:
        >>> rows = eyechart.records("out/first")
        >>> {row["codec"] for row in rows} == {"source", "jpeg"}
        True
        >>> all(0 <= row["score"] <= 1 and row["bpp"] > 0 for row in rows)
        True
    """
    from eyechart.runner.export_records import record_rows
    from eyechart.store import Store

    store = Store(Path(run_directory))
    store.require()
    return list(record_rows(store, None if data is None else str(data)))


def export_records(
    run_directory: str | Path,
    out: str | Path,
    form: Literal["csv", "parquet"] | None = None,
    *,
    data: str | Path | None = None,
) -> int:
    """Write the rows of `records` to a file; -> their number. Parquet needs the extra `parquet`.

    form: None: by the file's ending.

    Raises:
        InputError, StoreError: as `records`; the file cannot be written.

    Examples:
        >>> eyechart.export_records("out/first", "first.csv") == len(eyechart.records("out/first"))
        True
    """
    from eyechart.runner.export_records import export_records as write
    from eyechart.runner.export_records import format_of
    from eyechart.store import Store

    path = Path(out)
    chosen = format_of(path) if form is None else form
    store = Store(Path(run_directory))
    store.require()
    check_out(path)
    return write(store, path, chosen, None if data is None else str(data))


def rescore(
    run_directory: str | Path, *, data: str | Path | None = None, wait: bool = False
) -> RescoreResult:
    """Score the stored answers of a run again with the scorers of this version. No VLM is run.

    data: folder with the tasks' files, if it has moved. wait: wait while a run writes to the
        directory, instead of raising.

    Returns the numbers of `cells`, of `records` and of scores that `changed`.

    Raises:
        InputError: not a run directory, a task or its data not found, other questions than those
            that were answered.
        StoreError: a damaged record; a run writes to the directory.

    Examples:
        >>> eyechart.rescore("out/first").changed
        0
    """
    from eyechart.runner.rescore import rescore as rescore_run
    from eyechart.store import Store

    store = Store(Path(run_directory))
    store.require()
    with store.rewriting(wait=wait):
        return rescore_run(store, None if data is None else str(data))
