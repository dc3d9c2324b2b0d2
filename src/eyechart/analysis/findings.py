"""The five findings of the paper, each compared with a run: supported, contradicted or not shown.

Only figures of the analysis are used: losses with their paired intervals, and the comparisons of
codecs at equal rates. A run that cannot show a finding says what it lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean, median
from typing import Literal, TypeAlias, get_args

from eyechart.analysis.result import Analysis, CellResult, CorrelationScope
from eyechart.core.types import UNCOMPRESSED

FindingVerdict: TypeAlias = Literal["supported", "contradicted", "not shown"]

LOW_BPP = 0.1
COARSE_TASKS = ("POPE", "GQA", "COCO-Caption")
TEXT_TASKS = ("OCRBench",)
_MOST = 0.75  # share of comparisons that support a finding about an order
_WEAK, _EXACT = 0.5, 0.95  # correlations

Curves: TypeAlias = Mapping[tuple[str, str, str], Sequence[CellResult]]  # VLM, task, codec


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFinding:
    """number: the paper's. claim: what the paper found. evidence: the figures of this run."""

    number: int
    claim: str
    verdict: FindingVerdict
    evidence: str


def paper_findings(analysis: Analysis) -> list[PaperFinding]:
    """The five findings in the paper's order.

    Cells with an adapter, and answers from choice sets, which are another protocol, are left out.
    """
    free = tuple(cell for cell in analysis.cells if not cell.choices)
    vlms = {cell.vlm for cell in free}
    pairs = tuple(pair for pair in analysis.pairs if pair.vlm in vlms)
    scaling = tuple(one for one in analysis.scaling if one.vlms[0] in vlms)
    correlated = tuple(one for one in analysis.correlations if one.vlm in vlms)
    analysis = replace(analysis, cells=free, pairs=pairs, scaling=scaling, correlations=correlated)
    curves = _curves(analysis)
    return [
        _collapse(curves),
        _order_of_vlms(analysis, curves),
        _generative(analysis),
        _size(analysis),
        _correlation(analysis),
    ]


def _collapse(curves: Curves) -> PaperFinding:
    claim = f"Understanding collapses below about {LOW_BPP:g} bpp."
    crossing = [cells for cells in curves.values() if cells[0].bpp < LOW_BPP <= cells[-1].bpp]
    if not crossing:
        lacks = f"No codec has levels on both sides of {LOW_BPP:g} bpp."
        return PaperFinding(number=1, claim=claim, verdict="not shown", evidence=lacks)
    lost = [
        (low, high)
        for cells in crossing
        if (low := cells[0].loss) is not None and (high := cells[-1].loss) is not None
    ]
    falls = sum(low.sign > 0 and high.value < low.value / 2 for low, high in lost)
    flat = sum(high.value >= low.value for low, high in lost)
    verdict: FindingVerdict = "not shown"
    if falls > len(lost) / 2:
        verdict = "supported"
    elif flat > len(lost) / 2:
        verdict = "contradicted"
    evidence = (
        f"Of {len(lost)} curves that cross {LOW_BPP:g} bpp, {falls} lose significantly at their "
        f"lowest rate and less than half of it at their highest; {flat} lose no more at the lowest."
    )
    return PaperFinding(number=1, claim=claim, verdict=verdict, evidence=evidence)


def _order_of_vlms(analysis: Analysis, curves: Curves) -> PaperFinding:
    claim = "The VLM that is stronger on uncompressed images stays stronger."
    best = _uncompressed(analysis)
    kept = compared = 0
    for vlm, other, task, codec in _pairs_of_vlms(curves):
        scores = {cell.level: cell.score.value for cell in curves[vlm, task, codec]}
        levels = [cell for cell in curves[other, task, codec] if cell.level in scores]
        own, others = best.get((vlm, task)), best.get((other, task))
        if levels and own is not None and others is not None and own != others:
            mine = fmean(scores[cell.level] for cell in levels)
            theirs = fmean(cell.score.value for cell in levels)
            compared, kept = compared + 1, kept + ((own > others) == (mine > theirs))
    if not compared:
        lacks = "The run does not have two VLMs that can be compared."
        return PaperFinding(number=2, claim=claim, verdict="not shown", evidence=lacks)
    verdict: FindingVerdict = "not shown"
    if kept >= _MOST * compared:
        verdict = "supported"
    elif kept < compared / 2:
        verdict = "contradicted"
    evidence = f"So it is in {kept} of {compared} pairs of VLMs on a task and codec."
    return PaperFinding(number=2, claim=claim, verdict=verdict, evidence=evidence)


