"""The drop against uncompressed of a VLM in several sizes, as tables (paper Fig. 5, 21, 22)."""

from __future__ import annotations

from eyechart.analysis.result import Analysis, ScalingResult, per_device_codecs
from eyechart.analysis.table import Entry, Table, TableRow, entry_of, same_decimals, signed
from eyechart.analysis.table_notes import device_note, distinct, intervals_legend, some


def scaling_tables(analysis: Analysis) -> list[Table]:
    """The slope of each series and task, and the drops of each size."""
    codecs = distinct(one.codec for one in analysis.scaling)
    sizes = {
        vlm: size
        for one in analysis.scaling
        for vlm, size in zip(one.vlms, one.parameters, strict=True)
    }
    named = ", ".join(f"{vlm} {size / 1e6:,.4g}" for vlm, size in sizes.items())
    legend = " · ".join(
        filter(None, (f"millions of parameters: {named}", intervals_legend(analysis)))
    )
    slopes, drops = [], []
    for series, task in distinct((one.series, one.task) for one in analysis.scaling):
        found = {
            one.codec: one for one in analysis.scaling if (one.series, one.task) == (series, task)
        }
        slopes.append(TableRow(keys=(series, task), entries=_slopes(analysis, found, codecs)))
        for vlm in distinct(vlm for one in found.values() for vlm in one.vlms):
            entries = [_drop(found.get(codec), vlm) for codec in codecs]
            drops.append(TableRow(keys=(task, vlm), entries=same_decimals(entries)))
    return [
        *some(
            Table(
                title="Change of the drop for twice the parameters, in points; "
                "below 0 a larger VLM loses less",
                keys=("VLM", "task"),
                column_kind="codec",
                columns=codecs,
                rows=tuple(slopes),
                legend=legend,
            )
        ),
        *some(
            Table(
                title="Drop against the uncompressed image, "
                "the mean over the levels that all sizes have",
                keys=("task", "VLM"),
                column_kind="codec",
                columns=codecs,
                rows=tuple(drops),
                legend=legend,
            )
        ),
    ]


def _slopes(
    analysis: Analysis, found: dict[str, ScalingResult], codecs: tuple[str, ...]
) -> tuple[Entry, ...]:
    per_device = per_device_codecs(analysis)
    entries = [
        entry_of(found[codec].slope, notes=(*found[codec].flags, *device_note(codec, per_device)))
        if codec in found
        else Entry(value=None)
        for codec in codecs
    ]
    return signed(same_decimals(entries), fewer_is_better=True)


def _drop(found: ScalingResult | None, vlm: str) -> Entry:
    if found is None or vlm not in found.vlms:
        return Entry(value=None)
    return entry_of(found.drops[found.vlms.index(vlm)])
