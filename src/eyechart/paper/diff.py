"""Comparison of a run with the published numbers of the same VLM, task and codec.

Names are equal if they differ only in spelling (`qwen2.5-vl-3b` and `Qwen2.5-VL-3B`). Another
encoder of the same standard is another codec (`hevc` is x265, `HM` the reference encoder). The
built-in chart's tasks share only their names with the benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eyechart.analysis.result import Analysis, BdResult, CellResult
from eyechart.analysis.table import Entry, Table, TableRow, entry_of
from eyechart.core.built_in import BUILT_IN_DATA
from eyechart.core.types import UNCOMPRESSED
from eyechart.paper.data import (
    headline_scores,
    official_questions,
    printed_bd,
    printed_icm,
)

_RELATIVES = {"hevc": "HM", "vvc": "VTM"}  # same standard, another encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Tables of comparable numbers, and sentences on numbers that are not comparable."""

    tables: tuple[Table, ...]
    remarks: tuple[str, ...]


def diff(analysis: Analysis) -> Diff:
    """Compare uncompressed scores, scores level by level, BD-Metrics, and codecs for machines."""
    tables = [
        table
        for table in (
            _uncompressed(analysis),
            _levels(analysis),
            _bd(analysis),
            _icm(analysis),
        )
        if table.rows
    ]
    left_out = (f"Task left out: {reason}." for reason in analysis.left_out)
    return Diff(tables=tuple(tables), remarks=(*left_out, *_remarks(analysis, bool(tables))))


def _uncompressed(analysis: Analysis) -> Table:
    cells = [cell for cell in analysis.cells if cell.codec == UNCOMPRESSED]
    return _score_table(
        "Uncompressed scores", [cell for cell in cells if not cell.adapter], analysis
    )


def _levels(analysis: Analysis) -> Table:
    cells = [cell for cell in analysis.cells if cell.codec != UNCOMPRESSED and not cell.adapter]
    return _score_table("Scores level by level", cells, analysis)


def _score_table(title: str, cells: list[CellResult], analysis: Analysis) -> Table:
    published = {
        (_plain(vlm), _plain(task), _plain(codec), _plain(level)): score
        for (vlm, task, codec), levels in headline_scores().items()
        for level, score in levels.items()
    }
    rows = []
    for cell in cells:
        level = "" if cell.codec == UNCOMPRESSED else cell.level
        place = (*map(_plain, (cell.vlm, cell.task, cell.codec)), _plain(level))
        if _comparable(analysis) and place in published:
            keys = (cell.vlm, cell.task, cell.codec, level)
            failed = f"{cell.failed} of {cell.questions} questions failed"
            notes = (*([failed] if cell.failed else []), *_sampled([cell]))
            run = entry_of(cell.score, notes=notes)
            rows.append(TableRow(keys=keys, entries=_beside(run, published[place])))
    return _table(title, ("VLM", "task", "codec", "level"), rows)


def _bd(analysis: Analysis) -> Table:
    printed = {
        (_plain(vlm), _plain(task), _plain(codec)): value
        for (vlm, task, codec), value in printed_bd().items()
    }
    rows = []
    for result in analysis.bd:
        place = _plain(result.vlm), _plain(result.task), _plain(result.codec)
        if result.adapter or result.baseline != "uncompressed" or place not in printed:
            continue
        if _comparable(analysis):
            run = entry_of(result.bd, notes=(*result.flags, *_differences(result, analysis)))
            keys = (result.vlm, result.task, result.codec)
            rows.append(TableRow(keys=keys, entries=_beside(run, printed[place])))
    return _table("BD-Metric against uncompressed", ("VLM", "task", "codec"), rows)


