"""From a run directory to its analysis: every number in tables and report.

store --records--> measure (score, rate, resampled) --> curves --> BD-Metric
                                                   |
                                                   +--> eq. 1 --> gaps
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from math import isfinite
from pathlib import Path
from typing import Any, get_args

from eyechart.analysis.axis import BPP, Axis
from eyechart.analysis.bootstrap import interval, resample
from eyechart.analysis.cells import (
    CellData,
    cell_label,
    failure_counts,
    joined_sizes,
    planned_levels,
    read_cells,
)
from eyechart.analysis.chance import chance_note, chances
from eyechart.analysis.compare import Comparison, rank_levels
from eyechart.analysis.components import components
from eyechart.analysis.correlation import correlations, quality_means
from eyechart.analysis.deployment import TokenPrices, rates_over, why_unknown
from eyechart.analysis.examples import MAX_SIDE_PX, choose_examples
from eyechart.analysis.flips import flips
from eyechart.analysis.gap import trained_codecs
from eyechart.analysis.kept_recommendation import kept_prices
from eyechart.analysis.measure import Measured, measure_cells
from eyechart.analysis.quality import RunQuality
from eyechart.analysis.result import AdapterInfo, Analysis, CellResult, Interval, TaskInfo
from eyechart.analysis.samples import samples_of
from eyechart.analysis.scaling import scaling, vlm_infos
from eyechart.analysis.stored_images import stored_as
from eyechart.analysis.sums import CellSums, code_of, stored_sums
from eyechart.core import plugins
from eyechart.core.attempt import attempt
from eyechart.core.built_in import BUILT_IN_DATA
from eyechart.core.errors import InputError, PluginError
from eyechart.core.hooks import DrawsSample, HasThresholds, metric_label
from eyechart.core.types import UNCOMPRESSED, CodecCategory, Floats, Task
from eyechart.core.units import counted
from eyechart.core.version import VERSION
from eyechart.store import Store, StoredCell, TaskSize
from eyechart.tasks import open_answered
from eyechart.tasks.sampling import images_to_ask

FLIPS = 2  # questions of a VLM, task and codec that are listed as lost first


def analyse(
    run_dir: Path,
    *,
    samples: int = 1000,
    seed: int = 0,
    examples: int = 6,
    created: str,
    data: str | None = None,
    side_px: int | None = MAX_SIDE_PX,
    axis: Axis = BPP,
    prices: TokenPrices | None = None,
    load: Callable[..., Any] = plugins.load,
) -> Analysis:
    """Analyse what a run has stored so far; cells without any answer are left out.

    samples, seed: of the paired bootstrap. examples: number of questions to show with images.
    created: time of the analysis (ISO 8601, UTC). data: folder with the tasks' files, if it has
    moved. side_px: longest side of these images, which are reduced to it; None: full size.
    axis: of curves and BD-Metrics. prices: of tokens, for the axis usd; None: those of the kept
    recommendation, else list prices. load: opens tasks and codecs.

    The cells of a task whose plug-in fails are left out, and so are those whose place on the axis
    is unknown; `left_out` and `off_axis` of the analysis say why.

    Raises:
        InputError: not a run directory, no answers in it, a task's data not found, or another
            version of the data than was asked; nothing is known of the axis.
        PluginError: no task has a plug-in that works.
        StoreError: a damaged record.
    """
    store = Store(run_dir)
    store.require()
    info = store.info()
    made_from = store.fingerprint()  # first: later answers make this analysis outdated
    cells = read_cells(store)
    if axis.name in ("tokens", "usd"):  # all levels of one size cost the same
        cells = joined_sizes(cells)
    answered = [read for read in cells if read.records]
    unanswered = [read for read in cells if not read.records and read.asked is not None]
    if not answered:
        raise InputError(f"{run_dir}: no answers stored yet; eyechart run --out {run_dir}")
    tasks, broken = tasks_of(answered, data or info.data or None, load)
    quality = RunQuality(store, answered)
    if axis.name == "usd":
        prices = prices or kept_prices(run_dir)
    rates = partial(rates_over, axis, prices=prices)
    measured = _measured(store, answered, tasks, broken, quality, rates, samples=samples, seed=seed)
    _require_rates(measured, run_dir, axis)
    cells, answered, unanswered = (
        [read for read in some if read.task not in broken] for some in (cells, answered, unanswered)
    )
    sizes = {name: _size([read for read in answered if read.task == name]) for name in tasks}
    questions = {read.key: (read.asked or sizes[read.task]).questions for read in answered}
    ranks = rank_levels(measured)
    measured = _by_curve(measured, ranks)
    read_of = [one.data for one in measured]
    lowest = {read.key for read in read_of if ranks[read.key] == 0}
    vlms = vlm_infos(answered, store.sizes())
    comparison = Comparison(measured, questions, planned_levels(cells), unit=axis.unit)
    return Analysis(
        title=info.title or run_dir.resolve().name,
        eyechart_version=VERSION,
        created=created,
        data=Path(info.data).name if info.data else BUILT_IN_DATA,
        tasks=tuple(
            _task_info(name, task, sizes[name], measured)
            for name, task in tasks.items()
            if any(one.data.task == name for one in measured)
        ),
        cells=tuple(
            _cell_result(one, ranks[one.data.key], comparison.loss(one), questions, axis)
            for one in measured
        ),
        bd=tuple(comparison.bd()),
        gaps=tuple(comparison.gaps()),
        icm=tuple(comparison.icm()),
        pairs=tuple(comparison.pairs()),
        examples=tuple(
            choose_examples(read_of, lowest, tasks, store, examples, load, side_px=side_px)
        ),
        failures=failure_counts(cells),
        bootstrap_samples=samples,
        seed=seed,
        adapters=_adapters(answered),
        unanswered=tuple(map(cell_label, unanswered)),
        left_out=tuple(broken.values()),
        vlms=vlms,
        samples=tuple(samples_of(measured, tasks, store, load)) if examples else (),
        flips=tuple(flips(answered, tasks, FLIPS)) if examples else (),
        components=components(answered),
        commands=store.commands(),
        scaling=tuple(scaling(measured, vlms)),
        quality=tuple(quality_means(measured)),
        correlations=tuple(correlations(measured, quality.metrics)),
        made_from=made_from,
        axis=axis,
        off_axis=_off_axis(answered, measured, axis),
    )


def tasks_of(
    cells: Sequence[CellData], data: str | None, load: Callable[..., Any]
) -> tuple[dict[str, Task], dict[str, str]]:
    """Every task of the cells by its label, and why the others cannot be opened.

    Raises:
        InputError: the questions are not those that were answered.
    """
    tasks: dict[str, Task] = {}
    broken: dict[str, str] = {}
    for name, answered in {read.task: read.cell.task for read in cells}.items():
        try:
            tasks[name] = open_answered(answered, data, load)
        except PluginError as error:
            broken[name] = str(error)
    return tasks, broken


def _measured(
    store: Store,
    cells: Sequence[CellData],
    tasks: dict[str, Task],
    broken: dict[str, str],
    quality: RunQuality,
    rates: Callable[[CellSums, CellData], Floats | None],
    *,
    samples: int,
    seed: int,
) -> list[Measured]:
    """Measures the cells, in order. A task whose plug-in fails moves from `tasks` to `broken`.

    Raises:
        PluginError: all tasks fail.
        StoreError: the planned size of a cell exceeds its task.
    """
    planned = {stored.key: stored for stored in store.cells()}
    measured: dict[str, Measured] = {}
    for name, task in list(tasks.items()):
        own = [read for read in cells if read.task == name]
        try:
            with plugins.guarded(own[0].cell.task.name):
                questions = len(task.questions())
                for read in own:
                    planned[read.key].check_asked(questions)
                measured |= _measured_task(
                    task, own, planned, quality, rates, samples=samples, seed=seed
                )
        except PluginError as error:
            broken[name] = str(error)
            del tasks[name]
    if not tasks:
        raise PluginError("; ".join(broken.values()))
    return [measured[read.key] for read in cells if read.key in measured]


def _measured_task(
    task: Task,
    cells: Sequence[CellData],
    stored: Mapping[str, StoredCell],
    quality: RunQuality,
    rates: Callable[[CellSums, CellData], Floats | None],
    *,
    samples: int,
    seed: int,
) -> dict[str, Measured]:
    """Measures all cells of a task whose rates are known, by key, with the same resampling of its
    images."""
    code, chance = code_of(task), cache(partial(chances, task))
    sums = {
        read.key: stored_sums(
            stored[read.key],
            read.records,
            task,
            code,
            chance if read.codec == UNCOMPRESSED else None,
        )
        for read in cells
    }
    images = sorted(set().union(*(found.images for found in sums.values())))
    strata = {
        image: stratum
        for found in sums.values()
        for image, stratum in zip(found.statistics.images, found.statistics.strata, strict=False)
    }
    resampling = resample(images, samples=samples, seed=seed, strata=strata)
    on_axis = (
        (read, found, known)
        for read, found in ((read, sums[read.key]) for read in cells)
        if (known := rates(found, read)) is not None
    )
    measured = {}
    for one in measure_cells(task, on_axis, resampling):
        read, found = one.data, sums[one.data.key]
        note = chance_note(found.chance, resampling) if read.codec == UNCOMPRESSED else ""
        measures = quality.of(read, set(found.images), resampling)
        measured[read.key] = replace(one, quality=measures, at_chance=note)
    return measured


def _require_rates(measured: Sequence[Measured], run_dir: Path, axis: Axis) -> None:
    """Raises InputError if no codec has a place on the axis."""
    if axis != BPP and all(one.data.codec == UNCOMPRESSED for one in measured):
        raise InputError(f"{run_dir}: nothing to show over {axis.name}: {why_unknown(axis.name)}")


def _off_axis(cells: Sequence[CellData], measured: Sequence[Measured], axis: Axis) -> str:
    """One line on the cells whose place on the axis is unknown; "" if there are none."""
    there = {one.data.key for one in measured}
    absent = [read for read in cells if read.key not in there]
    if axis == BPP or not absent:
        return ""
    first, why = cell_label(absent[0]), why_unknown(axis.name)
    return f"{counted(len(absent), 'cell')} over {axis.name}, first {first}: {why}"


def _size(cells: Sequence[CellData]) -> TaskSize:
    """The largest planned size of a task's cells; if none is stored, the number of questions
    asked."""
    planned = [read.asked for read in cells if read.asked is not None]
    if planned:
        return max(planned, key=lambda size: size.questions)
    every = [(one.question_id, one.image) for read in cells for one in read.records]
    every += [(one.question_id, one.image) for read in cells for one in read.failures]
    questions, images = (set(kind) for kind in zip(*every, strict=True))
    return TaskSize(questions=len(questions), images=len(images))


def _task_info(name: str, task: Task, size: TaskSize, cells: Sequence[Measured]) -> TaskInfo:
    names = dict.fromkeys(
        metric for measured in cells if measured.data.task == name for metric in measured.metrics
    )
    asked = [image for image, _ in images_to_ask(task, size.images)]
    whole = len({question.image for question in task.questions()})
    labels = {metric: attempt("score", partial(metric_label, task, metric)) for metric in names}
    return TaskInfo(
        name=name,
        headline_metric=task.headline_metric,
        questions=size.questions,
        images=size.images,
        whole_images=whole if whole > size.images else 0,
        caution=next(measured.caution for measured in cells if measured.data.task == name),
        stored_as=stored_as(task, asked),
        metric_labels={
            metric: label
            for metric, label in labels.items()
            if isinstance(label, str) and label != metric
        },
        thresholds=task.thresholds if isinstance(task, HasThresholds) else (),
        sample_text=task.sample_text if isinstance(task, DrawsSample) else "",
    )


def _by_curve(cells: Sequence[Measured], ranks: Mapping[str, int]) -> list[Measured]:
    """Sorted by the codec's category, by curve, in the order of their first cells, then by rate."""

    def curve(measured: Measured) -> tuple[str, ...]:
        data = measured.data
        return data.vlm, data.adapter, data.task, data.codec

    places = {place: n for n, place in enumerate(dict.fromkeys(map(curve, cells)))}
    order = ("", *get_args(CodecCategory))
    return sorted(
        cells,
        key=lambda one: (
            order.index(one.data.facts.category),
            places[curve(one)],
            ranks[one.data.key],
        ),
    )


def _cell_result(
    measured: Measured,
    rank: int,
    loss: Interval | None,
    questions: Mapping[str, int],
    axis: Axis,
) -> CellResult:
    read = measured.data
    return CellResult(
        key=read.key,
        vlm=read.vlm,
        adapter=read.adapter,
        task=read.task,
        codec=read.codec,
        level=read.cell.level.name,
        rank=rank,
        bpp=measured.bpp,
        total_bpp=measured.total_bpp,
        score=interval(measured.score, measured.score_draws),
        loss=loss,
        metrics={name: value for name, value in measured.metrics.items() if isfinite(value)},
        questions=questions[read.key],
        answered=len(read.records),
        failed=len(read.failures),
        unparsed_share=measured.unparsed_share,
        choices=read.cell.decoding.choice_set,
        reproducible=read.facts.reproducible,
        category=read.facts.category,
        at_chance=measured.at_chance,
        axis_value=None if axis == BPP else measured.rate,
    )


def _adapters(cells: Sequence[CellData]) -> tuple[AdapterInfo, ...]:
    trained = {read.adapter: trained_codecs(read.cell.adapter) for read in cells if read.adapter}
    return tuple(AdapterInfo(name=name, trained_codecs=seen) for name, seen in trained.items())
