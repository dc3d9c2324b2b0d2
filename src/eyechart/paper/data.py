"""Reading the published numbers that ship with the package (paper/data/README.md)."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress
from functools import cache
from importlib.resources import files

from eyechart.core import plugins
from eyechart.core.errors import PluginError

# The headline metric of each task, with its names in the two sources.
HEADLINE = {
    "POPE": "Overall Overall",
    "GQA": "Overall",
    "COCO-Caption": "CIDEr",
    "OCRBench": "Final Score",
    "MME": "perception",
    "MMBench": "Overall",
    "SEEDBench": "Overall",
}


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """All rows of a data file by its name without ending, every cell as text."""
    folder = files("eyechart.paper") / "data"
    plain, packed = folder / f"{name}.csv", folder / f"{name}.csv.gz"
    data = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
    return tuple(csv.DictReader(io.StringIO(data.decode())))


@cache
def official_questions() -> dict[str, int]:
    """Number of questions behind the published scores of a task: the rows of its official file."""
    found = {}
    for name in HEADLINE:
        with suppress(PluginError):  # another distribution registers the name, too
            rows = plugins.load("eyechart.tasks", name).official[0].rows
            if rows is not None:
                found[name] = rows
    return found


@cache
def printed_bd() -> dict[tuple[str, str, str], float]:
    """BD-Metric against uncompressed as printed, Tables 2 and 16: (vlm, task, codec) -> value."""
    return {
        (row["vlm"], row["task"], row["codec"]): float(row["bd_metric"])
        for row in rows("bd_metric_uncompressed")
    }


@cache
def printed_icm() -> dict[tuple[str, str, str, bool], float]:
    """BD-Metric over the base codec as printed, Table 6: (vlm, task, codec, with an adapter) ->
    value."""
    found = (row for row in rows("adaptor_bd_metric") if row["table"] == "6")
    return {
        (
            row["vlm"],
            row["task"],
            row["codec"].removesuffix("+adaptor"),
            "+" in row["codec"],
        ): float(row["bd_metric"])
        for row in found
    }


@cache
def headline_scores() -> dict[tuple[str, str, str], dict[str, float]]:
    """Published headline scores: (vlm, task, codec) -> level -> score; `source` has level ""."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in rows("published_scores"):
        if row["metric"] == HEADLINE[row["task"]]:
            place = row["vlm"], row["task"], row["codec"]
            found.setdefault(place, {})[row["level"]] = float(row["value"])
    return found


@cache
def printed_rates() -> dict[tuple[str, str], tuple[float, ...]]:
    """Rates of Tables 9 to 15 in bpp, ascending: (task, codec) -> one for each level.

    They are rates of the compressed images, so they apply to every VLM.
    """
    found: dict[tuple[str, str], set[float]] = {}
    for row in rows("qwen_vl_chat_rate_metric"):
        found.setdefault((row["task"], row["codec"]), set()).add(float(row["bpp"]))
    return {place: tuple(sorted(rates)) for place, rates in found.items()}


def by_rising_rate(codec: str, levels: dict[str, float]) -> list[float]:
    """Scores of the four levels in order of rising rate, for the codecs whose rates are known.

    MS-ILLM's lowest level is called `vlo2`; for the other codecs the parameter grows with the rate.
    """

    def order(level: str) -> float:
        return -1.0 if level == "vlo2" else float(level)

    return [levels[level] for level in sorted(levels, key=order)]
