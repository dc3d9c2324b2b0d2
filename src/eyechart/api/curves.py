"""BD-Metric and BD-rate of curves."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from eyechart.core.errors import InputError, one_line
from eyechart.core.files import read_text

if TYPE_CHECKING:
    import numpy.typing as npt

    from eyechart.analysis.bd import Bd

_MOST_BYTES = 16 << 20  # of a CSV file

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

    Returns `value`, and warnings in `flags`.

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

    Returns `value` in percent, and in `flags` what was averaged, and other warnings.

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


def read_curve(path: Path) -> tuple[list[float], list[float]]:
    """The columns bpp and score of a CSV file.

    Raises:
        InputError: not a CSV file, a missing column, a cell that is no number.
    """
    try:
        text = read_text(path, _MOST_BYTES, encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        for needed in ("bpp", "score"):
            if columns.count(needed) != 1:
                problem = "more than one column" if needed in columns else "no column"
                there = one_line(", ".join(columns)) or "none"
                raise InputError(f"{path}: {problem} {needed!r}; its columns: {there}")
        reader.fieldnames = columns
        rows = []
        for row in reader:
            where = f"{path}: line {reader.line_num}"
            rows.append((_number(row, "bpp", where), _number(row, "score", where)))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from error
    return [bpp for bpp, _ in rows], [score for _, score in rows]


def _number(row: dict[str, str | None], column: str, where: str) -> float:
    text = row[column]
    try:
        return float(text or "")
    except ValueError as error:
        raise InputError(f"{where}: {column} is {text!r}, not a number") from error
