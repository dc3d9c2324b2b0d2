"""Rate-distortion curves of a `codec bench`: BD-rates, a plot, and JSON files.

The rate is the mean of the images' bpp, the quality the mean of their values; MS-SSIM is then
turned into dB, as is usual.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TypeAlias

from eyechart.analysis.bd import bd_rate
from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.files import check_out, require_place
from eyechart.core.identity import finite_json
from eyechart.core.types import Json
from eyechart.quality import QualityMetric, curve_label, label, on_curve
from eyechart.report.plots import check_plot, save_plot
from eyechart.report.style import colour, marker, styles
from eyechart.runner.bench import BdRate, Bench, BenchRow
from eyechart.store.files import store_errors, write_atomic

QualityCurve: TypeAlias = list[tuple[float, float]]  # (bpp, quality), lowest rate first

# What CompressAI's `eval_model` calls a metric; others keep their names in small letters.
_COMPRESSAI_NAMES = {"PSNR": "psnr-rgb", "MS-SSIM": "ms-ssim-rgb"}


def curve(rows: Sequence[BenchRow], codec: str, metric: QualityMetric) -> QualityCurve:
    """A codec's points; those without a finite quality are left out.

    Raises PluginError: the metric fails.
    """
    with plugins.guarded(plugins.name_of(metric)):
        points = [
            (row.mean_bpp, float(on_curve(metric, value)))
            for row in rows
            if row.codec == codec and (value := row.quality[label(metric)]) is not None
        ]
    return sorted(point for point in points if isfinite(point[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFiles:
    """Where to write a measurement: all results as JSON, a folder for files in the layout of
    CompressAI, and a plot."""

    json: Path | None = None
    compressai: Path | None = None
    plot: Path | None = None

    def check(self) -> None:
        """Check that all can be written. Raises InputError, PluginError."""
        for file in (self.json, self.plot):
            if file is not None:
                check_out(file)
        if self.plot is not None:
            check_plot(self.plot)
        if self.compressai is not None:
            require_place(self.compressai)

    def write(self, bench: Bench, folder: Path) -> None:
        """Write them. folder: of the images. Raises StoreError."""
        if self.json is not None:
            write_json(bench, folder, self.json)
        if self.compressai is not None:
            write_compressai(bench, self.compressai)
        if self.plot is not None:
            write_plot(bench, self.plot)


def with_bd_rates(bench: Bench, against: str) -> Bench:
    """The measurement with BD-rates against one of its codecs. Raises InputError."""
    return replace(bench, against=against, bd_rates=bd_rates(bench, against))


def bd_rates(bench: Bench, against: str) -> list[BdRate]:
    """BD-rate of every other codec against one of them, metric by metric.

    Raises:
        InputError: `against` was not measured.
    """
    codecs = list(dict.fromkeys(row.codec for row in bench.rows))
    if against not in codecs:
        raise InputError(f"no codec {against!r} to compare with; measured: {', '.join(codecs)}")
    return [
        _bd_rate(bench.rows, codec, against, metric)
        for metric in bench.metrics
        for codec in codecs
        if codec != against
    ]


def _bd_rate(rows: Sequence[BenchRow], codec: str, against: str, metric: QualityMetric) -> BdRate:
    sign = 1 if metric.higher_is_better else -1
    mine, others = (
        ([bpp for bpp, _ in points], [sign * value for _, value in points])
        for points in (curve(rows, codec, metric), curve(rows, against, metric))
    )
    name = curve_label(metric)
    try:
        found = bd_rate(*mine, *others)
    except InputError as error:
        return BdRate(codec=codec, metric=name, percent=None, reason=str(error))
    return BdRate(codec=codec, metric=name, percent=found.value, reason="; ".join(found.flags))


# --- files ------------------------------------------------------------------------------------


def write_json(bench: Bench, folder: Path, path: Path) -> None:
    """All rows with their images, and the BD-rates. Raises StoreError."""
    written: Json = {
        "folder": str(folder),
        "codecs": dict(bench.versions),
        "reproducible": dict(bench.reproducible),
        "rows": [finite_json(asdict(row)) for row in bench.rows],
        "bd_rates": [asdict(one) for one in bench.bd_rates],
        "failures": list(bench.failures),
        "left_out": list(bench.left_out),
    }
    write_atomic(path, _json_bytes(written))


def write_compressai(bench: Bench, folder: Path) -> None:
    """One file for each codec, in the format of `compressai.utils.eval_model` and its `plot`.

    Times are seconds per image. Raises StoreError.
    """
    with store_errors(folder, "be made"):
        folder.mkdir(parents=True, exist_ok=True)
    for codec, version in bench.versions.items():
        rows = [row for row in bench.rows if row.codec == codec]
        results: dict[str, Json] = {
            _COMPRESSAI_NAMES.get(metric.name, metric.name.lower()): [
                row.quality[label(metric)] for row in rows
            ]
            for metric in bench.metrics
        }
        results["bpp"] = [row.mean_bpp for row in rows]
        for key, field in (("encoding_time", "encode_s"), ("decoding_time", "decode_s")):
            seconds = [[getattr(trial, field) for trial in row.trials] for row in rows]
            results[key] = [sum(one) / len(one) for one in seconds]
        written: Json = {
            "name": codec,
            "description": f"eyechart, version {version}",
            "results": results,
        }
        write_atomic(folder / f"{_file_name(codec)}.json", _json_bytes(written))


def write_plot(bench: Bench, path: Path) -> None:
    """Draw every metric over the rate, one panel each. The suffix chooses SVG, PNG or PDF.

    Raises:
        InputError, PluginError: as `check_plot`. StoreError: the file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    codecs = list(dict.fromkeys(row.codec for row in bench.rows))
    figure = Figure(figsize=(6 * len(bench.metrics), 4.5), layout="constrained")
    panels = figure.subplots(1, len(bench.metrics), squeeze=False)[0]
    for panel, metric in zip(panels, bench.metrics, strict=True):
        for codec, style in styles(codecs).items():
            points = curve(bench.rows, codec, metric)
            panel.plot(
                [bpp for bpp, _ in points],
                [value for _, value in points],
                color=colour(style),
                marker=marker(style),
                markersize=4,
                label=codec,
            )
        panel.set_xlabel("rate in bpp")
        panel.set_ylabel(curve_label(metric))
        panel.grid(visible=True, alpha=0.3)
    panels[-1].legend(loc="lower right" if bench.metrics[-1].higher_is_better else "upper right")
    save_plot(figure, path)


def _file_name(codec: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in codec)


def _json_bytes(value: Json) -> bytes:
    return json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"
