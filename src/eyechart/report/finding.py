"""The run's main result in one sentence, with claims only where intervals support them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.analysis import pchip
from eyechart.analysis.axis import Axis
from eyechart.analysis.bd import equal_rates
from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import (
    Analysis,
    CellResult,
    Interval,
    per_device_codecs,
)
from eyechart.core.types import UNCOMPRESSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """headline: one sentence for the title. details: further, independent sentences. no_loss:
    whether the headline says that no codec loses anything significant."""

    headline: str
    details: tuple[str, ...]
    no_loss: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _CodecLoss:
    """One codec's cells without adapter, lowest rate first, and the uncompressed cell."""

    uncompressed: CellResult
    points: tuple[CellResult, ...]

    @property
    def lowest(self) -> CellResult:
        return self.points[0]

    @property
    def share_lost(self) -> float:
        """Share of the uncompressed score that the lowest rate costs."""
        return (
            self.uncompressed.score.value - self.lowest.score.value
        ) / self.uncompressed.score.value

    @property
    def resolved(self) -> bool:
        """Whether the whole interval of the loss at the lowest rate is above 0."""
        return self.lowest.loss is not None and self.lowest.loss.low > 0


def find(analysis: Analysis) -> Finding:
    """Sentences on the largest loss of the run and on its BD tables.

    The headline is about the VLM, task and codec whose lowest rate costs the largest share of the
    uncompressed score; shares are comparable between benchmarks with different units. Cases with
    a codec that is significantly better at the same or a lower rate come first, and the headline
    names it. Scores between levels are interpolated as for BD-Metric.
    """
    curves = _curves(analysis)
    if not curves:
        return Finding(headline=_without_curves(analysis), details=_details(analysis))
    resolved = _resolved(analysis)
    rivals = {key: _comparison(key, curves, resolved, analysis.axis) for key in curves}
    key = max(curves, key=lambda k: (curves[k].resolved, rivals[k] != "", curves[k].share_lost))
    recovered = _recovered(analysis, *key, curves[key].lowest.level)
    return Finding(
        headline=_headline(*key, curves[key], rivals[key], analysis.axis),
        details=(*recovered, *_details(analysis)),
        no_loss=not curves[key].resolved,
    )


def _details(analysis: Analysis) -> tuple[str, ...]:
    return (
        *(f"Not in this report, because its task failed: {line}." for line in analysis.left_out),
        *([f"Not in this report: {analysis.off_axis}."] if analysis.off_axis else []),
        *_at_chance(analysis),
        *_best_codecs(analysis),
        *_adapter_gains(analysis),
        *_for_machines(analysis),
        *_per_device(analysis),
    )


def _at_chance(analysis: Analysis) -> list[str]:
    """One sentence where VLMs do not answer a task better than a guess."""
    found = dict.fromkeys((cell.vlm, cell.task) for cell in analysis.cells if cell.at_chance)
    if not found:
        return []
    names = ", ".join(f"{vlm} on {task}" for vlm, task in found)
    return [
        f"At chance level even on uncompressed images: {names}. Differences between codecs say "
        "nothing there."
    ]


def _per_device(analysis: Analysis) -> list[str]:
    """One sentence if decoded images depend on the device."""
    codecs = per_device_codecs(analysis)
    if not codecs:
        return []
    names = ", ".join(map(codec_label, codecs))
    return [
        f"The decoded images of {names} are reproducible per device: another kind of device can "
        "give slightly different figures."
    ]


def _headline(vlm: str, task: str, codec: str, worst: _CodecLoss, rival: str, axis: Axis) -> str:
    at = axis.text(worst.lowest.rate)
    low, uncompressed = worst.lowest.score.value, worst.uncompressed.score.value
    if not worst.resolved:
        return (
            f"No significant loss: at {at} "
            f"{codec_label(codec)}, {vlm} scores {_number(low)} on {task}, "
            f"and {_number(uncompressed)} uncompressed"
        )
    return (
        f"{codec_label(codec)} at {at} costs {vlm} "
        f"{_number(uncompressed - low)} of its {_number(uncompressed)} points on {task}{rival}"
    )


def _recovered(analysis: Analysis, vlm: str, task: str, codec: str, level: str) -> list[str]:
    """The significant gain of each adapter in the headline's case."""
    return [
        f"The adapter “{gap.adapter}” recovers {_number(gap.generalization.value)} of these "
        f"{_number(gap.performance.value)} points."
        for gap in analysis.gaps
        if (gap.vlm, gap.task, gap.codec, gap.level) == (vlm, task, codec, level)
        and gap.generalization.sign > 0
    ]


