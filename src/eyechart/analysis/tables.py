"""The tables of a run, from its analysis: bd (Tables 2 and 16), scores (9 to 15), gap (3),
adapter (4, 5 and 17) and icm (6 of the paper); and pairs, codec against codec."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from eyechart.analysis.quality_tables import correlation_tables, quality_tables
from eyechart.analysis.result import (
    Analysis,
    BdResult,
    GapResult,
    Interval,
    PairResult,
    categories_of,
    codecs_by_category,
    per_device_codecs,
)
from eyechart.analysis.scaling_tables import scaling_tables
from eyechart.analysis.score_tables import compact_score_tables, curve_tables, score_tables
from eyechart.analysis.table import (
    Entry,
    Table,
    TableRow,
    entry_of,
    same_decimals,
    signed,
)
from eyechart.analysis.table_notes import (
    device_note,
    distinct,
    intervals_legend,
    some,
    vlm_name,
)
from eyechart.core.types import UNCOMPRESSED

TableKind: TypeAlias = Literal[
    "bd",
    "scores",
    "gap",
    "adapter",
    "icm",
    "pairs",
    "scaling",
    "curves",
    "quality",
    "correlation",
]


def tables_of(analysis: Analysis, kind: TableKind, *, compact: bool = False) -> list[Table]:
    """The tables of one kind, possibly none (no adapter in the run, no fine-tuned codec).

    Answers from choice sets are another protocol and have separate tables. compact: scores as one
    table of headline metrics; the other kinds have no compact form.
    """
    makers: dict[TableKind, Callable[[Analysis], list[Table]]] = {
        "bd": bd_tables,
        "scores": compact_score_tables if compact else score_tables,
        "gap": gap_tables,
        "adapter": adapter_tables,
        "icm": icm_tables,
        "pairs": pair_tables,
        "scaling": scaling_tables,
        "curves": curve_tables,
        "quality": quality_tables,
        "correlation": correlation_tables,
    }
    free, choosing = (_of_protocol(analysis, choices) for choices in (False, True))
    tables = [
        *makers[kind](free),
        *(
            replace(table, title=f"{table.title}, answers from a choice set")
            for table in makers[kind](choosing)
        ),
    ]
    return [_without_unused(table, intervals_legend(analysis)) for table in tables]


def _without_unused(table: Table, intervals: str) -> Table:
    """The table, without the words on intervals in its legend if it has none, as of one image."""
    if any(entry.low is not None for row in table.rows for entry in row.entries):
        return table
    parts = [part for part in table.legend.split(" · ") if part != intervals]
    return replace(table, legend=" · ".join(parts))


def _of_protocol(analysis: Analysis, choices: bool) -> Analysis:
    """The part of an analysis with free answers, or the part with answers from choice sets."""
    cells = tuple(cell for cell in analysis.cells if cell.choices == choices)
    vlms = {cell.vlm for cell in cells}
    return replace(
        analysis,
        cells=cells,
        bd=tuple(bd for bd in analysis.bd if bd.vlm in vlms),
        gaps=tuple(gap for gap in analysis.gaps if gap.vlm in vlms),
        icm=tuple(icm for icm in analysis.icm if icm.vlm in vlms),
        pairs=tuple(pair for pair in analysis.pairs if pair.vlm in vlms),
        scaling=tuple(one for one in analysis.scaling if one.vlms[0] in vlms),
        quality=() if choices else analysis.quality,
        correlations=tuple(one for one in analysis.correlations if one.vlm in vlms),
    )


def bd_tables(analysis: Analysis) -> list[Table]:
    """BD-Metric against the uncompressed image: VLM x task rows, one column a codec.

    Codecs are not ranked: each one's value is over its own rates, which the legend names.
    """
    results = [bd for bd in analysis.bd if bd.baseline == "uncompressed"]
    codecs = distinct(bd.codec for bd in results)
    per_device = per_device_codecs(analysis)
    rows = []
    places = distinct((vlm_name(bd), bd.task) for bd in results)
    vlm_names = distinct(vlm for vlm, _ in places)
    for vlm, task in sorted(places, key=lambda place: vlm_names.index(place[0])):
        found = {bd.codec: bd for bd in results if (vlm_name(bd), bd.task) == (vlm, task)}
        entries = same_decimals([_bd_entry(found.get(codec), per_device) for codec in codecs])
        rows.append(TableRow(keys=(vlm, task), entries=entries))
    return some(
        Table(
            title="BD-Metric against the uncompressed image",
            keys=("VLM", "task"),
            column_kind="codec",
            columns=codecs,
            groups=categories_of(analysis, codecs),
            rows=tuple(rows),
            legend=" · ".join(
                filter(
                    None,
                    (
                        _categories(analysis),
                        _own_rates(analysis, results),
                        intervals_legend(analysis),
                    ),
                )
            ),
        )
    )


def pair_tables(analysis: Analysis) -> list[Table]:
    """Codec against codec: BD-Metric at the rates both have, BD-rate at the scores both reach."""
    both = [one for pair in analysis.pairs for one in (pair, pair.turned())]
    codecs = distinct(cell.codec for cell in analysis.cells if cell.codec != UNCOMPRESSED)
    per_device = per_device_codecs(analysis)

    def table(title: str, entry: Callable[[PairResult], Entry], *, fewer_is_better: bool) -> Table:
        rows = []
        for vlm, task in distinct((vlm_name(pair), pair.task) for pair in both):
            own = [pair for pair in both if (vlm_name(pair), pair.task) == (vlm, task)]
            for codec in (codec for codec in codecs if any(pair.codec == codec for pair in own)):
                found = {pair.against: entry(pair) for pair in own if pair.codec == codec}
                entries = [
                    replace(
                        found[other], notes=(*found[other].notes, *device_note(codec, per_device))
                    )
                    if other in found
                    else Entry(value=None)
                    for other in codecs
                ]
                marks = signed(same_decimals(entries), fewer_is_better=fewer_is_better)
                rows.append(TableRow(keys=(f"{vlm}, {task}", codec), entries=marks))
        return Table(
            title=title,
            keys=("VLM, task", "codec"),
            column_kind="against",
            columns=codecs,
            groups=categories_of(analysis, codecs),
            rows=tuple(rows),
            legend=intervals_legend(analysis),
        )

    return [
        *some(
            table(
                "BD-Metric of the row's codec over the column's, at the rates both have",
                lambda pair: entry_of(pair.bd, notes=pair.flags),
                fewer_is_better=False,
            )
        ),
        *some(
            table(
                "BD-rate of the row's codec against the column's, in percent, at scores both reach",
                lambda pair: entry_of(pair.rate_percent, notes=pair.rate_flags),
                fewer_is_better=True,
            )
        ),
    ]


def _own_rates(analysis: Analysis, results: Sequence[BdResult]) -> str:
    """`over each codec's own rates, in bpp: jpeg 0.26-0.33, vvc 0.04-0.12`, of all tasks."""
    spans, short = [], analysis.axis.short
    for codec in distinct(bd.codec for bd in results):
        own = [bd for bd in results if bd.codec == codec]
        low, high = min(bd.low_rate for bd in own), max(bd.high_rate for bd in own)
        spans.append(f"{codec} {short(low)}–{short(high)}")
    unit = analysis.axis.unit
    return f"over each codec's own rates, in {unit}: {', '.join(spans)}" if spans else ""


def gap_tables(analysis: Analysis) -> list[Table]:
    """Paper Table 3: at each codec's lowest level, and over the mean of its levels."""
    lowest = {(cell.task, cell.codec): cell.level for cell in analysis.cells if cell.rank == 0}
    at_lowest = [gap for gap in analysis.gaps if gap.level == lowest.get((gap.task, gap.codec))]
    averaged = [gap for gap in analysis.gaps if not gap.level]
    per_device = per_device_codecs(analysis)
    tables = []
    for title, gaps in (
        ("at each codec's lowest level", at_lowest),
        ("mean over each codec's levels", averaged),
    ):
        for vlm in distinct(gap.vlm for gap in gaps):
            chosen = [gap for gap in gaps if gap.vlm == vlm]
            legend = f"{_theta_star(chosen)} · {intervals_legend(analysis)}"
            table = _gap_table(f"{vlm}: gaps {title}", chosen, legend, per_device)
            tables += some(replace(table, groups=categories_of(analysis, table.columns)))
    return tables