def _generative(analysis: Analysis) -> PaperFinding:
    claim = "Generative codecs lead on coarse tasks and fail on text."
    category = {cell.codec: cell.category for cell in analysis.cells}
    counts = {kind: [0, 0, 0] for kind in ("coarse", "text")}  # ahead, behind, compared
    for pair in analysis.pairs:
        kinds = [category.get(codec) == "generative" for codec in (pair.codec, pair.against)]
        if pair.adapter or pair.bd is None or kinds[0] == kinds[1]:
            continue
        bd = pair.bd if kinds[0] else pair.turned().bd
        kind = "coarse" if pair.task in COARSE_TASKS else "text" if pair.task in TEXT_TASKS else ""
        if kind and bd is not None:
            counts[kind][0] += bd.sign > 0
            counts[kind][1] += bd.sign < 0
            counts[kind][2] += 1
    coarse, text = counts["coarse"], counts["text"]
    if not coarse[2] or not text[2]:
        lacks = (
            "Needs a generative codec and another one at shared rates, on "
            f"{', '.join(COARSE_TASKS)} and on {', '.join(TEXT_TASKS)}."
        )
        return PaperFinding(number=3, claim=claim, verdict="not shown", evidence=lacks)
    verdict: FindingVerdict = "not shown"
    if coarse[0] > coarse[1] and text[1] > text[0]:
        verdict = "supported"
    elif coarse[1] > coarse[0] or text[0] > text[1]:
        verdict = "contradicted"
    evidence = (
        "At equal rates, generative codecs are significantly ahead of others in "
        f"{coarse[0]} and behind in {coarse[1]} of {coarse[2]} comparisons on coarse tasks; on "
        f"text ahead in {text[0]} and behind in {text[1]} of {text[2]}."
    )
    return PaperFinding(number=3, claim=claim, verdict=verdict, evidence=evidence)


def _size(analysis: Analysis) -> PaperFinding:
    """From the slopes of the drop over the size of a VLM (`analysis.scaling`)."""
    claim = "Size does not buy robustness: a larger VLM loses as much."
    slopes = [one.slope for one in analysis.scaling]
    if not slopes:
        lacks = (
            "The run has no VLM in two sizes (names that differ only there, such as NAME-3B and "
            "NAME-7B, or NAME-s and NAME-l)."
        )
        return PaperFinding(number=4, claim=claim, verdict="not shown", evidence=lacks)
    less, more = (sum(slope.sign == sign for slope in slopes) for sign in (-1, 1))
    verdict: FindingVerdict = "not shown"
    if less >= _MOST * len(slopes):
        verdict = "contradicted"
    elif more and more >= less:
        verdict = "supported"
    evidence = (
        f"For twice the parameters the drop against uncompressed falls significantly in {less} of "
        f"{len(slopes)} combinations of task and codec, and rises significantly in {more}."
    )
    return PaperFinding(number=4, claim=claim, verdict=verdict, evidence=evidence)


def _pairs_of_vlms(curves: Curves) -> Iterator[tuple[str, str, str, str]]:
    """Every two VLMs that were asked on the same task and codec: VLM, VLM, task, codec."""
    for (vlm, task, codec), (other, other_task, other_codec) in combinations(curves, 2):
        if (task, codec) == (other_task, other_codec):
            yield vlm, other, task, codec


def _correlation(analysis: Analysis) -> PaperFinding:
    """No gap: a metric from which the score follows almost exactly."""
    claim = "Quality metrics correlate with scores, but with a gap."
    by_scope = {
        scope: [
            one.pearson
            for one in analysis.correlations
            if one.scope == scope and one.pearson is not None and one.pearson.low < one.pearson.high
        ]
        for scope in get_args(CorrelationScope)
    }
    found = by_scope["all cells"]
    if not found:
        lacks = "Needs quality values (eyechart quality DIR) at three levels, with intervals."
        return PaperFinding(number=5, claim=claim, verdict="not shown", evidence=lacks)
    positive = sum(one.sign > 0 for one in found)
    weak = sum(one.high < _WEAK for one in found)
    exact = sum(one.low > _EXACT for one in found)
    verdict: FindingVerdict = "not shown"
    if max(weak, exact) > len(found) / 2:
        verdict = "contradicted"
    elif positive >= _MOST * len(found):
        verdict = "supported"
    medians = [
        f"{scope} {median(one.value for one in of_scope):.2f} "
        f"({sum(one.sign != 0 for one in of_scope)} of {len(of_scope)} significant)"
        for scope, of_scope in by_scope.items()
        if of_scope
    ]
    evidence = (
        f"Over all cells, a metric correlates significantly with the scores of a task in "
        f"{positive} of {len(found)} pairs (Pearson). Median correlation: {', '.join(medians)}."
    )
    return PaperFinding(number=5, claim=claim, verdict=verdict, evidence=evidence)


def _curves(analysis: Analysis) -> dict[tuple[str, str, str], list[CellResult]]:
    """Cells without an adapter, lowest rate first."""
    found: dict[tuple[str, str, str], list[CellResult]] = {}
    for cell in analysis.cells:
        if cell.codec != UNCOMPRESSED and not cell.adapter and cell.answered:
            found.setdefault((cell.vlm, cell.task, cell.codec), []).append(cell)
    return {key: sorted(cells, key=lambda cell: cell.bpp) for key, cells in found.items()}


def _uncompressed(analysis: Analysis) -> dict[tuple[str, str], float]:
    return {
        (cell.vlm, cell.task): cell.score.value
        for cell in analysis.cells
        if cell.codec == UNCOMPRESSED and not cell.adapter
    }
