"""Does loss of agreement rank the levels of codecs as loss of accuracy does?

    python benchmarks/agreement_ranking.py DIR [DIR ...] [--tasks POPE,GQA,SEEDBench] [--vlm NAME]

DIR is a run on tasks with known answers; the questions of several runs, such as those of other
editions of the chart (`python -m recipes.chart.tasks --seed 1`), are taken together. The agreement
of a level is that of its answers with the VLM's own answers on the uncompressed images, by the
rules of `eyechart check`. For each task:

    tau-b      Kendall's tau with correction for ties (Kendall, "The treatment of ties in ranking
               problems", Biometrika 33, 1945) over all pairs of levels, and its 95 % interval of a
               bootstrap over images
    resolved   pairs of levels whose accuracies differ by more than 1.96 standard errors of their
               paired difference over questions; tau over these alone: the share of pairs in the
               same order less the share of pairs in the other order
    right      tau-b of the accuracies and of the agreement over the questions that are answered
               rightly about the uncompressed image: there a changed answer is a loss
    accuracy   of several runs: tau-b of the accuracies of two runs, the mean over pairs of runs.
               Accuracies of other images of the same kind agree no better than this
    across     of several runs: tau-b of the agreement of one run with the accuracy of another, the
               mean over ordered pairs of runs
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, TypeAlias

import numpy as np
from scipy.stats import kendalltau

import eyechart
from eyechart.core.types import UNCOMPRESSED, Floats
from eyechart.tasks.matching import agreement

Z = 1.96
RowsById: TypeAlias = dict[str, Any]  # question -> row
RowsByLevel: TypeAlias = dict[tuple[str, str], RowsById]  # codec and level -> rows


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelScores:
    """Of the questions that are answered at all levels. right, same: accuracy and agreement,
    (levels, questions). known: whether the answer about the uncompressed image is right. image,
    run: numbers of each question's image and run, from 0."""

    right: Floats
    same: Floats
    known: Sequence[bool]
    image: Sequence[int]
    run: Sequence[int]


def between_runs(found: LevelScores) -> tuple[float, float]:
    """Mean tau-b over ordered pairs of runs, NaN of one run: of the accuracies of both, and of the
    agreement of one with the accuracy of the other."""
    members = [np.equal(found.run, run) for run in sorted(set(found.run))]
    right, same = ([of[:, its].mean(axis=1) for its in members] for of in (found.right, found.same))
    pairs = list(permutations(range(len(members)), 2))
    if not pairs:
        return float("nan"), float("nan")
    taus = [[kendalltau(of[a], right[b]).statistic for a, b in pairs] for of in (right, same)]
    return float(np.mean(taus[0])), float(np.mean(taus[1]))


def levels_of(
    directories: Sequence[str], tasks: Sequence[str], vlm: str | None
) -> dict[str, RowsByLevel]:
    """Task -> codec and level -> question -> row, of a VLM without an adapter; None: the first."""
    found: defaultdict[str, RowsByLevel] = defaultdict(lambda: defaultdict(dict))
    for place, directory in enumerate(directories):
        for row in eyechart.records(directory):
            vlm = vlm or str(row["vlm"])
            if row["adapter"] or row["vlm"] != vlm or row["prediction"] is None:
                continue
            if row["task"] in tasks:
                level = str(row["codec"]), str(row["level"])
                found[str(row["task"])][level][f"{place}/{row['index']}"] = row
    return found


def scores(levels: RowsByLevel) -> LevelScores:
    """Accuracy and agreement of all levels. Raises SystemExit without an uncompressed image."""
    reference = next((rows for (codec, _), rows in levels.items() if codec == UNCOMPRESSED), None)
    others = [rows for (codec, _), rows in levels.items() if codec != UNCOMPRESSED]
    if reference is None or len(others) < 2:
        raise SystemExit("needs answers about uncompressed images and at two levels of codecs")
    asked = sorted(set(reference).intersection(*others))
    if not asked:
        raise SystemExit("no question is answered at all levels")
    right = [[rows[one]["score"] for one in asked] for rows in others]
    same = [
        [
            agreement(
                reference[one]["prediction"], rows[one]["prediction"], reference[one]["question"]
            )
            for one in asked
        ]
        for rows in others
    ]
    images = [(one.partition("/")[0], reference[one]["image"]) for one in asked]
    numbers = {image: number for number, image in enumerate(dict.fromkeys(images))}
    return LevelScores(
        right=np.array(right, dtype=float),
        same=np.array(same),
        known=[reference[one]["score"] == 1 for one in asked],
        image=[numbers[image] for image in images],
        run=[int(run) for run, _ in images],
    )


def tau_b(found: LevelScores, *, known: bool = False) -> float:
    """Kendall's tau-b of agreement and accuracy over the levels. known: agreement over the
    questions that are answered rightly about the uncompressed image."""
    same = found.same[:, found.known] if known else found.same
    return float(kendalltau(same.mean(axis=1), found.right.mean(axis=1)).statistic)


def interval(found: LevelScores, draws: int, seed: int) -> tuple[float, float]:
    """The 95 % interval of tau-b, with images drawn again with all their questions."""
    images = max(found.image) + 1
    member = np.zeros((len(found.image), images))
    member[np.arange(len(found.image)), list(found.image)] = 1
    right, same, asked = found.right @ member, found.same @ member, member.sum(axis=0)
    random = np.random.default_rng(seed)
    taus = []
    for _ in range(draws):
        times = np.bincount(random.integers(images, size=images), minlength=images)
        total = asked @ times
        # Sums of equal answers in another order differ in the last digit, which is no order.
        means = [np.round(sums @ times / total, 12) for sums in (same, right)]
        taus.append(kendalltau(*means).statistic)
    low, high = np.nanquantile(taus, (0.025, 0.975))
    return float(low), float(high)


def resolved(right: Floats, same: Floats) -> tuple[int, float]:
    """Number of pairs whose accuracies are resolved, and tau over them."""
    signs = []
    for one, other in combinations(range(len(right)), 2):
        lost = right[one] - right[other]
        error = lost.std(ddof=1) / np.sqrt(len(lost))
        if abs(lost.mean()) > Z * error:
            signs.append(np.sign(lost.mean()) * np.sign(same[one].mean() - same[other].mean()))
    return len(signs), float(np.mean(signs)) if signs else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directories", nargs="+", metavar="DIR")
    parser.add_argument("--tasks", default="POPE,GQA,SEEDBench")
    parser.add_argument("--vlm", help="default: the first of the run")
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    asked = parser.parse_args()
    print(
        f"{'task':10} {'images':>6} {'questions':>9} {'levels':>6} {'tau-b':>6} "
        f"{'95 % interval':>15} {'resolved':>12} {'tau':>6} {'right':>6} "
        f"{'accuracy':>8} {'across':>6}"
    )
    tasks = asked.tasks.split(",")
    for task, levels in levels_of(asked.directories, tasks, asked.vlm).items():
        found = scores(levels)
        low, high = interval(found, asked.draws, asked.seed)
        accuracy, across = between_runs(found)
        pairs, over_resolved = resolved(found.right, found.same)
        count = len(found.right)
        print(
            f"{task:10} {max(found.image) + 1:6} {found.right.shape[1]:9} {count:6} "
            f"{tau_b(found):6.3f} {f'{low:.3f} … {high:.3f}':>15} "
            f"{f'{pairs} of {count * (count - 1) // 2}':>12} {over_resolved:6.3f} "
            f"{tau_b(found, known=True):6.3f} {accuracy:8.3f} {across:6.3f}"
        )


if __name__ == "__main__":
    main()
