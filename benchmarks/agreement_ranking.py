"""Does loss of agreement rank the levels of codecs as loss of accuracy does?

    python benchmarks/agreement_ranking.py DIR [--tasks POPE,GQA,SEEDBench]

DIR is a run on tasks with known answers. The agreement of a level is that of its answers with the
VLM's own answers on the uncompressed images, by the rules of `eyechart check`. For each task:

    tau-b      Kendall's tau with correction for ties (Kendall, "The treatment of ties in ranking
               problems", Biometrika 33, 1945) over all pairs of levels
    resolved   pairs of levels whose accuracies differ by more than 1.96 standard errors of their
               paired difference over questions; tau over these alone: the share of pairs in the
               same order less the share of pairs in the other order
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from scipy.stats import kendalltau

import eyechart
from eyechart.core.types import UNCOMPRESSED, Floats
from eyechart.tasks.own_images import agreement

Z = 1.96
RowsById: TypeAlias = dict[str, Any]  # question -> row
RowsByLevel: TypeAlias = dict[tuple[str, str], RowsById]  # codec and level -> rows


def levels_of(directory: str, tasks: list[str]) -> dict[str, RowsByLevel]:
    """Task -> codec and level -> question -> row, of the first VLM without an adapter."""
    rows = [row for row in eyechart.records(directory) if not row["adapter"]]
    vlm = rows[0]["vlm"]
    found: defaultdict[str, RowsByLevel] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["vlm"] == vlm and row["task"] in tasks and row["prediction"] is not None:
            level = str(row["codec"]), str(row["level"])
            found[str(row["task"])][level][str(row["index"])] = row
    return found


def scores(levels: RowsByLevel) -> tuple[Floats, Floats]:
    """Accuracy and agreement, (levels, questions), over the questions answered at all levels."""
    reference = next(rows for (codec, _), rows in levels.items() if codec == UNCOMPRESSED)
    others = [rows for (codec, _), rows in levels.items() if codec != UNCOMPRESSED]
    asked = sorted(set(reference).intersection(*others))
    right = [[rows[one]["score"] for one in asked] for rows in others]
    same = [
        [agreement(reference[one]["prediction"].strip(), rows[one]["prediction"]) for one in asked]
        for rows in others
    ]
    return np.array(right, dtype=float), np.array(same)


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
    parser.add_argument("directory")
    parser.add_argument("--tasks", default="POPE,GQA,SEEDBench")
    asked = parser.parse_args()
    print(f"{'task':10} {'questions':>9} {'levels':>6} {'tau-b':>6} {'resolved':>12} {'tau':>6}")
    for task, levels in levels_of(asked.directory, asked.tasks.split(",")).items():
        right, same = scores(levels)
        tau = kendalltau(same.mean(axis=1), right.mean(axis=1)).statistic
        pairs, over_resolved = resolved(right, same)
        of = len(right) * (len(right) - 1) // 2
        print(
            f"{task:10} {right.shape[1]:9} {len(right):6} {tau:6.3f} "
            f"{f'{pairs} of {of}':>12} {over_resolved:6.3f}"
        )


if __name__ == "__main__":
    main()
