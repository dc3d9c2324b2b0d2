"""All comparisons of a run: codecs with the uncompressed image, adapters with no adapter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from statistics import fmean

from eyechart.analysis.bootstrap import interval
from eyechart.analysis.curves import (
    Curve,
    bd_from_curve,
    bd_from_uncompressed,
    bd_rate_from_curve,
    curve_of,
)
from eyechart.analysis.gap import best_tuned, gap
from eyechart.analysis.measure import Measured
from eyechart.analysis.result import BdResult, GapResult, IcmResult, Interval, PairResult
from eyechart.core.types import UNCOMPRESSED

CurveKey = tuple[str, str, str, str]  # vlm, adapter, task, codec


def rank_levels(cells: Sequence[Measured]) -> dict[str, int]:
    """Cell key -> rank of its level by rate, 0 the lowest, among those of its task and codec.

    The order is that of the mean rate over all cells of a level, not that of names or of the plan.
    """
    levels: defaultdict[tuple[str, str], defaultdict[str, list[Measured]]]
    levels = defaultdict(lambda: defaultdict(list))
    for measured in cells:
        data = measured.data
        levels[data.task, data.codec][data.cell.level.name].append(measured)
    ranks = {}
    for found in levels.values():
        rising = sorted(found.values(), key=lambda own: fmean(measured.rate for measured in own))
        for rank, own in enumerate(rising):
            ranks.update({measured.data.key: rank for measured in own})
    return ranks


class Comparison:
    """The measured cells of a run, grouped into curves.

    questions: planned questions, by cell key. Flagged are cells with fewer answers, and cells with
    fewer planned questions than other cells of the task.
    levels: by codec, how many are planned. Curves with fewer are flagged. unit: of the rates.
    """

    def __init__(
        self,
        cells: Sequence[Measured],
        questions: Mapping[str, int],
        levels: Mapping[str, int],
        *,
        unit: str = "bpp",
    ) -> None:
        self._questions, self._levels, self._unit = questions, levels, unit
        self._curves: defaultdict[CurveKey, list[Measured]] = defaultdict(list)
        self._most: defaultdict[str, int] = defaultdict(int)
        for measured in cells:
            data = measured.data
            self._curves[data.vlm, data.adapter, data.task, data.codec].append(measured)
            self._most[data.task] = max(self._most[data.task], questions[data.key])

    def bd(self) -> Iterator[BdResult]:
        """Every curve against uncompressed, and every adapter's curve against none."""
        for place, cells in self._curves.items():
            vlm, adapter, task, codec = place
            if codec == UNCOMPRESSED:
                continue
            curve = self._curve(cells)
            uncompressed, flags = self._uncompressed(vlm, adapter, task)
            bd, found = bd_from_uncompressed(curve, uncompressed)
            names = {"vlm": vlm, "adapter": adapter, "task": task, "codec": codec}
            names["codec_name"] = cells[0].data.cell.codec.name
            low, high = float(curve.rates.min()), float(curve.rates.max())
            yield BdResult(
                **names,
                baseline="uncompressed",
                bd=bd,
                flags=(*flags, *found),
                low_rate=low,
                high_rate=high,
            )
            if adapter:
                plain = self._curves.get((vlm, "", task, codec), [])
                base = self._curve(plain) if plain else None
                bd, flags = bd_from_curve(curve, base)
                yield BdResult(
                    **names,
                    baseline="no adapter",
                    bd=bd,
                    flags=flags,
                    low_rate=low,
                    high_rate=high,
                )

    def pairs(self) -> Iterator[PairResult]:
        """Every two codecs of a VLM, adapter and task, each pair once."""
        groups: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        for vlm, adapter, task, codec in self._curves:
            if codec != UNCOMPRESSED:
                groups[vlm, adapter, task].append(codec)
        for (vlm, adapter, task), codecs in groups.items():
            cells = {codec: self._curves[vlm, adapter, task, codec] for codec in codecs}
            curves = {codec: self._curve(cells[codec]) for codec in codecs}
            draws = {codec: curve.rising_draws() for codec, curve in curves.items()}
            for against, codec in combinations(codecs, 2):
                curve, base = curves[codec], curves[against]
                bd, flags = bd_from_curve(curve, base)
                rate, rate_flags = bd_rate_from_curve(curve, base, draws[codec], draws[against])
                yield PairResult(
                    vlm=vlm,
                    adapter=adapter,
                    task=task,
                    codec=codec,
                    against=against,
                    bd=bd,
                    flags=flags,
                    rate_percent=rate,
                    rate_flags=rate_flags,
                )

    def loss(self, measured: Measured) -> Interval | None:
        """Uncompressed score of the VLM without adapter, minus the cell's score; None without such
        a score or an interval.

        Both use the same resamplings: two scores whose own intervals overlap may still differ.
        """
        data = measured.data
        plain = self._curves.get((data.vlm, "", data.task, UNCOMPRESSED))
        no_interval = measured.caution and not measured.score_draws.size
        if data.codec == UNCOMPRESSED or not plain or no_interval:
            return None
        uncompressed = plain[0]
        return interval(
            uncompressed.score - measured.score, uncompressed.score_draws - measured.score_draws
        )

    def gaps(self) -> Iterator[GapResult]:
        """Eq. 1 for every codec that an adapter was trained on: each level, then their mean."""
        adapters: defaultdict[tuple[str, str, str], dict[str, list[Measured]]] = defaultdict(dict)
        for (vlm, adapter, task, codec), cells in self._curves.items():
            adapters[vlm, task, codec][adapter] = cells
        for (vlm, task, codec), curves in adapters.items():
            uncompressed, _ = self._uncompressed(vlm, "", task)
            name = next(iter(curves.values()))[0].data.cell.codec.name
            best = best_tuned(name, {a: cells[0].data.cell.adapter for a, cells in curves.items()})
            tuned = curves.get(best or "", [])
            plain = {measured.data.cell.level.name: measured for measured in curves.get("", [])}
            shared = [
                (level, plain[level], measured)
                for measured in tuned
                if (level := measured.data.cell.level.name) in plain
            ]
            if best is None or uncompressed is None or not shared:
                continue
            names = {"vlm": vlm, "task": task, "codec": codec, "adapter": best}
            for level, before, after in shared:
                yield gap(
                    **names,
                    level=level,
                    uncompressed=uncompressed,
                    compressed=[before],
                    finetuned=[after],
                )
            befores, afters = [b for _, b, _ in shared], [a for _, _, a in shared]
            yield gap(
                **names, level="", uncompressed=uncompressed, compressed=befores, finetuned=afters
            )

    def icm(self) -> Iterator[IcmResult]:
        """Every codec adapted to machines beside its base codec, without and with adapters."""
        for (vlm, adapter, task, base), cells in self._curves.items():
            name = cells[0].data.cell.codec.name
            own = {
                place: found
                for place, found in self._curves.items()
                if (place[0], place[2]) == (vlm, task)
            }
            adapted = {
                place[3] for place, found in own.items() if found[0].data.facts.adapted_from == name
            }
            if adapter or not adapted:
                continue
            base_curve = self._curve(cells)
            shown = [place for place in own if place[3] in (base, *adapted)]
            for place in sorted(shown, key=lambda place: (place[1], place[3] != base)):
                curve = self._curve(own[place])
                bd, flags = bd_from_curve(curve, base_curve)
                yield IcmResult(
                    vlm=vlm,
                    task=task,
                    base=base,
                    codec=place[3],
                    adapter=place[1],
                    bd=bd,
                    flags=flags,
                )

    def _curve(self, cells: Sequence[Measured]) -> Curve:
        return curve_of(cells, flags=self._flags(cells), unit=self._unit)

    def _uncompressed(
        self, vlm: str, adapter: str, task: str
    ) -> tuple[Measured | None, tuple[str, ...]]:
        """The uncompressed score of the VLM without adapter, or with it if that is missing."""
        if plain := self._curves.get((vlm, "", task, UNCOMPRESSED)):
            return plain[0], (*self._unfinished(plain, "uncompressed: "), *_chance(plain))
        if own := self._curves.get((vlm, adapter, task, UNCOMPRESSED)):
            return own[0], ("uncompressed score read with the adapter", *_chance(own))
        return None, ()

    def _flags(self, cells: Sequence[Measured]) -> tuple[str, ...]:
        expected = self._levels[cells[0].data.codec]
        short = () if len(cells) == expected else (f"{len(cells)} of {expected} levels",)
        caution = cells[0].caution
        return (*short, *self._unfinished(cells, ""), *([caution] if caution else []))

    def _unfinished(self, cells: Sequence[Measured], where: str) -> tuple[str, ...]:
        failed = sum(len(measured.data.failures) for measured in cells)
        open_ = sum(
            max(0, self._questions[data.key] - len(data.records) - len(data.failures))
            for data in (measured.data for measured in cells)
        )
        flags = [f"{where}{failed} failed question{_s(failed)}"] if failed else []
        flags += [f"{where}{open_} question{_s(open_)} not asked yet"] if open_ else []
        most = self._most[cells[0].data.task]
        least = min(self._questions[measured.data.key] for measured in cells)
        return (*flags, *([f"{where}asks {least} of {most} questions"] if least < most else []))


def _chance(uncompressed: Sequence[Measured]) -> tuple[str, ...]:
    return (uncompressed[0].at_chance,) if uncompressed[0].at_chance else ()


def _s(count: int) -> str:
    return "" if count == 1 else "s"
