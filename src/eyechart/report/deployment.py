"""Pictures of a recommendation: the Pareto front, and the time to an answer over the bandwidth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eyechart.analysis.codec_names import codec_label, setting_label
from eyechart.analysis.deployment import crossovers, fastest
from eyechart.analysis.recommend import Recommendation
from eyechart.analysis.times_view import FILES, UNCODED, named_costs
from eyechart.core.errors import InputError
from eyechart.report.plots import check_plot, save_plot
from eyechart.report.style import colour, marker, styles
from eyechart.store.own_files import OwnFiles

if TYPE_CHECKING:
    from matplotlib.axis import Axis

AXES = {
    "bytes": "kB an image",
    "tokens": "visual tokens an image",
    "usd": "US dollars per 1,000 images",
    "seconds": "seconds to an answer",
}
SCALES = {"bytes": 1e-3, "usd": 1e3}
_SIZE_IN = (6.2, 4.2)
_LOG_FROM = 5.0  # ratio of the costs; over less, powers of ten give hardly a tick
_DASHES = ("-", "--", "-.", ":")
_SLOWEST_MBIT, _FASTEST_MBIT = 0.1, 1000.0


def draw_front(found: Recommendation, path: Path) -> None:
    """Loss over cost of every setting with the upper bounds, the Pareto front, the tolerance and
    the recommended setting.

    Raises:
        InputError: the suffix is not of a picture. PluginError: no matplotlib. StoreError.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_IN, layout="constrained")
    axes = figure.subplots()
    scale = SCALES.get(found.saving.unit, 1.0)
    looks = styles(list(dict.fromkeys(one.codec for one in found.settings)))
    known = [one for one in found.settings if np.isfinite(found.saving.of(one.costs))]
    for codec, look in looks.items():
        own = [one for one in known if one.codec == codec]
        axes.errorbar(
            [scale * found.saving.of(one.costs) for one in own],
            [one.loss for one in own],
            yerr=[[0.0] * len(own), [max(0.0, one.upper - one.loss) for one in own]],
            fmt=marker(look),
            color=colour(look),
            markersize=5,
            elinewidth=0.8,
            capsize=2,
            label=codec_label(codec),
        )
    front = [one for one in found.front() if one in known]
    axes.plot(
        [scale * found.saving.of(one.costs) for one in front],
        [one.loss for one in front],
        color="0.6",
        linewidth=1,
        zorder=0,
        label="Pareto front",
    )
    axes.axhline(found.tolerance, color="0.3", linestyle=":", linewidth=1, label="tolerance")
    marked = ((found.best, "recommended", "o", 12), (found.today, "today", "s", 15))
    for one, words, sign, size in marked:
        if one is not None and one in known:
            axes.plot(
                [scale * found.saving.of(one.costs)],
                [one.loss],
                sign,
                color="0.2",
                fillstyle="none",
                markersize=size,
                label=f"{words}: {setting_label(one.codec, one.level)}",
            )
    values = [scale * found.saving.of(one.costs) for one in known]
    if min(values) > 0 and max(values) / min(values) >= _LOG_FROM:
        axes.set_xscale("log")
        _plain_numbers(axes.xaxis)
        axes.tick_params(which="both", length=3)
    axes.set_xlabel(AXES[found.saving.unit])
    axes.set_ylabel("loss and its 95 % bound, points of 100")
    axes.set_title(found.name, parse_math=False, fontsize=10)
    figure.legend(loc="outside lower center", ncols=3, fontsize=7, frameon=False, markerscale=0.6)
    save_plot(figure, path)


def draw_times(found: Recommendation, path: Path, own: OwnFiles | None = None) -> None:
    """Seconds to an answer over the bandwidth, of the good settings that are the fastest somewhere
    and of the uncompressed image and the user's own files, with the crossover points.

    Raises:
        InputError: no such times in this run, or as `draw_front`.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    costs = named_costs(found, own)
    inside = (_SLOWEST_MBIT, _FASTEST_MBIT)
    points = [point for point in crossovers(costs) if inside[0] <= point[0] <= inside[1]]
    plain = [name for name in (FILES, UNCODED) if name in costs]
    shown = dict.fromkeys([*plain, fastest(costs, _SLOWEST_MBIT), *(name for *_, name in points)])
    codec_of = {setting_label(one.codec, one.level): one.codec for one in found.settings}
    looks = styles(list(dict.fromkeys(codec_of.values())))
    bandwidths = np.geomspace(_SLOWEST_MBIT, _FASTEST_MBIT, 200)
    figure = Figure(figsize=_SIZE_IN, layout="constrained")
    axes = figure.subplots()
    drawn: list[str] = []
    for name in filter(None, shown):
        seconds = [costs[name].seconds(float(bandwidth)) for bandwidth in bandwidths]
        values = [value for value in seconds if value is not None]
        if len(values) == len(seconds):
            codec = codec_of.get(name, "")
            hue = colour(looks[codec]) if codec else "0.3" if name == UNCODED else "0.6"
            before = sum(bool(codec) and codec_of.get(other) == codec for other in drawn)
            dashes = _DASHES[before % len(_DASHES)]  # settings of one codec have one colour
            axes.plot(bandwidths, values, label=name, linewidth=1.4, color=hue, linestyle=dashes)
            drawn.append(name)
    if not drawn:
        raise InputError(
            f"{found.name}: no times to draw: those of uncompressed images and of good settings "
            "are unknown"
        )
    for at, _, name in points:
        value = costs[name].seconds(at)
        if value is not None:
            axes.plot([at], [value], "o", color="0.2", markersize=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*inside)
    axes.tick_params(which="both", length=3)
    _plain_numbers(axes.xaxis)
    _plain_numbers(axes.yaxis)
    axes.set_xlabel("bandwidth, Mbit/s")
    axes.set_ylabel("seconds to an answer")
    axes.set_title(found.name, parse_math=False, fontsize=10)
    axes.legend(fontsize=7, frameon=False)
    save_plot(figure, path)


def _plain_numbers(axis: Axis) -> None:
    """Digits instead of powers of ten."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
