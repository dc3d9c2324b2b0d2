"""All comparisons of a run: curves with their anchors, fine-tuned VLMs with their plain selves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from eyechart.analysis.bootstrap import interval
from eyechart.analysis.curves import bd_from_curve, bd_from_uncompressed, curve_of
from eyechart.analysis.gap import best_tuned, gap
from eyechart.analysis.measure import Measured
from eyechart.analysis.reading import SOURCE, ReadCell
from eyechart.analysis.result import BdResult, GapResult, Interval

Pair = tuple[ReadCell, Measured]
Place = tuple[str, str, str, str]  # vlm, adapter, task, codec


def rank_levels(pairs: Sequence[Pair]) -> dict[str, int]:
    """Cell key -> place of its level among those measured of its task and codec, 0 the lowest.

    By mean bpp over the cells that have the level: what a plan calls a level, and which others it
    lists beside it, says nothing of its rate.
    """
    levels: defaultdict[tuple[str, str], defaultdict[str, list[Pair]]]
    levels = defaultdict(lambda: defaultdict(list))
    for read, measured in pairs:
        levels[read.task, read.codec][read.cell.level.name].append((read, measured))
    ranks = {}
    for found in levels.values():
        rising = sorted(found.values(), key=lambda own: fmean(measured.bpp for _, measured in own))
        for rank, own in enumerate(rising):
            ranks.update({read.key: rank for read, _ in own})
    return ranks


class Comparison:
    """The measured cells of a run, grouped into curves.

    questions: by cell key, how many are to be asked; fewer answers than that are flagged, and so is
    a sample of what other cells of the task ask.
    """

    def __init__(self, pairs: Sequence[Pair], questions: Mapping[str, int]) -> None:
        self._questions = questions
        self._curves: defaultdict[Place, list[Pair]] = defaultdict(list)
        self._most: defaultdict[str, int] = defaultdict(int)
        levels: defaultdict[str, set[str]] = defaultdict(set)
        for read, measured in pairs:
            self._curves[read.vlm, read.adapter, read.task, read.codec].append((read, measured))
            levels[read.codec].add(read.cell.level.name)
            self._most[read.task] = max(self._most[read.task], questions[read.key])
        self._levels = {codec: len(names) for codec, names in levels.items()}

    def bd(self) -> Iterator[BdResult]:
        """Every curve against uncompressed, and every adapter's curve against none."""
        for place, cells in self._curves.items():
            vlm, adapter, task, codec = place
            if codec == SOURCE:
                continue
            curve = curve_of([measured for _, measured in cells], flags=self._flags(cells))
            ceiling, flags = self._ceiling(vlm, adapter, task)
            bd, found = bd_from_uncompressed(curve, ceiling)
            names = {"vlm": vlm, "adapter": adapter, "task": task, "codec": codec}
            names["codec_name"] = cells[0][0].cell.codec.name
            yield BdResult(**names, anchor="uncompressed", bd=bd, flags=(*flags, *found))
            if adapter:
                plain = self._curves.get((vlm, "", task, codec), [])
                base = (
                    curve_of([measured for _, measured in plain], flags=self._flags(plain))
                    if plain
                    else None
                )
                bd, flags = bd_from_curve(curve, base)
                yield BdResult(**names, anchor="no adapter", bd=bd, flags=flags)

    def loss(self, pair: Pair) -> Interval | None:
        """What a cell lost against the plain VLM's uncompressed score; None where that is not, or
        where nobody can say how sure it is.

        Both under the same resamplings: two scores whose own intervals overlap may well differ.
        """
        read, measured = pair
        plain = self._curves.get((read.vlm, "", read.task, SOURCE))
        unsure = measured.caution and not measured.score_draws.size
        if read.codec == SOURCE or not plain or unsure:
            return None
        clean = plain[0][1]
        return interval(clean.score - measured.score, clean.score_draws - measured.score_draws)

    def gaps(self) -> Iterator[GapResult]:
        """Eq. 1 for every codec that an adapter saw in training: each level, then their mean."""
        adapters: defaultdict[tuple[str, str, str], dict[str, list[Pair]]] = defaultdict(dict)
        for (vlm, adapter, task, codec), cells in self._curves.items():
            adapters[vlm, task, codec][adapter] = cells
        for (vlm, task, codec), curves in adapters.items():
            clean, _ = self._ceiling(vlm, "", task)
            name = next(iter(curves.values()))[0][0].cell.codec.name
            best = best_tuned(name, {a: cells[0][0].cell.adapter for a, cells in curves.items()})
            tuned = curves.get(best or "", [])
            plain = {read.cell.level.name: measured for read, measured in curves.get("", [])}
            shared = [
                (read.cell.level.name, plain[read.cell.level.name], measured)
                for read, measured in tuned
                if read.cell.level.name in plain
            ]
            if best is None or clean is None or not shared:
                continue
            names = {"vlm": vlm, "task": task, "codec": codec, "adapter": best}
            for level, before, after in shared:
                yield gap(**names, level=level, clean=clean, compressed=[before], finetuned=[after])
            befores, afters = [b for _, b, _ in shared], [a for _, _, a in shared]
            yield gap(**names, level="", clean=clean, compressed=befores, finetuned=afters)

    def _ceiling(
        self, vlm: str, adapter: str, task: str
    ) -> tuple[Measured | None, tuple[str, ...]]:
        """The uncompressed score of the plain VLM; the adapter's own where that is missing."""
        if plain := self._curves.get((vlm, "", task, SOURCE)):
            return plain[0][1], self._unfinished(plain, "uncompressed: ")
        if own := self._curves.get((vlm, adapter, task, SOURCE)):
            return own[0][1], ("uncompressed score read with the adapter",)
        return None, ()

    def _flags(self, cells: Sequence[Pair]) -> tuple[str, ...]:
        expected = self._levels[cells[0][0].codec]
        short = () if len(cells) == expected else (f"{len(cells)} of {expected} levels",)
        caution = cells[0][1].caution
        return (*short, *self._unfinished(cells, ""), *([caution] if caution else []))

    def _unfinished(self, cells: Sequence[Pair], where: str) -> tuple[str, ...]:
        failed = sum(len(read.failures) for read, _ in cells)
        open_ = sum(
            max(0, self._questions[read.key] - measured.answered - len(read.failures))
            for read, measured in cells
        )
        flags = [f"{where}{failed} failed question{_s(failed)}"] if failed else []
        flags += [f"{where}{open_} question{_s(open_)} not asked yet"] if open_ else []
        most = self._most[cells[0][0].task]
        least = min(self._questions[read.key] for read, _ in cells)
        return (*flags, *([f"{where}asks {least} of {most} questions"] if least < most else []))


def _s(count: int) -> str:
    return "" if count == 1 else "s"
