"""How far images may be compressed: the cheapest setting whose loss is surely below a tolerance.

    records -> mean score of each image -> loss against the uncompressed image, paired
            -> upper bound of the mean loss -> per codec: from the highest rate down, to the first
               level that is not shown to be good enough

The bound (`loss_bounds`) holds for all codecs together, by Bonferroni's correction; VLMs and
adapters are judged separately. Within a codec the levels are tested in a fixed order, so that no
further correction is needed (Maurer, Hothorn and Lehmacher, "Multiple comparisons in drug clinical
trials and preclinical assays: a-priori ordered hypotheses", 1995).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eyechart.analysis.cells import CellData, read_cells
from eyechart.analysis.deployment import Costs, Saving, UsdPrices, answers_of, costs_of
from eyechart.analysis.loss_bounds import LEAST_IMAGES, images_needed, upper_bound
from eyechart.analysis.measurements import Measurement, mean_value, measurements
from eyechart.codecs import open_codec
from eyechart.core.errors import InputError
from eyechart.core.types import UNCOMPRESSED, Level
from eyechart.store import Store
from eyechart.store.own_files import read_own_files
from eyechart.store.timings import read_timings
from eyechart.tasks.own_answers import OwnAnswers, own_answers
from eyechart.tasks.own_images import OwnImages

ERROR_RATE = 0.05  # probability, for one VLM, that any good setting loses more than the tolerance


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
    the references are the VLM's own answers, how far it agrees with itself. answers: what those of
    a check are compared with; None for other runs."""

    vlm: str
    adapter: str
    tolerance: float
    settings: tuple[Setting, ...]
    best: Setting | None
    saving: Saving
    uncompressed: Costs
    agreement: float
    today: Setting | None = None
    answers: OwnAnswers | None = None

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
    order = store.plan_order()
    cells = [cell for cell in read_cells(store) if cell.records or cell.failures]
    cells.sort(key=lambda cell: order.get(cell.key, len(order)))
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
    files = read_own_files(store.root)
    file_bytes = {} if files is None else files.sizes
    found = []
    for (vlm, adapter), own in groups.items():
        plain = [one for one in groups.get((vlm, ""), []) if one.codec == UNCOMPRESSED]
        answers = answers_of(plain)
        compared_by = _answers_of_check(store.root, plain)
        rules = {} if compared_by is None else compared_by.rules
        measured = measurements(own, plain, timings, paid, file_bytes, rules)
        if not measured:
            continue
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
                agreement=100 * mean_value(answers),
                today=None if compared is None else _named(compared, settings, str(today)),
                answers=compared_by,
            )
        )
    if not found:
        raise InputError(f"{run_dir}: needs answers about uncompressed images and about a codec's")
    return found


def _answers_of_check(run_dir: Path, plain: Sequence[CellData]) -> OwnAnswers | None:
    """plain: the cells of a VLM's uncompressed images. None unless they are of own images alone."""
    if not plain or {one.cell.task.name for one in plain} != {OwnImages.name}:
        return None
    return own_answers(run_dir, plain[0].cell.vlm)


def judged(measured: Sequence[Measurement], tolerance: float) -> tuple[Setting, ...]:
    """Every measurement as a setting that is good or not: by codec, highest rate first."""
    codecs = list(dict.fromkeys(one.codec for one in measured))
    error_rate = ERROR_RATE / max(1, len(codecs))
    settings = []
    for codec in codecs:
        still_good, higher = True, None
        own = [one for one in measured if one.codec == codec]
        for one in sorted(own, key=lambda one: (-one.bpp, -one.costs.size_bytes)):
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