def _resolved(analysis: Analysis) -> set[tuple[str, str, str, str]]:
    """(VLM, task, codec, codec that it is significantly better than) at the rates both have."""
    pairs = [one for pair in analysis.pairs for one in (pair, pair.turned()) if not pair.adapter]
    return {
        (one.vlm, one.task, one.codec, one.against) for one in pairs if one.bd and one.bd.sign > 0
    }


def _comparison(
    key: tuple[str, str, str],
    curves: dict[tuple[str, str, str], _CodecLoss],
    resolved: set[tuple[str, str, str, str]],
    axis: Axis,
) -> str:
    """`; VVC at the same rate costs 8.9`, or a codec with fewer bits; "" if none is better.

    At the same rate the paired interval over the rates that both have decides. A codec whose rates
    are all lower has no rate in common: its loss must lie below the other's, each with its whole
    interval.
    """
    vlm, task, worst = key
    lowest, uncompressed = curves[key].lowest, curves[key].uncompressed.score.value
    lost = uncompressed - lowest.score.value
    same_rate: list[tuple[float, str, str]] = []
    fewer_bits: list[tuple[float, str, str]] = []
    for (*own, codec), curve in curves.items():
        if own != [vlm, task] or codec == worst:
            continue
        rates = [point.rate for point in curve.points]
        scores = [point.score.value for point in curve.points]
        if rates[0] <= lowest.rate <= rates[-1] and rates[0] < rates[-1]:
            loss = uncompressed - _score_at(lowest.rate, rates, scores)
            if (vlm, task, codec, worst) in resolved and loss < lost:
                same_rate.append((loss, codec, axis.same))
        elif rates[-1] < lowest.rate and _below(curve.points[-1].loss, lowest.loss):
            fewer_bits.append((uncompressed - scores[-1], codec, f"at {axis.text(rates[-1])}"))
    if not same_rate and not fewer_bits:
        return ""
    loss, codec, where = min(same_rate or fewer_bits)
    cost = _number(loss) if loss > 0 else "nothing"
    return f"; {codec_label(codec)} {where} costs {cost}"


def _below(one: Interval | None, other: Interval | None) -> bool:
    """Whether one interval lies whole below another. A difference of 0 has an interval of 0."""
    return one is not None and other is not None and one.high < other.low


def _without_curves(analysis: Analysis) -> str:
    plain = [cell for cell in analysis.cells if cell.answered > 0]
    if not plain:
        return "Nothing has been scored yet"
    if all(cell.codec == UNCOMPRESSED for cell in plain):
        best = plain[0]
        return (
            f"Uncompressed, {best.vlm} scores {_number(best.score.value)} on {best.task}; "
            "no codec has been measured yet"
        )
    low = min((c for c in plain if c.codec != UNCOMPRESSED), key=lambda cell: cell.rate)
    for cell in plain:
        if (cell.codec, cell.vlm, cell.task) == (UNCOMPRESSED, low.vlm, low.task):
            return (
                f"{low.vlm} scores {_number(cell.score.value)} on {low.task} even without "
                "compression, so that no loss can be measured"
            )
    return (
        f"At {analysis.axis.text(low.rate)} {codec_label(low.codec)}, {low.vlm} scores "
        f"{_number(low.score.value)} on {low.task}; its uncompressed score has not been measured"
    )


def _curves(analysis: Analysis) -> dict[tuple[str, str, str], _CodecLoss]:
    """Codec curves without adapter by (VLM, task, codec), if the uncompressed score is above 0."""
    cells = [c for c in analysis.cells if not c.adapter and c.answered > 0]
    uncompressed_cells = {
        (c.vlm, c.task): c for c in cells if c.codec == UNCOMPRESSED and c.score.value > 0
    }
    points: dict[tuple[str, str, str], list[CellResult]] = {}
    for cell in cells:
        if cell.codec != UNCOMPRESSED and (cell.vlm, cell.task) in uncompressed_cells:
            points.setdefault((cell.vlm, cell.task, cell.codec), []).append(cell)
    return {
        key: _CodecLoss(
            uncompressed=uncompressed_cells[key[:2]],
            points=tuple(sorted(found, key=lambda c: c.rate)),
        )
        for key, found in points.items()
    }


