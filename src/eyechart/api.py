"""The public functions of `import eyechart`. The command line is a thin layer over them.

Functions take names as the command line does (`jpeg`, `vvc:preset=fast`, `MMBench:max_images=20`);
options may also be given as keyword arguments. Errors are `EyechartError`s with a message of one
line; `InputError`s are those that the caller can correct.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.images import read_image
from eyechart.core.types import VLM, Codec, Json, Task
from eyechart.runner.plan import Plan, changed, load_plan, make_plan
from eyechart.testing import check_codec, check_task, check_vlm

if TYPE_CHECKING:
    import numpy.typing as npt

    from eyechart.adapters.package import LoadedAdapter
    from eyechart.analysis.bd import Bd
    from eyechart.analysis.result import Analysis
    from eyechart.runner.engine import Outcome
    from eyechart.runner.export_records import Row

__all__ = [
    "Plan",
    "analyse",
    "bd_metric",
    "bd_rate",
    "check_codec",
    "check_task",
    "check_vlm",
    "names",
    "open_adapter",
    "open_codec",
    "open_task",
    "open_vlm",
    "read_image",
    "records",
    "run",
    "table",
    "write_report",
]

Kind: TypeAlias = Literal["codecs", "tasks", "vlms"]
Curve: TypeAlias = "tuple[npt.ArrayLike, npt.ArrayLike]"  # rates in bpp, scores


# --- codecs, tasks, VLMs, adapters ------------------------------------------------------------


def names(kind: Kind) -> list[str]:
    """The names that can be opened: built-in ones and those of installed plug-ins, sorted.

    Examples:
        >>> "jpeg" in eyechart.names("codecs")
        True
    """
    if kind == "vlms":
        from eyechart.vlms import vlm_names

        return vlm_names()
    if kind not in ("codecs", "tasks"):
        raise InputError(f"kind is {kind!r}; allowed: codecs, tasks, vlms")
    return plugins.names(cast("plugins.Group", f"eyechart.{kind}"))


def open_codec(spec: str, /, **options: Json) -> Codec:
    """A codec by name, with options.

    Raises:
        PluginError: unknown name or option, an option of a wrong kind, a missing package.
        InputError: an option's value is not allowed.

    Examples:
        >>> codec = eyechart.open_codec("jpeg", levels=[10, 30])
        >>> [level.name for level in codec.levels]
        ['10', '30']
        >>> import numpy as np
        >>> image = np.zeros((48, 64, 3), np.uint8)  # (height, width, 3), sRGB
        >>> bitstream = codec.encode(image, codec.levels[0])
        >>> bitstream.bpp == 8 * len(bitstream.payload) / (48 * 64)
        True
        >>> codec.decode(bitstream).shape
        (48, 64, 3)
    """
    name, given = plugins.parse_spec(spec)
    codec: Codec = plugins.load("eyechart.codecs", name, {**given, **options})
    return codec


def open_task(spec: str, /, *, data: str | Path | None = None, **options: Json) -> Task:
    """A task (benchmark) by name, with options. Its file is read at the first question.

    data: folder with the task's file, or the file. None: $EYECHART_DATA or $LMUData, else the
        built-in chart, which is also called `eyechart-mini`.

    Raises:
        PluginError: unknown name or option, an option of a wrong kind.
        InputError: an option's value is not allowed.

    Examples:
        >>> task = eyechart.open_task("POPE", data="eyechart-mini")
        >>> question = task.questions()[0]
        >>> task.score(question, question.answer).value
        1.0
        >>> task.image(question.image).dtype
        dtype('uint8')
    """
    from eyechart.tasks import open_task as open_named

    name, given = plugins.parse_spec(spec)
    return open_named(name, {**given, **options}, None if data is None else str(data))


def open_vlm(
    spec: str, /, *, adapter: str | Path | None = None, device: str = "auto", **options: Json
) -> VLM:
    """A VLM by name, Hugging Face id or directory, with options.

    Its weights load with its first answer.

    adapter: a trained adapter by directory or name.
    device: `auto`, `cpu`, `cuda:1`; `cuda:0,cuda:1` or `all` for a copy on each of these GPUs;
        `map` to spread one copy over all GPUs.

    Raises:
        PluginError: unknown name or option, an option of a wrong kind, a missing package.
        InputError: a directory without usable weights; a device or an adapter it cannot take.

    Examples:
        >>> vlm = eyechart.open_vlm("eyechart-mini", device="cpu")
        >>> task = eyechart.open_task("POPE", data="eyechart-mini")
        >>> question = task.questions()[0]
        >>> request = eyechart.Request(
        ...     image=task.image(question.image), prompts=(task.prompt(question, vlm.family),)
        ... )
        >>> [[answer]] = vlm.answer([request], eyechart.Decoding(max_new_tokens=8))
        >>> answer.tokens <= 8
        True
        >>> task.score(question, answer.text).value in (0.0, 1.0)
        True
    """
    from eyechart.vlms import open_vlm as open_named

    name, given = plugins.parse_spec_or_directory(spec)
    chosen: dict[str, Any] = {"device": device, **given, **options}
    return open_named(name, adapter=None if adapter is None else str(adapter), **chosen)


def open_adapter(name_or_directory: str | Path, /) -> LoadedAdapter:
    """A trained adapter from its directory, or by the name of one that ships with eyechart.

    Loads torch. `open_vlm(..., adapter=...)` attaches one to a VLM.

    Raises:
        InputError: not an adapter, or a damaged one.

    Examples:
        >>> adapter = eyechart.open_adapter("universal")
        >>> adapter.config.trained_codecs
        ('source', 'jpeg', 'hevc', 'vvc')
    """
    from eyechart.adapters.package import open_adapter as open_named

    return open_named(name_or_directory)


# --- running and reading a run ----------------------------------------------------------------


def run(
    plan: Plan | Mapping[str, Any] | str | Path = "quick",
    *,
    out: str | Path,
    vlms: str | Sequence[str] | None = None,
    tasks: str | Sequence[str] | None = None,
    codecs: str | Sequence[str] | None = None,
    adapters: str | Sequence[str] | None = None,
    data: str | Path | None = None,
    max_images: int | None = None,
    choice_set: bool | None = None,
    device: str = "auto",
    workers: int | None = None,
    codec_device: str = "auto",
    codec_batch: int | None = None,
    batch: int | None = None,
    decoded_gb: float = 2.0,
    retry_failed: bool = False,
    wait: bool = False,
    log: Callable[[str], None] | None = None,
) -> Outcome:
    """Answer all questions of a plan that the run directory lacks.

    An interrupted run keeps its answers; the same call continues it.

    plan: a built-in plan (`quick`, `paper`), a YAML file, or the plan's keys as a mapping.
    out: the run directory.
    vlms, tasks, codecs, adapters, data, max_images, choice_set: instead of the plan's. VLMs come
        without the plan's adapters, a data folder with all of its images, and codecs beside
        `source`, the uncompressed image.
    device: see `open_vlm`.
    workers: processes for codecs without weights; 0: none; None: one per CPU core.
    codec_device, codec_batch: device of codecs with weights, and images in one call of them.
    batch: questions passed to each copy of a VLM at once; None: the VLM's preference.
    decoded_gb: disk space for decoded images, in GB.
    retry_failed: ask questions again that failed permanently in an earlier run.
    wait: wait while another run writes to the directory, instead of raising.
    log: called with lines of progress, for example `print`.

    Returns the outcome: `answered`, `failed`, `clean` (every question has an answer), ...

    Raises:
        InputError: something in the plan cannot be used; nothing was written.
        UnusableVLMError: a VLM cannot be used; what the others answered is stored.
        StoreError: the run directory cannot be used, or another run writes to it.

    Examples:
        >>> outcome = eyechart.run(
        ...     "quick", out="out/first", tasks="POPE", codecs="jpeg", adapters="none",
        ...     max_images=2, workers=0,
        ... )
        >>> outcome.clean
        True
    """
    from eyechart.runner.progress import Lines, Silent
    from eyechart.runner.start import Options, run_plan

    given = {
        "vlms": vlms,
        "tasks": tasks,
        "codecs": codecs,
        "adapters": adapters,
        "data": None if data is None else str(data),
        "max_images": max_images,
        "choice_set": choice_set,
    }
    chosen = changed(
        _plan(plan), {key: value for key, value in given.items() if value is not None}, "arguments"
    )
    options = Options(
        device=device,
        workers=workers,
        codec_device=codec_device,
        codec_batch=codec_batch,
        batch=batch,
        decoded_gb=decoded_gb,
        retry_failed=retry_failed,
        wait=wait,
    )
    outcome = run_plan(chosen, Path(out), Silent() if log is None else Lines(log), options)
    outcome.raise_unusable()
    return outcome


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
    kind: Literal["bd", "scores", "gap", "adapter"] = "bd",
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
    run_directory: str | Path, out: str | Path | None = None, *, data: str | Path | None = None
) -> Path:
    """Write the HTML report of a run, one file that needs no network; -> its path.

    out: the file; None: `report.html` in the run directory.

    Examples:
        >>> eyechart.write_report("out/first").name
        'report.html'
    """
    from eyechart.report.html import write_report as write

    path = Path(run_directory) / "report.html" if out is None else Path(out)
    write(analyse(run_directory, data=data), path)
    return path


def records(run_directory: str | Path, *, data: str | Path | None = None) -> list[Row]:
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


# --- curves -----------------------------------------------------------------------------------


def bd_metric(
    rates_bpp: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    uncompressed: float | None = None,
    against: Curve | None = None,
) -> Bd:
    """BD-Metric of a rate-metric curve, in units of the score.

    Against the score of uncompressed images: PCHIP over linear bpp, averaged over the curve's own
    range, minus that score. Against another curve: the mean difference over the range that both
    share. This reproduces Tables 2, 4, 5, 16 and 17 of the paper (docs/bd-metric.md).

    rates_bpp, scores: the points, shape (n,) each, n >= 2, in any order.
    uncompressed: a score. against: rates and scores of the other curve. Give one of the two.

    Returns `value`, and warnings in `flags`.

    Raises:
        InputError: fewer than two points, equal rates, a rate not above 0, NaN; no shared range.

    Examples:
        >>> eyechart.bd_metric([0.1, 0.2, 0.3], [60, 70, 80], uncompressed=85).value
        -15.0
        >>> eyechart.bd_metric([0.1, 0.2], [60, 70], against=([0.1, 0.2], [50, 60])).value
        10.0
    """
    from eyechart.analysis import bd

    if against is not None and uncompressed is None:
        return bd.bd_between(rates_bpp, scores, *against)
    if uncompressed is not None and against is None:
        return bd.bd_metric(rates_bpp, scores, uncompressed)
    raise InputError("give either uncompressed=SCORE or against=(rates_bpp, scores)")


def bd_rate(rates_bpp: npt.ArrayLike, scores: npt.ArrayLike, *, against: Curve) -> float:
    """BD-rate between two curves: change of the rate in percent at equal score.

    Negative: fewer bits than `against`. PCHIP of the logarithm of the rate over the score, averaged
    over the scores that both curves reach (Bjontegaard, ITU-T VCEG-M33; interpolation of ITU-T
    HSTP-VID-WPOM).

    rates_bpp, scores: the points, shape (n,) each, n >= 2, in any order; scores rise with the rate.
    against: rates and scores of the other curve.

    Raises:
        InputError: as `bd_metric`; scores that do not rise with the rate; no shared scores.

    Examples:
        >>> scores = [60, 70, 80]
        >>> change = eyechart.bd_rate([0.1, 0.2, 0.4], scores, against=([0.2, 0.4, 0.8], scores))
        >>> round(change, 6)
        -50.0
    """
    from eyechart.analysis.bd import bd_rate_percent

    return bd_rate_percent(rates_bpp, scores, *against)


def _plan(plan: Plan | Mapping[str, Any] | str | Path) -> Plan:
    if isinstance(plan, Plan):
        return plan
    if isinstance(plan, Mapping):
        return make_plan(dict(plan), "mapping")
    return load_plan(str(plan))
