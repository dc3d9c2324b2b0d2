"""How far images may be compressed: the cheapest setting whose loss is surely below a tolerance.

    records -> mean score of each image -> loss against the uncompressed image, paired
            -> upper bound of the mean loss -> per codec: from the highest rate down, to the first
               level that is not shown to be good enough

The bound is one-sided (Student's t over images), and holds for all codecs together. Within a codec
the levels are tested in a fixed order, so that no further correction is needed (Maurer, Hothorn and
Lehmacher 1995). Two images with a total loss are added to the data, because a few images without
a loss would otherwise show that there is none. With them the bound covers the true loss of right or
wrong answers in at least 95 % of all samples of 5 to 1,000 images (one image would be too few: 93.8
% at worst).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TypeAlias

import numpy as np

from eyechart.analysis.cells import CellData, read_cells
from eyechart.analysis.table import Entry, Mark, Table, TableRow
from eyechart.core.errors import InputError
from eyechart.core.types import UNCOMPRESSED, Floats
from eyechart.store import Store

ERROR_RATE = 0.05  # probability that any recommended setting loses more than the tolerance
LEAST_IMAGES = 5  # with fewer nothing is recommended
_MOST_IMAGES = 100_000

# (task, image) -> question -> score, 0..1
ScoresByImage: TypeAlias = defaultdict[tuple[str, str], dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One level of a codec for one VLM and adapter, over the tasks of a run.

    loss: of the mean score of the questions, in points of 100, mean over images. upper: its bound.
    good: whether `upper` is at most the tolerance, and those of all higher levels of the codec.
    images_needed: about so many more would show it, at the loss and spread seen here; None if the
    loss itself is over the tolerance, 0 if `good`.
    """

    vlm: str
    adapter: str
    codec: str
    level: str
    bpp: float
    bytes_per_image: float
    loss: float
    upper: float
    images: int
    good: bool
    images_needed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """settings: by VLM, adapter and codec, highest rate first. best: the fewest bytes of the good
    ones, None if none is good."""

    vlm: str
    adapter: str
    tolerance: float
    settings: tuple[Setting, ...]
    best: Setting | None


def check_tolerance(tolerance: float) -> None:
    """Check a tolerance in points. Raises InputError: not more than 0 and up to 100."""
    if not 0 < tolerance <= 100:
        raise InputError(f"tolerance {tolerance:g}; allowed: more than 0, up to 100 points")