def _best_codecs(analysis: Analysis) -> list[str]:
    """Per VLM: the codec that is ahead of others on the most tasks, at the rates that both have.

    Only differences whose whole interval is above 0 count. BD-Metrics against the uncompressed
    score are no ranking, because each is over its own rates.
    """
    sentences = []
    pairs = [pair for pair in analysis.pairs if not pair.adapter and pair.bd is not None]
    for vlm in dict.fromkeys(pair.vlm for pair in pairs):
        both = [one for pair in pairs if pair.vlm == vlm for one in (pair, pair.turned())]
        lead: dict[str, int] = {}  # tasks won less tasks lost
        for pair in both:
            lead[pair.codec] = lead.get(pair.codec, 0) + (pair.bd.sign if pair.bd else 0)
        best = max(lead, key=lambda codec: lead[codec])
        if lead[best] <= 0:
            sentences.append(f"At equal rates no codec is significantly better for {vlm}.")
            continue
        ahead = []
        for other in dict.fromkeys(pair.against for pair in both if pair.codec == best):
            own = [pair for pair in both if (pair.codec, pair.against) == (best, other)]
            won = sum(pair.bd.sign > 0 for pair in own if pair.bd)
            if won:
                tasks = _plural(len(own), "task")
                ahead.append(f"{codec_label(other)} on {won} of {len(own)} {tasks}")
        sentences.append(
            f"At equal rates {codec_label(best)} is significantly better for {vlm} than "
            f"{_listed(ahead)}; other differences are not significant or not measured."
        )
    return sentences


def _score_at(rate: float, rates: Sequence[float], scores: Sequence[float]) -> float:
    """The score of a curve between its levels, as BD-Metric interpolates."""
    groups = equal_rates(np.array(rates))
    x, y = (
        np.array([np.mean([axis[place] for place in group]) for group in groups])
        for axis in (rates, scores)
    )
    return pchip.value(x, y, rate)


def _listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _adapter_gains(analysis: Analysis) -> list[str]:
    """Per VLM and adapter: the numbers of significant gains and losses at the codecs' lowest rates,
    where the adapter has most to recover, and of BD-Metric over all their rates.

    Adapters for a single codec are left out: they measure the gap and are not for deployment.
    """
    single = {info.name for info in analysis.adapters if len(info.trained_codecs) == 1}
    over_all: dict[tuple[str, str], list[Interval]] = {}
    for result in analysis.bd:
        if result.baseline == "no adapter" and result.bd and result.adapter not in single:
            over_all.setdefault((result.vlm, result.adapter), []).append(result.bd)
    lowest = _lowest_levels(analysis)
    sentences = []
    for (vlm, adapter), bds in over_all.items():
        at_lowest = [
            gap.generalization
            for gap in analysis.gaps
            if (gap.vlm, gap.adapter) == (vlm, adapter)
            and lowest.get((vlm, gap.task, gap.codec)) == gap.level
        ]
        measured = [("at the codec’s lowest rate", at_lowest), ("over all its rates", bds)]
        counts = "; ".join(
            f"{where} it gains on {sum(one.sign > 0 for one in found)} of {len(found)} "
            f"{_plural(len(found), 'pair')} of task and codec, and loses on "
            f"{sum(one.sign < 0 for one in found)}"
            for where, found in measured
            if found
        )
        sentences.append(
            f"{vlm} with the adapter “{adapter}”: {counts}. The other differences are not "
            "significant."
        )
    return sentences


def _lowest_levels(analysis: Analysis) -> dict[tuple[str, str, str], str]:
    """VLM, task and codec -> the level with the lowest rate."""
    lowest: dict[tuple[str, str, str], CellResult] = {}
    for cell in analysis.cells:
        key = cell.vlm, cell.task, cell.codec
        if cell.answered and (key not in lowest or cell.rate < lowest[key].rate):
            lowest[key] = cell
    return {key: cell.level for key, cell in lowest.items()}


def _for_machines(analysis: Analysis) -> list[str]:
    """One sentence for each VLM and codec adapted to machines with a significant difference from
    its base."""
    found: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for icm in analysis.icm:
        if icm.bd is not None and icm.codec != icm.base and not icm.adapter and icm.bd.sign:
            sign = "+" if icm.bd.value > 0 else "\N{MINUS SIGN}"
            change = f"{icm.task} {sign}{_number(abs(icm.bd.value))}"
            found[icm.vlm, icm.codec, icm.base].append(change)
    return [
        f"At the same rates {codec_label(codec)}, which is {codec_label(base)} adapted to a VLM, "
        f"changes the scores of {vlm} against {codec_label(base)}: {', '.join(changes)} points."
        for (vlm, codec, base), changes in found.items()
    ]


def _number(value: float) -> str:
    """One decimal below 100, none from 100 up (MME, OCRBench)."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else word + "s"
