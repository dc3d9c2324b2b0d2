"""Does a larger VLM lose less? The drop against uncompressed over the size (paper Fig. 5, 21, 22).

A series is a VLM in several sizes: VLMs whose names differ only in the size (Qwen2.5-VL-3B,
Qwen2.5-VL-7B; mini-s, mini-l). The slope is that of a least-squares line through the drops of a
series over the binary logarithm of the number of parameters: points for twice the size. Its
interval is that of the paired bootstrap over images (`analysis.bootstrap`): it says how much the
slope depends on the images that were asked about, not what other VLMs would give.

A larger VLM usually has the higher uncompressed score, so it can lose more points and still keep
the larger share of them. So drops and slopes are also in percent of the uncompressed score.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from eyechart.analysis.bootstrap import interval
from eyechart.analysis.cells import CellData
from eyechart.analysis.measure import Measured
from eyechart.analysis.result import Interval, ScalingResult, VlmInfo
from eyechart.core.types import UNCOMPRESSED, Floats

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([BbMm])(?![a-zA-Z0-9])")
_WORD = re.compile(r"[-_](tiny|small|base|medium|large|xs|xl|[sml])(?= |$)", re.IGNORECASE)
_UNITS = {"b": 1e9, "m": 1e6}


def vlm_infos(
    cells: Sequence[CellData], sizes: Mapping[tuple[str, str], int]
) -> tuple[VlmInfo, ...]:
    """Series and number of parameters of every VLM, in the order of the cells.

    sizes: numbers that runs noted, by name and version. Otherwise the number is the one in the
    VLM's name (`3B`, `500M`), or unknown.
    """
    found: dict[str, VlmInfo] = {}
    for read in cells:
        vlm = read.cell.vlm
        noted = sizes.get((vlm.name, vlm.version))
        found.setdefault(
            read.vlm,
            VlmInfo(
                name=read.vlm,
                series=series_of(read.vlm),
                parameters=noted if noted is not None else _named_size(vlm.name),
            ),
        )
    return tuple(found.values())


def series_of(vlm: str) -> str:
    """The VLM's name without its size: `Qwen2.5-VL-Instruct` of `Qwen2.5-VL-7B-Instruct`."""
    without = re.sub(r"([-_])[-_]+", r"\1", _WORD.sub("", _SIZE.sub("", vlm)))
    return re.sub(r"[-_ ]+(?= |$)", "", without)


def scaling(cells: Sequence[Measured], vlms: Sequence[VlmInfo]) -> Iterator[ScalingResult]:
    """For every series of at least two sizes, task and codec: the drop of each VLM, as the mean
    over the levels that all of them have, and its slope over the size."""
    plain = [measured for measured in cells if not measured.data.adapter]
    uncompressed = {
        (measured.data.vlm, measured.data.task): measured
        for measured in plain
        if measured.data.codec == UNCOMPRESSED
    }
    known = {vlm.name: vlm for vlm in vlms if vlm.parameters}
    groups: defaultdict[tuple[str, str, str], dict[str, dict[str, Measured]]] = defaultdict(dict)
    for measured in plain:
        data = measured.data
        if (
            data.codec != UNCOMPRESSED
            and data.vlm in known
            and (data.vlm, data.task) in uncompressed
        ):
            levels = groups[known[data.vlm].series, data.task, data.codec].setdefault(data.vlm, {})
            levels[data.cell.level.name] = measured
    for (series, task, codec), by_vlm in groups.items():
        names = sorted(by_vlm, key=lambda name: known[name].parameters or 0)
        sizes = [float(known[name].parameters or 0) for name in names]
        shared = set.intersection(*map(set, by_vlm.values()))
        if len(set(sizes)) < 2 or not shared:
            continue
        best = [uncompressed[name, task] for name in names]
        drops = [
            _mean_drop([by_vlm[name][level] for level in sorted(shared)], own)
            for name, own in zip(names, best, strict=True)
        ]
        shares = (
            [_share(drop, own) for drop, own in zip(drops, best, strict=True)]
            if all(own.score > 0 for own in best)
            else []
        )
        yield ScalingResult(
            series=series,
            task=task,
            codec=codec,
            vlms=tuple(names),
            parameters=tuple(sizes),
            levels=len(shared),
            drops=tuple(interval(drop, draws) for drop, draws in drops),
            slope=_slope(sizes, drops),
            shares=tuple(interval(share, draws) for share, draws in shares),
            share_slope=_slope(sizes, shares) if shares else None,
            flags=tuple(
                dict.fromkeys(
                    f"{name}: {uncompressed[name, task].at_chance}"
                    for name in names
                    if uncompressed[name, task].at_chance
                )
            ),
        )


def _mean_drop(levels: Sequence[Measured], uncompressed: Measured) -> tuple[float, Floats]:
    """Uncompressed score less the mean score of the levels, and its draws."""
    scores = float(np.mean([level.score for level in levels]))
    draws = np.mean([level.score_draws for level in levels], axis=0)
    return uncompressed.score - scores, uncompressed.score_draws - draws


def _share(drop: tuple[float, Floats], uncompressed: Measured) -> tuple[float, Floats]:
    """A drop in percent of the uncompressed score, and its draws; NaN where that score is 0."""
    best = np.where(uncompressed.score_draws > 0, uncompressed.score_draws, np.nan)
    return 100 * drop[0] / uncompressed.score, 100 * drop[1] / best


def _slope(sizes: Sequence[float], drops: Sequence[tuple[float, Floats]]) -> Interval:
    """Of the least-squares line, with the paired interval."""
    at = np.log2(sizes) - np.log2(sizes).mean()
    weights = at / (at @ at)
    draws = weights @ np.stack([draw for _, draw in drops])
    return interval(float(weights @ np.array([drop for drop, _ in drops])), draws)


def _named_size(name: str) -> int | None:
    found = _SIZE.search(name)
    return round(float(found[1]) * _UNITS[found[2].lower()]) if found else None
