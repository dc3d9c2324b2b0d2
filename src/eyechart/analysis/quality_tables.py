"""The quality of decoded images, and its correlation with scores, as tables (paper Fig. 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from eyechart.analysis.result import Analysis, CorrelationScope
from eyechart.analysis.table import Table, TableRow, entry_of
from eyechart.analysis.table_notes import distinct, intervals_legend, some


def quality_tables(analysis: Analysis) -> list[Table]:
    """The mean of each metric over the images of a task, at each level of a codec."""
    metrics = distinct(one.metric for one in analysis.quality)
    rows = []
    tasks = distinct(one.task for one in analysis.quality)  # may be measured in several turns
    places = sorted(
        distinct((one.task, one.codec, one.level) for one in analysis.quality),
        key=lambda place: tasks.index(place[0]),
    )
    decimals = {
        metric: 4 if all(abs(one.quality.value) < 2 for one in own) else 2
        for metric in metrics
        if (own := [one for one in analysis.quality if one.metric == metric])
    }
    for task, codec, level in places:
        found = {
            one.metric: one.quality
            for one in analysis.quality
            if (one.task, one.codec, one.level) == (task, codec, level)
        }
        entries = tuple(
            replace(entry_of(found.get(metric)), decimals=decimals[metric]) for metric in metrics
        )
        rows.append(TableRow(keys=(task, codec, level), entries=entries))
    return some(
        Table(
            title="Quality of the decoded images, the mean over a task's images",
            keys=("task", "codec", "level"),
            column_kind="metric",
            columns=metrics,
            rows=tuple(rows),
            legend=intervals_legend(analysis),
        )
    )


def correlation_tables(analysis: Analysis) -> list[Table]:
    """Pearson's and Spearman's correlation of each metric with the scores, for each scope."""
    found = analysis.correlations
    metrics = distinct(one.label for one in found)
    tables = []
    for coefficient, title in (("pearson", "Pearson"), ("spearman", "Spearman")):
        rows = []
        for scope in get_args(CorrelationScope):
            for vlm, task in distinct((one.vlm, one.task) for one in found):
                own = {
                    one.label: getattr(one, coefficient)
                    for one in found
                    if (one.scope, one.vlm, one.task) == (scope, vlm, task)
                }
                entries = tuple(
                    replace(entry_of(own.get(metric)), decimals=3) for metric in metrics
                )
                if own:
                    rows.append(TableRow(keys=(scope, vlm, task), entries=entries))
        tables.append(
            Table(
                title=f"{title}'s correlation of quality with scores",
                keys=("over", "VLM", "task"),
                column_kind="metric",
                columns=metrics,
                rows=tuple(rows),
                legend=" · ".join(filter(None, (_negated(analysis), intervals_legend(analysis)))),
            )
        )
    return [table for one in tables for table in some(one)]


def _negated(analysis: Analysis) -> str:
    negated = any(one.negated for one in analysis.correlations)
    return "−: negated, because less of the metric is better" if negated else ""
