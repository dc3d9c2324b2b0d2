"""The drop against uncompressed of a VLM in several sizes, as tables (paper Fig. 5, 21, 22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from eyechart.analysis.result import (
    Analysis,
    Interval,
    ScalingResult,
    categories_of,
    per_device_codecs,
)
from eyechart.analysis.table import Entry, Table, TableRow, entry_of, same_decimals, signed
from eyechart.analysis.table_notes import device_note, distinct, intervals_legend, some

# Slope and drops of a result in one unit.
SlopeAndDrops: TypeAlias = Callable[[ScalingResult], tuple[Interval | None, tuple[Interval, ...]]]


def scaling_tables(analysis: Analysis) -> list[Table]:
    """The slope of each series and task, and the drops of each size, in points and in percent of
    the uncompressed score."""
    sizes = {
        vlm: size
        for one in analysis.scaling
        for vlm, size in zip(one.vlms, one.parameters, strict=True)
    }
    named = ", ".join(f"{vlm} {size / 1e6:,.4g}" for vlm, size in sizes.items())
    legend = " · ".join(
        filter(None, (f"millions of parameters: {named}", intervals_legend(analysis)))
    )
    return [
        *_unit_tables(analysis, "points", legend, lambda one: (one.slope, one.drops)),
        *_unit_tables(
            analysis, "% of uncompressed", legend, lambda one: (one.share_slope, one.shares)
        ),
    ]


def _unit_tables(
    analysis: Analysis,
    unit: str,
    legend: str,
    of: SlopeAndDrops,
) -> list[Table]:
    """The tables of slopes and of drops in one unit."""
    codecs = distinct(one.codec for one in analysis.scaling)
    per_device = per_device_codecs(analysis)
    slopes, drops = [], []
    for series, task in distinct((one.series, one.task) for one in analysis.scaling):
        found = {
            one.codec: one for one in analysis.scaling if (one.series, one.task) == (series, task)
        }
        entries = [_slope(found.get(codec), of, per_device) for codec in codecs]
        entries = list(signed(same_decimals(entries), fewer_is_better=True))
        slopes.append(TableRow(keys=(series, task), entries=tuple(entries)))
        for vlm in distinct(vlm for one in found.values() for vlm in one.vlms):
            entries = [_drop(found.get(codec), of, vlm) for codec in codecs]
            drops.append(TableRow(keys=(task, vlm), entries=same_decimals(entries)))
    titles = (
        f"Change of the drop for twice the parameters, {unit}; below 0 a larger VLM loses less",
        f"Drop against the uncompressed image, {unit}; the mean over the levels of all sizes",
    )
    return [
        table
        for title, keys, rows in zip(
            titles, (("VLM", "task"), ("task", "VLM")), (slopes, drops), strict=True
        )
        for table in some(
            Table(
                title=title,
                keys=keys,
                column_kind="codec",
                columns=codecs,
                groups=categories_of(analysis, codecs),
                rows=tuple(rows),
                legend=legend,
            )
        )
    ]


def _slope(found: ScalingResult | None, of: SlopeAndDrops, per_device: tuple[str, ...]) -> Entry:
    slope = of(found)[0] if found else None
    if found is None or slope is None:
        return Entry(value=None)
    return entry_of(slope, notes=(*found.flags, *device_note(found.codec, per_device)))


def _drop(found: ScalingResult | None, of: SlopeAndDrops, vlm: str) -> Entry:
    drops = of(found)[1] if found else ()
    if found is None or vlm not in found.vlms or not drops:
        return Entry(value=None)
    return entry_of(drops[found.vlms.index(vlm)])
