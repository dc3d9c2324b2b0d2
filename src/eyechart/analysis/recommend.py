"""How far images may be compressed: the cheapest setting whose loss is surely below a tolerance.

    records -> mean score of each image -> loss against the uncompressed image, paired
            -> upper bound of the mean loss -> per codec: from the highest rate down, to the first
               level that is not shown to be good enough

The bound is one-sided (Student's t over images). It holds for all codecs together, by Bonferroni's
correction; VLMs and adapters are judged separately. Within a codec the levels are tested in a fixed
order, so that no further correction is needed (Maurer, Hothorn and Lehmacher, "Multiple comparisons
in drug clinical trials and preclinical assays: a-priori ordered hypotheses", 1995).

Two images with a total loss are added to the data, because a few images without a loss would
otherwise show that there is none; Agresti and Coull (The American Statistician 52, 1998) add
successes and failures to a proportion for the same reason. With them the bound covers the true loss
of right or wrong answers in at least 95 % of all samples of 5 to 1,000 images (one image would be
too few: 93.8 % at worst).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TypeAlias

import numpy as np

from eyechart.analysis.cells import CellData, read_cells
from eyechart.analysis.deployment import Costs, Saving, UsdPrices, answers_of, costs_of
from eyechart.codecs import open_codec
from eyechart.core.errors import InputError
from eyechart.core.records import Cell, Record
from eyechart.core.types import UNCOMPRESSED, Floats, Level
from eyechart.store import Store
from eyechart.store.timings import Timing, read_timings

ERROR_RATE = 0.05  # probability, for one VLM, that any good setting loses more than the tolerance
LEAST_IMAGES = 5  # with fewer nothing is recommended
_MOST_IMAGES = 100_000
_RIGHT = 0.5  # scores from here on count as right, to count flips

# (task, image) -> question -> score, 0..1
ScoresByImage: TypeAlias = defaultdict[tuple[str, str], dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was measured at one level of a codec.

    losses: (images,), of the mean score of each image's questions, -1..1. score: mean of all
    questions, 0..1. lost, gained: shares of the questions, 0..1, that are right on the uncompressed
    image only, or on the compressed one only. cell: a cell of this level, with the identities of
    codec and level.
    """

    codec: str
    level: str
    bpp: float
    costs: Costs
    losses: Floats
    score: float | None = None
    lost: float = 0.0
    gained: float = 0.0
    cell: Cell | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One level of a codec for one VLM and adapter, over the tasks of a run.

    loss: of the mean score of the questions, in points of 100, mean over images. upper: its bound.
    good: whether `upper` is at most the tolerance, and those of all higher levels of the codec.
    error_rate: of the bound, with the correction for the number of codecs. higher: the next higher
    level of the codec, None for the highest.
    """

    measured: Measurement
    loss: float
    upper: float
    images: int
    good: bool
    tolerance: float
    error_rate: float
    higher: Setting | None = None

    @property
    def images_needed(self) -> int | None:
        """About so many more images would show that it and all higher levels are good, at the
        losses and spreads seen here; None if one of these losses is over the tolerance, 0 if it is
        good."""
        most = 0
        one: Setting | None = self
        while one is not None and not one.good:
            own = images_needed(one.measured.losses, one.tolerance / 100, one.error_rate)
            if own is None:
                return None
            most, one = max(most, own), one.higher
        return most

    @property
    def codec(self) -> str:
        """Label of the codec."""
        return self.measured.codec

    @property
    def level(self) -> str:
        """Name of the level."""
        return self.measured.level

    @property
    def bpp(self) -> float:
        """Mean bits over the pixels of the original image."""
        return self.measured.bpp

    @property
    def costs(self) -> Costs:
        """What an image at this setting costs."""
        return self.measured.costs

    @property
    def bytes_per_image(self) -> float:
        """Mean size of a payload."""
        return self.costs.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """settings: by codec, highest rate first. best: the cheapest of the good ones, None if none is
    good. saving: what was to be saved. today: the setting to compare with, if one was named.
    uncompressed: costs of the uncompressed image. agreement: mean score on it, in percent; where
    the references are the VLM's own answers, how far it agrees with itself."""

    vlm: str
    adapter: str
    tolerance: float
    settings: tuple[Setting, ...]
    best: Setting | None
    saving: Saving
    uncompressed: Costs
    agreement: float
    today: Setting | None = None

    @property
    def name(self) -> str:
        """The VLM, with its adapter."""
        return f"{self.vlm} + {self.adapter}" if self.adapter else self.vlm

    def front(self) -> list[Setting]:
        """The Pareto front, cheapest first: settings that lose less than all cheaper ones."""
        found: list[Setting] = []
        for one in sorted(self.settings, key=lambda one: (self.saving.of(one.costs), one.loss)):
            if not found or one.loss < found[-1].loss:
                found.append(one)
        return found