def _icm(analysis: Analysis) -> Table:
    printed = {
        (_plain(vlm), _plain(task), _plain(codec), adapted): value
        for (vlm, task, codec, adapted), value in printed_icm().items()
    }
    rows = []
    for result in analysis.icm:
        place = (*map(_plain, (result.vlm, result.task, result.codec)), bool(result.adapter))
        if _comparable(analysis) and place in printed:
            keys = (result.vlm, result.task, result.codec, result.adapter or "none")
            entries = _beside(entry_of(result.bd, notes=result.flags), printed[place])
            rows.append(TableRow(keys=keys, entries=entries))
    return _table(
        "BD-Metric over the base codec (Table 6)", ("VLM", "task", "codec", "adapter"), rows
    )


def _differences(result: BdResult, analysis: Analysis) -> list[str]:
    """Differences in questions or levels between a BD-Metric's curve and the paper's."""
    same = [
        cell
        for cell in analysis.cells
        if (cell.vlm, cell.task) == (result.vlm, result.task) and not cell.adapter
    ]
    curve = [cell for cell in same if cell.codec == result.codec]
    notes = _sampled([*curve, *(cell for cell in same if cell.codec == UNCOMPRESSED)])
    place = _plain(result.task), _plain(result.codec)
    published = {
        level: None  # a set that keeps its order
        for (_, task, codec), levels in headline_scores().items()
        for level in levels
        if (_plain(task), _plain(codec)) == place
    }
    own = [cell.level for cell in curve]
    if published and {*map(_plain, own)} != {*map(_plain, published)}:
        notes.append(f"levels {', '.join(own)}; the paper's are {', '.join(published)}")
    return notes


def _sampled(cells: Sequence[CellResult]) -> list[str]:
    """Notes on cells with another number of questions than the published scores."""
    official = {_plain(name): count for name, count in official_questions().items()}
    counts = [(cell.answered + cell.failed, official.get(_plain(cell.task))) for cell in cells]
    others = [(asked, whole) for asked, whole in counts if whole is not None and asked != whole]
    return [
        f"{asked:,} questions asked; the paper's scores are of {whole:,}"
        for asked, whole in sorted(others)[:1]
    ]


def _table(title: str, keys: tuple[str, ...], rows: list[TableRow]) -> Table:
    return Table(
        title=f"{title}: this run and the paper",
        keys=keys,
        column_kind="figure",
        columns=("this run", "paper", "difference"),
        rows=tuple(rows),
        compact=True,
    )


def _beside(run: Entry, published: float) -> tuple[Entry, ...]:
    difference = None if run.value is None else run.value - published
    return run, Entry(value=published), Entry(value=difference)


def _remarks(analysis: Analysis, compared: bool) -> list[str]:
    """Reasons why some or all numbers have no published counterpart."""
    if not _comparable(analysis):
        return [
            f"Nothing is comparable: the data is {BUILT_IN_DATA}, whose tasks share names and "
            "scoring with the benchmarks but not questions. Run on the official files (data)."
        ]
    remarks = []
    known_vlms = {_plain(vlm): vlm for vlm, _, _ in headline_scores()}
    vlms = dict.fromkeys(cell.vlm for cell in analysis.cells)
    if unpublished := [vlm for vlm in vlms if _plain(vlm) not in known_vlms]:
        known = ", ".join(known_vlms.values())
        remarks.append(f"Not in the paper: {', '.join(unpublished)} (it has {known}).")
    codecs = {cell.codec.partition(":")[0] for cell in analysis.cells}
    remarks += [
        f"{name} is not compared with {relative}: the standard is the same, the encoder is not."
        for name, relative in _RELATIVES.items()
        if name in codecs
    ]
    if not compared:
        remarks.insert(0, "Nothing is comparable: no VLM, task and codec of this run is published.")
    return remarks


def _comparable(analysis: Analysis) -> bool:
    return analysis.data != BUILT_IN_DATA


def _plain(name: str) -> str:
    """A name without case, separators, publisher, `-Instruct` and `-hf`."""
    stem = name.partition(":")[0].rpartition("/")[2].lower()
    for suffix in ("-instruct", "-hf"):
        stem = stem.removesuffix(suffix)
    return "".join(character for character in stem if character.isalnum() or character == ".")