def _theta_star(gaps: Sequence[GapResult]) -> str:
    """Which adapters are used as the fine-tuned VLM."""
    of = {gap.codec: gap.adapter for gap in gaps}
    if len({*of.values()}) == 1:
        return f"θ* = {gaps[0].adapter}"
    return "θ* = " + ", ".join(f"{adapter} for {codec}" for codec, adapter in of.items())


def adapter_tables(analysis: Analysis) -> list[Table]:
    """BD gain of an adapter over none (Tables 4 and 17), also on unseen codecs (Table 5)."""
    results = [bd for bd in analysis.bd if bd.baseline != "uncompressed"]
    tasks = distinct(bd.task for bd in results)
    per_device = per_device_codecs(analysis)
    trained = {adapter.name: adapter.trained_codecs for adapter in analysis.adapters}
    rows = []
    for vlm, codec in distinct((vlm_name(bd), bd.codec) for bd in results):
        found = {bd.task: bd for bd in results if (vlm_name(bd), bd.codec) == (vlm, codec)}
        adapter, name = next((bd.adapter, bd.codec_name) for bd in found.values())
        seen = "" if adapter not in trained else "yes" if name in trained[adapter] else "no"
        entries = [same_decimals([_bd_entry(found.get(task), per_device)])[0] for task in tasks]
        rows.append(TableRow(keys=(vlm, codec, seen), entries=signed(entries)))
    rows.sort(key=lambda row: (row.keys[0], row.keys[2] == "no"))
    return some(
        Table(
            title="BD-Metric gained by the adapter, over the same VLM without it",
            keys=("VLM + adapter", "codec", "seen in training"),
            column_kind="task",
            columns=tasks,
            rows=tuple(rows),
            legend=intervals_legend(analysis),
        )
    )