def check_tolerance(tolerance: float) -> None:
    """Check a tolerance in points. Raises InputError: not more than 0 and up to 100."""
    if not 0 < tolerance <= 100:
        raise InputError(f"tolerance {tolerance:g}; allowed: more than 0, up to 100 points")


def recommend(
    run_dir: Path,
    *,
    tolerance: float,
    tasks: Sequence[str] = (),
    saving: Saving | None = None,
    today: str | None = None,
    prices: UsdPrices | None = None,
) -> list[Recommendation]:
    """The cheapest good setting for each VLM and adapter of a run.

    tolerance: the greatest mean loss, in points of 100 of the mean question score. tasks: use only
    these; (): all. saving: what to save; None: bytes. today: a setting of the run to compare with,
    as a codec with one level (`jpeg:quality=85`). prices: None: the list prices of known VLMs.

    Raises:
        InputError: not a run directory; a tolerance outside 0..100; no such task; no uncompressed
            image or no codec in the run; a saving that the run does not know; `today` is no setting
            of the run.
    """
    check_tolerance(tolerance)
    store = Store(run_dir)
    store.require()
    cells = [cell for cell in read_cells(store) if cell.records]
    there = dict.fromkeys(cell.task for cell in cells)
    for task in tasks:
        if task not in there:
            raise InputError(f"no task {task!r} in this run; there: {', '.join(there)}")
    groups: defaultdict[tuple[str, str], list[CellData]] = defaultdict(list)
    for cell in cells:
        if not tasks or cell.task in tasks:
            groups[cell.vlm, cell.adapter].append(cell)
    chosen, paid, timings = saving or Saving(), prices or UsdPrices(), read_timings(store.root)
    compared = None if today is None else _codec_and_level(today)
    found = []
    for (vlm, adapter), own in groups.items():
        plain = [one for one in groups.get((vlm, ""), []) if one.codec == UNCOMPRESSED]
        measured = _measurements(own, plain, timings, paid)
        if not measured:
            continue
        answers = answers_of(plain)
        uncompressed = costs_of(plain, answers, timings, paid)
        chosen.require([one.costs for one in measured], run_dir)
        settings = judged(measured, tolerance)
        found.append(
            Recommendation(
                vlm=vlm,
                adapter=adapter,
                tolerance=tolerance,
                settings=settings,
                best=cheapest(settings, chosen),
                saving=chosen,
                uncompressed=uncompressed,
                agreement=100 * _mean(answers),
                today=None if compared is None else _named(compared, settings, str(today)),
            )
        )
    if not found:
        raise InputError(f"{run_dir}: needs answers about uncompressed images and about a codec's")
    return found


def judged(measured: Sequence[Measurement], tolerance: float) -> tuple[Setting, ...]:
    """Every measurement as a setting that is good or not: by codec, highest rate first."""
    codecs = list(dict.fromkeys(one.codec for one in measured))
    error_rate = ERROR_RATE / max(1, len(codecs))
    settings = []
    for codec in codecs:
        still_good, higher = True, None
        own = [one for one in measured if one.codec == codec]
        for one in sorted(own, key=lambda one: -one.costs.size_bytes):
            upper = upper_bound(one.losses, error_rate)
            enough = len(one.losses) >= LEAST_IMAGES
            still_good = still_good and enough and 100 * upper <= tolerance
            higher = Setting(
                measured=one,
                loss=100 * float(one.losses.mean()),
                upper=100 * upper,
                images=len(one.losses),
                good=still_good,
                tolerance=tolerance,
                error_rate=error_rate,
                higher=higher,
            )
            settings.append(higher)
    return tuple(settings)


def cheapest(settings: Sequence[Setting], saving: Saving) -> Setting | None:
    """The cheapest good setting, of equal ones that with fewer bytes; None if none is good."""
    return min(
        (one for one in settings if one.good),
        key=lambda one: (saving.of(one.costs), one.costs.size_bytes),
        default=None,
    )