def recommend(
    run_dir: Path, *, tolerance: float, tasks: Sequence[str] = ()
) -> list[Recommendation]:
    """The cheapest good setting for each VLM and adapter of a run.

    tolerance: the greatest mean loss, in points of 100 of the mean question score. tasks: use only
    these; (): all.

    Raises:
        InputError: not a run directory; a tolerance outside 0..100; no such task; no uncompressed
            image or no codec in the run.
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
    found = [
        _recommendation(vlm, adapter, own, groups.get((vlm, ""), []), tolerance)
        for (vlm, adapter), own in groups.items()
    ]
    with_settings = [one for one in found if one.settings]
    if not with_settings:
        raise InputError(f"{run_dir}: needs answers about uncompressed images and about a codec's")
    return with_settings


def _recommendation(
    vlm: str, adapter: str, cells: Sequence[CellData], plain: Sequence[CellData], tolerance: float
) -> Recommendation:
    uncompressed = _scores(cell for cell in plain if cell.codec == UNCOMPRESSED)
    levels: defaultdict[str, defaultdict[str, list[CellData]]]
    levels = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        if cell.codec != UNCOMPRESSED and uncompressed:
            levels[cell.codec][cell.cell.level.name].append(cell)
    settings: list[Setting] = []
    for codec, its_levels in levels.items():
        measured = []
        for level, own in its_levels.items():
            losses = _losses(uncompressed, _scores(own))
            if len(losses):
                rates = {record.image: record for cell in own for record in cell.records}
                bpp = float(np.mean([record.bpp for record in rates.values()]))
                size = float(np.mean([record.payload_bytes for record in rates.values()]))
                measured.append((bpp, size, level, losses))
        still_good = True
        for bpp, size, level, losses in sorted(measured, key=lambda one: -one[1]):
            upper = upper_bound(losses, ERROR_RATE / len(levels))
            enough = len(losses) >= LEAST_IMAGES
            still_good = still_good and enough and 100 * upper <= tolerance
            settings.append(
                Setting(
                    vlm=vlm,
                    adapter=adapter,
                    codec=codec,
                    level=level,
                    bpp=bpp,
                    bytes_per_image=size,
                    loss=100 * float(losses.mean()),
                    upper=100 * upper,
                    images=len(losses),
                    good=still_good,
                    images_needed=0
                    if still_good
                    else images_needed(losses, tolerance / 100, ERROR_RATE / len(levels)),
                )
            )
    good = [setting for setting in settings if setting.good]
    return Recommendation(
        vlm=vlm,
        adapter=adapter,
        tolerance=tolerance,
        settings=tuple(settings),
        best=min(good, key=lambda setting: setting.bytes_per_image, default=None),
    )


def upper_bound(losses: Floats, error_rate: float) -> float:
    """Upper bound of the mean of losses (n,), each -1..1. Two losses of 1 are added to them."""
    values = np.append(losses, (1.0, 1.0))
    spread = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) + _t_quantile(1 - error_rate, len(values) - 1) * spread


def images_needed(losses: Floats, tolerance: float, error_rate: float) -> int | None:
    """About how many more images with these losses would bring the bound below the tolerance; None
    if no number would."""
    if losses.mean() >= tolerance:
        return None
    count = len(losses)
    while count < _MOST_IMAGES:
        count = math.ceil(count * 1.1) + 1
        repeated = np.resize(losses, count)
        if upper_bound(repeated, error_rate) <= tolerance:
            return count - len(losses)
    return None


def _scores(cells: Iterable[CellData]) -> ScoresByImage:
    found: ScoresByImage = defaultdict(dict)
    for cell in cells:
        for record in cell.records:
            found[cell.task, record.image][record.question_id] = record.value
    return found


def _losses(uncompressed: ScoresByImage, compressed: ScoresByImage) -> Floats:
    """Mean loss of each image, over the questions that were answered in both cases."""
    losses = []
    for image, before in uncompressed.items():
        after = compressed.get(image, {})
        shared = before.keys() & after.keys()
        if shared:
            losses.append(sum(before[one] - after[one] for one in shared) / len(shared))
    return np.array(losses)


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


def recommendation_table(found: Recommendation, files_bytes: float | None = None) -> Table:
    """The settings as a table. files_bytes: mean size of the images' own files, to compare with."""
    columns = ("kB an image", *(("of own files, %",) if files_bytes else ()))
    rows = []
    for one in found.settings:
        saved = (100 * one.bytes_per_image / files_bytes,) if files_bytes else ()
        mark: Mark = "best" if one is found.best else ""
        rows.append(
            TableRow(
                keys=(one.codec, one.level),
                entries=(
                    Entry(value=one.bytes_per_image / 1000, decimals=1),
                    *(Entry(value=value, decimals=0) for value in saved),
                    Entry(value=one.bpp, decimals=3),
                    Entry(value=one.loss, decimals=1),
                    Entry(value=one.upper, decimals=1, mark=mark),
                ),
            )
        )
    name = f"{found.vlm} + {found.adapter}" if found.adapter else found.vlm
    images = max(one.images for one in found.settings)
    return Table(
        title=f"{name}: loss of the mean score, in points of 100, over {images} images",
        keys=("codec", "level"),
        column_kind="figure",
        columns=(*columns, "bpp", "loss", "at most"),
        rows=tuple(rows),
        legend=f"at most: 95 % certain for all codecs together; allowed: {found.tolerance:g}",
        compact=True,
    )


def recommendation_text(found: Recommendation, files_bytes: float | None = None) -> str:
    """The recommendation in one or two sentences."""
    name = f"{found.vlm} + {found.adapter}" if found.adapter else found.vlm
    best = found.best
    if best is not None:
        loss, kilobytes = best.upper, best.bytes_per_image / 1000
        saved = ""
        if files_bytes:
            percent = 100 * (1 - best.bytes_per_image / files_bytes)
            saved = f", {percent:.0f} % less than the files"
        return (
            f"{name}: {best.codec} at level {best.level} loses at most {loss:.1f} points, "
            f"with {kilobytes:.1f} kB an image{saved}."
        )
    likely = min(
        (one for one in found.settings if one.images_needed),
        key=lambda one: one.images_needed or 0,
        default=None,
    )
    if likely is None:
        return (
            f"{name}: no setting of this run loses less than {found.tolerance:g} points; run "
            "higher rates, or allow a greater loss."
        )
    return (
        f"{name}: not shown for any setting. About {likely.images_needed} more images would decide "
        f"{likely.codec} at level {likely.level}, which lost {likely.loss:.1f} points on these."
    )
