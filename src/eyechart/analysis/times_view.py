"""The time from an image to an answer, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.analysis.codec_names import setting_label
from eyechart.analysis.deployment import Costs, crossovers, fastest
from eyechart.analysis.recommend import Recommendation
from eyechart.analysis.recommend_view import own_costs
from eyechart.analysis.table import Entry, Table, TableRow
from eyechart.store.own_files import OwnFiles

UNCODED, FILES = "uncompressed", "own files"
_NAMED = 3  # settings of unknown time in a sentence


def times_table(
    found: Recommendation, bandwidths_mbit: Sequence[float], own: OwnFiles | None = None
) -> Table:
    """Seconds to an answer at each bandwidth, of the user's own files, of the uncompressed image
    and of each setting whose times are known; the fastest is marked among those that are good."""
    costs = named_costs(found, own, good_only=False)
    good = named_costs(found, own)
    rows = []
    best = [fastest(good, bandwidth) for bandwidth in bandwidths_mbit]
    for name, one in costs.items():
        entries = [
            Entry(
                value=one.seconds(bandwidth),
                decimals=3,
                mark="best" if name == best[place] else "",
            )
            for place, bandwidth in enumerate(bandwidths_mbit)
        ]
        if any(entry.value is not None for entry in entries):
            rows.append(TableRow(keys=(name,), entries=tuple(entries)))
    files = "" if own is None else ". Own files: read, not encoded"
    return Table(
        title=f"{found.name}: seconds from image to answer",
        keys=("setting",),
        column_kind="bandwidth",
        columns=tuple(f"{bandwidth:g} Mbit/s" for bandwidth in bandwidths_mbit),
        rows=tuple(rows),
        legend="encode + bytes over the bandwidth + decode + VLM, as measured in this run; marked: "
        f"the fastest of the good settings and of images without a codec{files}",
        compact=True,
    )


def times_text(found: Recommendation, own: OwnFiles | None = None) -> str:
    """The bandwidths at which another good setting becomes the fastest, and what is unknown."""
    return " ".join(filter(None, [_crossovers(found, own), _unknown(found, own)]))


def named_costs(
    found: Recommendation, own: OwnFiles | None = None, *, good_only: bool = True
) -> dict[str, Costs]:
    """Costs by the name of the setting, those of the own files and the uncompressed image first."""
    files = {} if own is None else {FILES: own_costs(found, own)}
    named = {
        setting_label(one.codec, one.level): one.costs
        for one in found.settings
        if one.good or not good_only
    }
    return {**files, UNCODED: found.uncompressed, **named}


def _crossovers(found: Recommendation, own: OwnFiles | None) -> str:
    costs = named_costs(found, own)
    points = crossovers(costs)
    if not points:
        only = fastest(costs, 1.0)
        return f"{found.name}: fastest at every bandwidth: {only}." if only else ""
    parts = [f"{below} below {at:.3g} Mbit/s" for at, below, _ in points]
    return f"{found.name}: fastest is {', then '.join(parts)}, and {points[-1][2]} above."


def _unknown(found: Recommendation, own: OwnFiles | None) -> str:
    """What has no time, and why; "" if all times are known."""
    costs = named_costs(found, own, good_only=False)
    without = {name: _why_unknown(one) for name, one in costs.items() if one.seconds(1.0) is None}
    if not without:
        return ""
    names = list(without)[:_NAMED]
    more = len(without) - len(names)
    listed = ", ".join([*names, *([f"{more} more"] if more else [])])
    reasons = "; ".join(dict.fromkeys(without.values()))
    return f"Without a time: {listed} ({reasons})."


def _why_unknown(costs: Costs) -> str:
    """costs: without one of the times that an answer takes."""
    if costs.answer_s is None:
        return (
            "no answer was timed; the first batch of a local VLM, which loads it, is not, nor are "
            "batches of several copies"
        )
    return "nothing was encoded and decoded, or no file was read, while this was measured"
