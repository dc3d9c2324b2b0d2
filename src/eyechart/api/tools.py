"""Functions that need no run: measuring codecs, scoring answers, files for other tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.plugins import split_specs
from eyechart.core.pool import WorkerPool
from eyechart.store.remote import url_of, writing

if TYPE_CHECKING:
    from eyechart.core.types import Task
    from eyechart.core.workers import OpenWorkers
    from eyechart.quality import QualityMetric
    from eyechart.runner.bench import Bench, BenchCodec
    from eyechart.runner.export_tsv import TsvExport
    from eyechart.tasks.predictions import Result


def bench_codecs(
    folder: str | Path,
    codecs: str | Sequence[str],
    metrics: str | Sequence[str] = ("psnr", "ms-ssim"),
    *,
    against: str | None = None,
    json: str | Path | None = None,
    compressai: str | Path | None = None,
    plot: str | Path | None = None,
    max_images: int | None = None,
    device: str = "cpu",
    batch_images: int = 8,
    advance: Callable[[str, int, int], None] = lambda doing, done, total: None,
) -> Bench:
    """Measure rate, quality and time of codecs on a folder of images, at all their levels.

    codecs, metrics: names, with options; several in one text are separated by commas.
    against: a codec that is measured, too, for `bd_rates` against it.
    json, compressai, plot: write all results to this file; a file for each codec in the layout of
        CompressAI to this folder; the curves to this .svg, .png or .pdf file.
    max_images: use only the first ones by name.
    device, batch_images: device of codecs with weights, and images in one call of them.
    advance: called with what is done next, the images done and those of all codecs and levels.

    Returns `rows`, one for each codec and level, with means over the images (`mean_bpp`, `quality`,
    ...) and the single measurements; `left_out` and `failures`, a message for each image.

    Raises:
        InputError: a codec that cannot be used, no readable image, a file that cannot be written.
        EyechartError: nothing could be measured; the error of the first failure.

    Examples:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Path("photos").mkdir()
        >>> Image.linear_gradient("L").save("photos/gradient.png")
        >>> low, high = eyechart.bench_codecs("photos", "jpeg:levels=[10,40]", "psnr").rows
        >>> low.mean_bpp < high.mean_bpp and low.quality["PSNR dB"] < high.quality["PSNR dB"]
        True
    """
    from eyechart.report.rate_distortion import BenchFiles, with_bd_rates
    from eyechart.runner.bench import measure
    from eyechart.vlms.devices import codec_devices

    files = BenchFiles(json=_path(json), compressai=_path(compressai), plot=_path(plot))
    files.check()
    opened, opened_metrics, rival = _open_for_bench(codecs, metrics, against)
    found = measure(
        opened,
        Path(folder),
        opened_metrics,
        max_images=max_images,
        device=codec_devices(device)[0],
        batch_images=batch_images,
        report=advance,
    )
    if rival is not None:
        found = with_bd_rates(found, rival)
    files.write(found, Path(folder))
    return found


def _open_for_bench(
    codecs: str | Sequence[str], metrics: str | Sequence[str], against: str | None
) -> tuple[list[BenchCodec], list[QualityMetric], str | None]:
    """The codecs, the metrics, and the label of the codec to compare with."""
    from eyechart.runner.bench import open_codecs

    specs = _specs(codecs)
    if not specs:
        raise InputError("no codec named; give one or more")
    if against is not None and set(specs) <= {against}:
        raise InputError(f"against {against}: a codec to compare with it is missing")
    opened = open_codecs(list(dict.fromkeys(specs if against is None else [*specs, against])))
    rivals = (one.label for one in opened if against in (one.label, one.spec))
    return opened, [_open_metric(spec) for spec in _specs(metrics)], next(rivals, None)


def _open_metric(spec: str) -> QualityMetric:
    """A metric whose name, unit and direction can be read. Raises PluginError, InputError."""
    from eyechart.quality import curve_label, label, open_metric

    metric = open_metric(spec)
    with plugins.guarded(spec):
        _ = label(metric), curve_label(metric), metric.version, metric.higher_is_better
    return metric


def quality_columns(bench: Bench) -> dict[str, list[str]]:
    """The mean quality of each row as text, by the metric's label."""
    from eyechart.quality import label, text

    labels = [label(metric) for metric in bench.metrics]
    return {name: [text(row.quality[name]) for row in bench.rows] for name in labels}


