"""Running a plan, or encoding its images in advance: checks and leases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from eyechart.core import plugins
from eyechart.core.attempt import Failed
from eyechart.core.errors import UnusableVLMError, in_one_line
from eyechart.core.hooks import HasImageFiles
from eyechart.core.workers import ClusterWorkers, let_threads_sleep
from eyechart.runner.cluster import NodeWatch, check_codecs, on_cluster
from eyechart.runner.costs import refuse_many, words_before
from eyechart.runner.engine import Outcome, encode, refusals, run
from eyechart.runner.options import Options
from eyechart.runner.plan import Plan
from eyechart.runner.progress import Progress
from eyechart.runner.rates import keep_rates
from eyechart.runner.reconstruction import open_executor
from eyechart.runner.resolve import resolve, run_info
from eyechart.runner.same_data import refuse_other_data
from eyechart.runner.work import Work
from eyechart.store import Store
from eyechart.vlms.devices import codec_devices
from eyechart.vlms.token_cost import Prices


def run_plan(
    plan: Plan,
    out: Path,
    progress: Progress,
    options: Options,
    command: str = "",
    prices: Prices | None = None,
    most_questions: int | None = None,
) -> Outcome:
    """Answer all questions of the plan that the run directory lacks.

    command: what was typed, which is noted in the directory. prices: of the VLMs' tokens, for what
    is said before the first question; None: those that the VLMs know. most_questions: how many may
    be asked of VLMs behind servers; None: any number.

    Nothing is written before everything that the plan names was found. A VLM that cannot be used
    is listed in `Outcome.unusable`, and the others answer.

    Raises:
        InputError: a name, option, level or file of the plan cannot be used, or none of its VLMs;
            the directory holds answers about another version of a task's data; too many questions.
        StoreError: the directory cannot be used or written, or another run writes to it.
    """
    let_threads_sleep()
    with on_cluster(options) as options_there:
        return _run_plan(plan, out, progress, options_there, command, prices, most_questions)


def _run_plan(
    plan: Plan,
    out: Path,
    progress: Progress,
    options: Options,
    command: str,
    prices: Prices | None,
    most_questions: int | None,
) -> Outcome:
    work = resolve(plan, device=options.device, open_workers=options.open_workers)
    store, devices = Store(out), check_devices(work, options)
    _check_before(store, work, plan)
    refused = refusals(work, store, retry_failed=options.retry_failed)
    reasons = [*work.unusable, *refused.values()]
    if not store.is_run() and len(refused) == len(work.models):
        raise UnusableVLMError(in_one_line(reasons))
    usable = [model for place, model in enumerate(work.models) if place not in refused]
    for reason in reasons if usable else ():
        progress.note(f"not asked, the other VLMs go on: {reason}")
    work = replace(work, models=tuple(usable))
    if most_questions is not None:
        again = options.retry_failed
        refuse_many(work, store, most_questions, retry_failed=again, prices=prices)
    if page := NodeWatch(options.open_workers).page():
        progress.note(page)
    store.create()
    with store.writing([(model.vlm, model.adapter) for model in work.models], wait=options.wait):
        store.write_info(run_info(plan))
        if command:
            store.note_command(command)
        # Before the cells are made, which takes a while for a large plan.
        if words := words_before(work, store, retry_failed=options.retry_failed, prices=prices):
            progress.announce(words)
        executor = open_executor(options.workers, devices, options.open_workers)
        outcome = run(work, store, executor, progress, options)
        outcome.unusable[:0] = reasons
        with store.updating("rates"):
            keep_rates(outcome.speeds, out, options.device)
    return outcome


def encode_plan(
    plan: Plan, out: Path, options: Options, advance: Callable[[str, int], None]
) -> list[Failed]:
    """Fill a run directory with the bitstreams of a plan, and with the decoded images of slow
    codecs, before its VLMs run; -> one failure for each failed image.

    Neither VLMs nor adapters are opened, so they need not be on this machine.

    advance: called after each image with task, codec and level, and the number of all images.

    Raises:
        InputError, StoreError: as `run_plan`.
    """
    with on_cluster(options) as options_there:
        return _encode_plan(plan, out, options_there, advance)


def _encode_plan(
    plan: Plan, out: Path, options: Options, advance: Callable[[str, int], None]
) -> list[Failed]:
    work, store = resolve(plan, models=False), Store(out)
    devices = check_devices(work, options)
    _check_before(store, work, plan)
    store.create()
    with store.encoding(wait=options.wait):
        store.write_info(run_info(plan))
        return encode(
            work,
            store,
            open_executor(options.workers, devices, options.open_workers),
            options,
            lambda what: advance(what, work.images),
        )


def _check_before(store: Store, work: Work, plan: Plan) -> None:
    """Refuse a directory that cannot take the plan, and tasks whose image files are missing, before
    anything is written or asked."""
    if store.is_run():
        if (store.root / "run.json").exists():
            store.info()
        refuse_other_data(store, [part.task for part in work.tasks], run_info(plan).data)
    for part in work.tasks:
        if isinstance(part.task, HasImageFiles):
            with plugins.guarded(part.task.name):
                part.task.check_images(image for image, _ in part.images)


def check_devices(work: Work, options: Options) -> Sequence[str]:
    """The devices of codecs with weights.

    Raises InputError: none of this name; one that is not here, if there are such codecs; a codec
    that a node of a cluster lacks.
    """
    if isinstance(options.open_workers, ClusterWorkers):
        check_codecs(options.open_workers, work.codecs)
        return options.open_workers.devices
    neural = any(entry.neural for entry in work.codecs)
    return codec_devices(options.codec_device, needed=neural)
