"""BD-Metric and BD-rate of curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from eyechart.core.errors import InputError
from eyechart.core.foreign import read_csv
from eyechart.core.types import UNCOMPRESSED

if TYPE_CHECKING:
    import numpy.typing as npt

    from eyechart.analysis.bd import Bd

_MOST_BYTES = 16 << 20  # of a CSV file
_NAMES = ("vlm", "adapter", "task", "codec")  # columns that say which curve a row belongs to

RatesAndScores: TypeAlias = "tuple[npt.ArrayLike, npt.ArrayLike]"  # rates in bpp, scores


def bd_metric(
    rates_bpp: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    uncompressed: float | None = None,
    against: RatesAndScores | None = None,
) -> Bd:
    """BD-Metric of a rate-metric curve, in units of the score.

    Against the score of uncompressed images: PCHIP over linear bpp, averaged over the curve's own
    range, minus that score. Against another curve: the mean difference over the range that both
    share. This reproduces Tables 2, 4, 5, 16 and 17 of the paper (docs/bd-metric.md).

    rates_bpp, scores: the points, shape (n,) each, n >= 2, in any order.
    uncompressed: a score. against: rates and scores of the other curve. Give one of the two.

    Returns `value`, the range of rates `over` which it is the mean, and warnings in `flags`.

    Raises:
        InputError: fewer than two rates, a rate not above 0, NaN; no shared range.

    Examples:
        >>> eyechart.bd_metric([0.1, 0.2, 0.3], [60, 70, 80], uncompressed=85).value
        -15.0
        >>> eyechart.bd_metric([0.1, 0.2], [60, 70], against=([0.1, 0.2], [50, 60])).value
        10.0
    """
    from eyechart.analysis import bd

    if against is not None and uncompressed is None:
        return bd.bd_between(rates_bpp, scores, *against)
    if uncompressed is not None and against is None:
        return bd.bd_metric(rates_bpp, scores, uncompressed)
    raise InputError("give either uncompressed=SCORE or against=(rates_bpp, scores)")


def bd_rate(rates_bpp: npt.ArrayLike, scores: npt.ArrayLike, *, against: RatesAndScores) -> Bd:
    """BD-rate between two curves: change of the rate in percent at equal score.

    Negative: fewer bits than `against`. PCHIP of the logarithm of the rate over the score, averaged
    over the scores that both curves reach (Bjontegaard, ITU-T VCEG-M33; interpolation of ITU-T
    HSTP-VID-WPOM).

    rates_bpp, scores: the points, shape (n,) each, n >= 2, in any order. Levels whose scores do not
        rise with the rate become one point, with the mean of the scores and of the log rates.
    against: rates and scores of the other curve.

    Returns `value` in percent, the range of scores `over` which it is the mean, and in `flags` what
    was averaged, and other warnings.

    Raises:
        InputError: as `bd_metric`; scores that never rise with the rate; no shared scores.

    Examples:
        >>> scores = [60, 70, 80]
        >>> change = eyechart.bd_rate([0.1, 0.2, 0.4], scores, against=([0.2, 0.4, 0.8], scores))
        >>> round(change.value, 6)
        -50.0
    """
    from eyechart.analysis import bd

    return bd.bd_rate(rates_bpp, scores, *against)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCurve:
    """A curve of a CSV file. names: its VLM, adapter, task and codec, of those columns that the
    file has. uncompressed: the score of the uncompressed image, if the file has it."""

    names: tuple[str, ...]
    rates_bpp: tuple[float, ...]
    scores: tuple[float, ...]
    uncompressed: float | None = None
    unit: str = "bpp"  # of the rates

    def __str__(self) -> str:
        return " ".join(filter(None, self.names))


def read_curves(path: Path) -> list[NamedCurve]:
    """The curves of a CSV file with the columns bpp and score. The rate may also have the name of
    another axis of `eyechart table curves`: kB, tokens, USD per 1,000.

    Rows are of one curve if they agree in the columns VLM, adapter, task and codec, of those that
    the file has (`eyechart table curves --format csv-wide`). Rows of the codec `source` are the
    uncompressed score of the curves that agree with them in the other columns.

    Raises:
        InputError: not a CSV file, a missing column, a cell that is no number, no curve.
    """
    points: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    uncompressed: dict[tuple[str, ...], float] = {}
    unit = _unit_of(path)
    for line, row in read_csv(path, (unit, "score"), _MOST_BYTES):
        found = {(name or "").lower(): value for name, value in row.items() if name}
        *others, codec = (key for key in _NAMES if key in found or key == "codec")
        names = [*(found[key] or "" for key in others), found.get(codec) or ""]
        bpp, score = (_number(row, column, f"{path}: line {line}") for column in (unit, "score"))
        if found.get("codec") == UNCOMPRESSED:
            uncompressed[tuple(names[:-1])] = score
        else:
            points.setdefault(tuple(names), []).append((bpp, score))
    if not points:
        raise InputError(f"{path}: no point of a curve; needed: rows with {unit} and score")
    return [
        NamedCurve(
            names=names,
            rates_bpp=tuple(bpp for bpp, _ in own),
            scores=tuple(score for _, score in own),
            uncompressed=uncompressed.get(names[:-1]),
            unit=unit,
        )
        for names, own in points.items()
    ]


def _unit_of(path: Path) -> str:
    """The column that holds the rate; bpp if there is none. Raises InputError."""
    from eyechart.analysis.axis import axis_units

    rows = read_csv(path, (), _MOST_BYTES, optional=axis_units())
    return next((unit for unit in axis_units() if rows and unit in rows[0][1]), "bpp")


def partner(curve: NamedCurve, others: Sequence[NamedCurve]) -> NamedCurve | None:
    """The curve to compare with: the only one, or the only one that differs in the codec alone."""
    if len(others) == 1:
        return others[0]
    same = [other for other in others if other.names[:-1] == curve.names[:-1]]
    return same[0] if len(same) == 1 else None


def _number(row: dict[str, str | None], column: str, where: str) -> float:
    text = row[column]
    try:
        return float(text or "")
    except ValueError as error:
        raise InputError(f"{where}: {column} is {text!r}, not a number") from error