def icm_tables(analysis: Analysis) -> list[Table]:
    """Paper Table 6: codecs adapted to machines and adapters, over the base codec."""
    against = {
        (bd.vlm, bd.adapter, bd.task, bd.codec): bd
        for bd in analysis.bd
        if bd.baseline == "uncompressed"
    }
    per_device = per_device_codecs(analysis)
    rows = []
    for icm in analysis.icm:
        method = f"{icm.codec} + {icm.adapter}" if icm.adapter else icm.codec
        device = device_note(icm.codec, per_device)
        (gained,) = signed(same_decimals([entry_of(icm.bd, notes=(*icm.flags, *device))]))
        place = (icm.vlm, icm.adapter, icm.task, icm.codec)
        (whole,) = same_decimals([_bd_entry(against.get(place), per_device)])
        rows.append(TableRow(keys=(icm.vlm, icm.task, method), entries=(gained, whole)))
    bases = ", ".join(distinct(icm.base for icm in analysis.icm))
    return some(
        Table(
            title=f"Image coding for machines: BD-Metric over {bases}, at the rates both share",
            keys=("VLM", "task", "codec"),
            column_kind="compared with",
            columns=(bases, "uncompressed"),
            rows=tuple(rows),
            legend=intervals_legend(analysis),
        )
    )


def _gap_table(
    title: str, gaps: Sequence[GapResult], legend: str, per_device: Collection[str]
) -> Table:
    codecs = distinct(gap.codec for gap in gaps)
    lines: tuple[tuple[str, Callable[[GapResult], float | Interval]], ...] = (
        ("uncompressed L(X, θ)", lambda gap: gap.uncompressed),
        ("compressed L(X^, θ)", lambda gap: gap.compressed),
        ("compressed, fine-tuned L(X^, θ*)", lambda gap: gap.finetuned),
        ("performance gap", lambda gap: gap.performance),
        ("information gap", lambda gap: gap.information),
        ("generalization gap", lambda gap: gap.generalization),
    )
    rows = []
    for task in distinct(gap.task for gap in gaps):
        found = {gap.codec: gap for gap in gaps if gap.task == task}
        for name, pick in lines:
            entries = [
                replace(_figure(pick(found[codec])), notes=device_note(codec, per_device))
                if codec in found
                else Entry(value=None)
                for codec in codecs
            ]
            rows.append(TableRow(keys=(task, name), entries=same_decimals(entries)))
    return Table(
        title=title,
        keys=("task", "quantity"),
        column_kind="codec",
        columns=codecs,
        rows=tuple(rows),
        legend=legend,
    )


def _bd_entry(bd: BdResult | None, per_device: Collection[str]) -> Entry:
    if bd is None:
        return Entry(value=None)
    return entry_of(bd.bd, notes=(*bd.flags, *device_note(bd.codec, per_device)))


def _figure(value: float | Interval) -> Entry:
    return entry_of(value) if isinstance(value, Interval) else Entry(value=value)


def _categories(analysis: Analysis) -> str:
    """Which codecs are of which category, where there are several."""
    found = codecs_by_category(analysis)
    lines = [f"{category}: {', '.join(codecs)}" for category, codecs in found.items()]
    return "; ".join(lines) if len(found) > 1 else ""
