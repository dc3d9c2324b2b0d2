"""BD-Metrics of Tables 2 and 16, computed again from the published scores and the printed rates.

The definition in analysis/bd was found with this comparison, and a test repeats it. Its input are
scores per level (published with the authors' code) and rates per task, codec and level (Tables 9 to
15, two decimals), for the four codecs whose rates are printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from eyechart.analysis.bd import bd_metric
from eyechart.analysis.table import Entry, Table, TableRow
from eyechart.core.errors import InputError
from eyechart.core.plugins import near
from eyechart.core.types import UNCOMPRESSED
from eyechart.paper.data import (
    by_rising_rate,
    headline_scores,
    printed_bd,
    printed_rates,
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """One BD-Metric, as printed and as computed."""

    vlm: str
    task: str
    codec: str
    printed: float
    computed: float

    @property
    def relative_difference(self) -> float:
        """|computed - printed| / |printed|."""
        return abs(self.computed - self.printed) / abs(self.printed)


def recompute() -> list[Recomputed]:
    """All 200 figures that can be computed, in the order of the tables."""
    scores, rates = headline_scores(), printed_rates()
    found = []
    for (vlm, task, codec), printed in printed_bd().items():
        if (task, codec) not in rates or (vlm, task, codec) not in scores:
            continue
        points = by_rising_rate(codec, scores[vlm, task, codec])
        uncompressed = scores[vlm, task, UNCOMPRESSED][""]
        bd = bd_metric(rates[task, codec], points, uncompressed)
        found.append(
            Recomputed(vlm=vlm, task=task, codec=codec, printed=printed, computed=bd.value)
        )
    return found


def chosen(
    found: Sequence[Recomputed], *, vlm: str | None = None, task: str | None = None
) -> list[Recomputed]:
    """Those of one VLM and one task, as the paper names them, in any case of letters.

    Raises:
        InputError: there is none.
    """
    left = list(found)
    for kind, wanted in (("vlm", vlm), ("task", task)):
        if wanted is None:
            continue
        known = sorted({str(getattr(item, kind)) for item in found})
        left = [item for item in left if getattr(item, kind).lower() == wanted.lower()]
        if not left:
            raise InputError(f"no {kind} {wanted!r} with scores and rates; {near(wanted, known)}")
    return left


def recomputed_tables(found: Sequence[Recomputed]) -> list[Table]:
    """VLM x task rows with printed and computed figures, and the differences for each task."""
    return [_figures(found), _differences(found)]


def _figures(found: Sequence[Recomputed]) -> Table:
    codecs = _distinct(item.codec for item in found)
    rows = []
    for vlm, task in _distinct((item.vlm, item.task) for item in found):
        by_codec = {item.codec: item for item in found if (item.vlm, item.task) == (vlm, task)}
        entries: list[Entry] = []
        for codec in codecs:
            item = by_codec.get(codec)
            decimals = 1 if item and abs(item.printed) >= 30 else 2
            entries += [
                Entry(value=item.computed if item else None, decimals=decimals),
                Entry(value=item.printed if item else None, decimals=decimals),
            ]
        rows.append(TableRow(keys=(vlm, task), entries=tuple(entries)))
    return Table(
        title="BD-Metric against uncompressed: computed here, and printed in Tables 2 and 16",
        keys=("VLM", "task"),
        column_kind="codec",
        columns=tuple(f"{codec} {what}" for codec in codecs for what in ("computed", "printed")),
        rows=tuple(rows),
        legend="published scores x rates of Tables 9 to 15",
    )


def _differences(found: Sequence[Recomputed]) -> Table:
    rows = [
        TableRow(keys=(task,), entries=_summary([item for item in found if item.task == task]))
        for task in _distinct(item.task for item in found)
    ]
    if len(rows) > 1:
        rows.append(TableRow(keys=("all but GQA",), entries=_summary(without_gqa(found))))
        rows.append(TableRow(keys=("all",), entries=_summary(found)))
    return Table(
        title="Relative difference |computed - printed| / |printed|",
        keys=("task",),
        column_kind="statistic",
        columns=("figures", "median %", "90th percentile %", "largest %"),
        rows=tuple(rows),
        legend="GQA: see the page BD-Metric of the documentation"
        if any(item.task == "GQA" for item in found)
        else "",
    )


def without_gqa(found: Iterable[Recomputed]) -> list[Recomputed]:
    """All but GQA, where some published uncompressed scores contradict the tables."""
    return [item for item in found if item.task != "GQA"]


def _summary(found: Sequence[Recomputed]) -> tuple[Entry, ...]:
    ordered = sorted(100 * item.relative_difference for item in found)
    if not ordered:
        return (Entry(value=0, decimals=0), *(Entry(value=None) for _ in range(3)))
    return (
        Entry(value=len(ordered), decimals=0),
        Entry(value=median(ordered)),
        Entry(value=ordered[9 * (len(ordered) - 1) // 10]),
        Entry(value=ordered[-1]),
    )


def _distinct(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))
