"""The quality of a run's decoded images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from eyechart.api.runs import EncodeOptions
from eyechart.core import plugins
from eyechart.core.errors import EyechartError
from eyechart.core.plugins import split_specs
from eyechart.store.remote import writing

if TYPE_CHECKING:
    from eyechart.runner.quality import QualityRun

ALL_METRICS = "all"


def measure_quality(
    run_directory: str | Path,
    metrics: str | Sequence[str] = (),
    *,
    data: str | Path | None = None,
    advance: Callable[[str, int, int], None] = lambda doing, done, total: None,
    **settings: Unpack[EncodeOptions],
) -> QualityRun:
    """Measure the decoded images of a run and store the values in its directory.

    Every image of every codec and level is measured once; images that have values are left out, so
    that the same call continues one that was stopped. Tables, figures and the report use the values
    from then on.

    metrics: names, with options; several in one text are separated by commas. None given: PSNR,
        MS-SSIM, PSNR-HVS, VMAF, VIF and XPSNR. `all`: every metric that can be used here.
    data: folder with the tasks' files, if it has moved.
    advance: called with the codec and level, and how many of how many images are done.
    settings: how codecs work (`EncodeOptions`); `decoded_gb` and `ray` have no effect.

    Returns the numbers of images that were `measured` and that had values (`stored`), and
    `failures`, one line for each image, codec or task that could not be measured.

    Raises:
        InputError: not a run directory, nothing to measure in it, an unknown metric, missing
            weights.
        StoreError: a damaged file; another process measures the same directory.

    Examples:
        >>> eyechart.measure_quality("out/first", "psnr,ms-ssim", workers=0).failures
        ()
    """
    from eyechart.runner.options import Options
    from eyechart.runner.quality import measure_quality as measure
    from eyechart.runner.quality import open_metrics
    from eyechart.runner.reconstruction import open_executor
    from eyechart.store import Store
    from eyechart.vlms.devices import codec_devices

    options = Options(**settings)
    opened = open_metrics(_specs(metrics))
    devices = codec_devices(options.codec_device)
    with ExitStack() as stack:
        store = Store(stack.enter_context(writing(run_directory, wait=options.wait)))
        store.require()
        stack.enter_context(store.measuring(wait=options.wait))
        return measure(
            store,
            opened,
            open_executor(options.workers, devices, options.open_workers),
            data=None if data is None else str(data),
            batch_images=options.codec_batch_images,
            advance=advance,
        )


def _specs(metrics: str | Sequence[str]) -> list[str]:
    from eyechart.quality import DEFAULT_METRICS

    if metrics == ALL_METRICS:
        return usable_metrics()
    if isinstance(metrics, str):
        return split_specs(metrics)
    return list(metrics or DEFAULT_METRICS)


def usable_metrics() -> list[str]:
    """Names of all metrics whose packages and weights are here."""
    from eyechart.quality import check_files, open_metric

    found = []
    for name in plugins.names("eyechart.metrics"):
        try:
            metric = open_metric(name)
            with plugins.guarded(name):
                check_files(metric)
        except EyechartError:
            continue
        found.append(name)
    return found