def _measurements(
    cells: Sequence[CellData],
    plain: Sequence[CellData],
    timings: Mapping[str, Timing],
    prices: UsdPrices,
) -> list[Measurement]:
    uncompressed = _scores(answers_of(plain))
    levels: defaultdict[tuple[str, str], list[CellData]] = defaultdict(list)
    for cell in cells:
        if cell.codec != UNCOMPRESSED and uncompressed:
            levels[cell.codec, cell.cell.level.name].append(cell)
    found = []
    for (codec, level), own in levels.items():
        answers = answers_of(own)
        scores = _scores(answers)
        losses = _losses(uncompressed, scores)
        if not len(losses):
            continue
        # Different images of two tasks may have the same key.
        rates = {(task, record.image): record.bpp for task, record in answers}
        lost, gained = _flips(uncompressed, scores)
        found.append(
            Measurement(
                codec=codec,
                level=level,
                bpp=float(np.mean(list(rates.values()))),
                costs=costs_of(own, answers, timings, prices),
                losses=losses,
                score=_mean(answers),
                lost=lost,
                gained=gained,
                cell=own[0].cell,
            )
        )
    return found


def _codec_and_level(spec: str) -> tuple[str, Level]:
    codec = open_codec(spec)
    if len(codec.levels) != 1:
        raise InputError(
            f"{spec}: has {len(codec.levels)} levels; allowed is one, as in jpeg:quality=85"
        )
    return codec.name, codec.levels[0]


def _named(wanted: tuple[str, Level], settings: Sequence[Setting], spec: str) -> Setting:
    """The setting of a codec and level. Raises InputError, which lists those of the codec."""
    name, level = wanted
    own = []
    for one in settings:
        cell = one.measured.cell
        if cell is not None and cell.codec.name == name:
            own.append(one)
            if cell.level.identity == level.identity:
                return one
    there = ", ".join(one.level for one in own) or "none"
    raise InputError(f"{spec} is not in this run; levels of {name} there: {there}")


def upper_bound(losses: Floats, error_rate: float) -> float:
    """Upper bound of the mean of losses (n,), each -1..1. Two losses of 1 are added to them."""
    values = np.append(losses, (1.0, 1.0))
    return _bound(len(values), float(values.mean()), float(values.std(ddof=1)), error_rate)


def _bound(count: int, mean: float, deviation: float, error_rate: float) -> float:
    return mean + _t_quantile(1 - error_rate, count - 1) * deviation / math.sqrt(count)


def images_needed(losses: Floats, tolerance: float, error_rate: float) -> int | None:
    """About how many more images with these losses would bring the bound to the tolerance, 0 if
    it is there; None if no number would."""
    if losses.mean() >= tolerance:
        return None
    count, share = max(len(losses), LEAST_IMAGES), float(np.square(losses).mean())
    while count <= _MOST_IMAGES:
        whole = count + 2  # with the two losses of 1
        mean = (count * float(losses.mean()) + 2) / whole
        variance = (count * share + 2 - whole * mean**2) / (whole - 1)
        if _bound(whole, mean, math.sqrt(max(0.0, variance)), error_rate) <= tolerance:
            return count - len(losses)
        count = math.ceil(count * 1.1) + 1
    return None


def _scores(answers: Iterable[tuple[str, Record]]) -> ScoresByImage:
    found: ScoresByImage = defaultdict(dict)
    for task, record in answers:
        found[task, record.image][record.question_id] = record.value
    return found


def _mean(answers: Sequence[tuple[str, Record]]) -> float:
    """Mean score of the questions, 0..1; 0 without any."""
    return float(np.mean([record.value for _, record in answers])) if answers else 0.0


def _losses(uncompressed: ScoresByImage, compressed: ScoresByImage) -> Floats:
    """Mean loss of each image, over the questions that were answered in both cases."""
    losses = []
    for image, before in uncompressed.items():
        after = compressed.get(image, {})
        shared = before.keys() & after.keys()
        if shared:
            losses.append(sum(before[one] - after[one] for one in shared) / len(shared))
    return np.array(losses)


def _flips(uncompressed: ScoresByImage, compressed: ScoresByImage) -> tuple[float, float]:
    """Shares of the questions that only the uncompressed image gets right, and only the other."""
    pairs = [
        (score >= _RIGHT, compressed[image][question] >= _RIGHT)
        for image, before in uncompressed.items()
        if image in compressed
        for question, score in before.items()
        if question in compressed[image]
    ]
    count = max(1, len(pairs))
    return (
        sum(before and not after for before, after in pairs) / count,
        sum(after and not before for before, after in pairs) / count,
    )


def _t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t by its expansion around the normal one (Abramowitz and Stegun,
    26.7.5): within 1 % from 4 degrees of freedom on, for probabilities up to 0.999."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))
