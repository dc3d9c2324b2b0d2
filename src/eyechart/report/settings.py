"""A recommendation as data of the page: its table, and loss over cost with the Pareto front."""

from __future__ import annotations

import math

from eyechart.analysis.codec_names import setting_label
from eyechart.analysis.recommend import Recommendation
from eyechart.analysis.recommend_view import answers_text, recommendation_table, rules_table
from eyechart.core.types import UNCOMPRESSED, Json
from eyechart.report.deployment import AXES, SCALES
from eyechart.store.own_files import OwnFiles

_DECIMALS = {"bytes": 1, "tokens": 0, "usd": 4, "seconds": 3}


def settings_json(found: Recommendation, own: OwnFiles | None = None) -> Json:
    """What the section "Settings" shows of a recommendation. own: the user's own files."""
    table = recommendation_table(found, own)
    reference, *rows = table.rows
    names = [" ".join(filter(None, reference.keys))]
    names += [setting_label(one.codec, one.level) for one in found.settings]
    codecs = [UNCOMPRESSED, *(one.codec for one in found.settings)]
    best = [False, *(one is found.best for one in found.settings)]
    unit = found.saving.unit
    return {
        "vlm": found.vlm,
        "name": found.name,
        "title": table.title,
        "legend": table.legend,
        "answers": [] if found.answers is None else answers_text(found.answers),
        "rules": _rules(found),
        "columns": list(table.columns),
        "rows": [
            {
                "codec": codec,
                "name": name,
                "best": good,
                "figures": [entry.text for entry in row.entries],
            }
            for codec, name, good, row in zip(codecs, names, best, [reference, *rows], strict=True)
        ],
        "cost": AXES[unit],
        "decimals": _DECIMALS[unit],
        "tolerance": found.tolerance,
        "points": _points(found),
    }


def _rules(found: Recommendation) -> Json:
    """Agreement by the rule of the comparison; None with less than two rules."""
    table = rules_table(found)
    if table is None:
        return None
    return {
        "title": table.title,
        "columns": list(table.columns),
        "rows": [
            {
                "codec": one.codec,
                "name": setting_label(one.codec, one.level),
                "best": one is found.best,
                "figures": [entry.text for entry in row.entries],
            }
            for one, row in zip(found.settings, table.rows, strict=True)
        ],
    }


def _points(found: Recommendation) -> list[Json]:
    """The settings with a known cost, cheapest first."""
    scale, front = SCALES.get(found.saving.unit, 1.0), found.front()
    costs = [(scale * found.saving.of(one.costs), one) for one in found.settings]
    return [
        {
            "codec": one.codec,
            "name": setting_label(one.codec, one.level),
            "cost": cost,
            "loss": one.loss,
            "upper": one.upper,
            "front": any(one is other for other in front),
            "best": one is found.best,
            "today": one is found.today,
        }
        for cost, one in sorted(costs, key=lambda pair: pair[0])
        if math.isfinite(cost)
    ]