def score(
    task: str | Task, predictions: Mapping[str, str] | str | Path, *, data: str | Path | None = None
) -> Result:
    """Score answers made elsewhere, as VLMEvalKit scores them without a judge.

    task: name, with options, or an open task. predictions: answers by question id, or a file (xlsx,
    tsv, csv, json, jsonl) with the columns index and prediction. data: as for `open_task`.

    Returns `metrics` by name, the share of answers that could not be parsed, and the ids of
    questions without a prediction, which are not scored.

    Raises:
        InputError: a file that cannot be read; an index that the task does not have.

    Examples:
        >>> task = eyechart.open_task("POPE", data="eyechart-mini")
        >>> answers = {question.id: question.answer for question in task.questions()}
        >>> eyechart.score("POPE", answers, data="eyechart-mini").metrics["Overall Overall"]
        100.0
    """
    from eyechart.api.opening import open_task
    from eyechart.tasks.predictions import read_predictions, score_predictions

    opened = open_task(task, data=data) if isinstance(task, str) else task
    if isinstance(predictions, Mapping):
        return score_predictions(opened, predictions, name="predictions")
    path = Path(predictions)
    return score_predictions(opened, read_predictions(path), name=str(path))


def export_tsv(
    task: str,
    codecs: str | Sequence[str],
    *,
    out: str | Path,
    levels: Sequence[str] | None = None,
    data: str | Path | None = None,
    paths: bool = False,
    prompts: str | None = None,
    original_names: bool = False,
    run_directory: str | Path | None = None,
    workers: int | None = None,
    codec_device: str = "auto",
    codec_batch: int | None = None,
    open_workers: OpenWorkers = WorkerPool,
    wait: bool = False,
    advance: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> TsvExport:
    """Write a copy of a task's file for each codec level, for VLMEvalKit and other tools.

    All images are compressed and decoded; a copy has the rows and indices of the original.

    task, codecs: names, with options. out: the folder for the copies, or its URL, not with `paths`.
    levels: by name; None: all.
    data: as for `open_task`. paths: PNG files named in `image_path`, not base64 in `image`.
    prompts: a VLM family whose complete prompt is written into `question`. original_names: a folder
    for each copy, in which it has the name of the task's file. run_directory: use its
    bitstreams, and add to them. workers, codec_device, codec_batch, open_workers, wait: as for
    `run`. advance: called after each image with the copy, the images done and those of all copies.

    Returns `copies`, and `failures`: a message for each copy that could not be made.

    Raises:
        InputError: an unknown name, a missing file, an unreadable image, `out` cannot be written.
        StoreError: the disk is full; another export writes to `out`.

    Examples:
        >>> made = eyechart.export_tsv(
        ...     "POPE:max_images=1", "jpeg:levels=[10]", out="copies", data="eyechart-mini",
        ...     workers=0,
        ... )
        >>> [copied.path.name for copied in made.copies]
        ['POPE-max_images-1_jpeg-levels-10-_10.tsv']
    """
    from eyechart.runner.export_tsv import CopyFormat
    from eyechart.runner.export_tsv import export_tsv as export

    if paths and url_of(out):
        raise InputError(f"{out}: paths needs a folder, as image_path names files of this machine")
    with ExitStack() as stack:
        folder = stack.enter_context(writing(out, wait=wait, images=False))
        run = None
        if run_directory is not None:
            run = stack.enter_context(writing(run_directory, wait=wait))
        return export(
            task,
            _specs(codecs),
            folder,
            levels=levels,
            data=None if data is None else str(data),
            form=CopyFormat(paths=paths, prompts=prompts, original_names=original_names),
            run=run,
            workers=workers,
            codec_device=codec_device,
            codec_batch=codec_batch,
            open_workers=open_workers,
            wait=wait,
            advance=advance,
        )


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _specs(given: str | Sequence[str]) -> list[str]:
    return split_specs(given) if isinstance(given, str) else list(given)
