"""Correlation of quality with scores: planted relations are found, with what images decide."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from eyechart.analysis.analyse import analyse
from eyechart.analysis.findings import paper_findings
from eyechart.analysis.result import Analysis, CorrelationResult
from eyechart.analysis.selection import Selection, select
from eyechart.analysis.tables import tables_of
from eyechart.core.errors import InputError
from eyechart.core.identity import image_digest
from eyechart.report.figures import write_figure
from eyechart.store import QualityValue, Store, StoredMetric
from tests.analysis import toy

CODECS = ("grey", "blue", "red")
LEVELS = range(3)
RIGHTS = {("source", 0, ""): 0.95} | {
    (codec, rank, ""): 0.2 + 0.15 * n + 0.12 * rank
    for n, codec in enumerate(CODECS)
    for rank in LEVELS
}


def metric(name: str = "sharp", *, higher_is_better: bool = True) -> StoredMetric:
    return StoredMetric(
        name=name, version="1", unit="", higher_is_better=higher_is_better, spec=name
    )


def a_run(
    root: Path,
    quality: Callable[[int, int], float],
    *metrics: StoredMetric,
    noise: float = 0.01,
    images: int = toy.IMAGES,
) -> Store:
    """Three codecs of three levels; red has the best scores. quality: of a codec and a rank."""
    store = toy.a_run(root, RIGHTS)
    task = toy.cell().task
    digests = {f"p{i}": image_digest(toy.ToyTask().image(f"p{i}")) for i in range(toy.IMAGES)}
    store.quality.add_images(task, digests)
    store.quality.add_metrics(metrics)
    rng = np.random.default_rng(0)
    for n, codec in enumerate(CODECS):
        for rank in LEVELS:
            cell = toy.cell(codec, rank)
            values = [
                QualityValue(
                    image=image,
                    metric=one.name,
                    version="1",
                    value=quality(n, rank) + float(rng.normal(0, noise)),
                )
                for one in metrics
                for image in list(digests.values())[:images]
            ]
            store.quality.add(cell.codec, cell.level, values)
    return store


def analysis_of(store: Store, samples: int = 200) -> Analysis:
    return analyse(store.root, samples=samples, created="now", load=toy.load, examples=0)


def by_scope(analysis: Analysis) -> dict[str, CorrelationResult]:
    return {one.scope: one for one in analysis.correlations}


def test_the_coefficients_are_those_of_scipy(tmp_path: Path) -> None:
    found = analysis_of(a_run(tmp_path, lambda n, rank: n + rank**2, metric(), noise=1.0))
    means = {(one.codec, one.level): one.quality.value for one in found.quality}
    scores = {(one.codec, one.level): one.score.value for one in found.cells}
    x, y = ([side[key] for key in means] for side in (means, scores))
    whole = by_scope(found)["all cells"]
    assert whole.points == 9
    assert whole.pearson is not None
    assert whole.pearson.value == pytest.approx(stats.pearsonr(x, y).statistic)
    assert whole.spearman is not None
    assert whole.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert whole.pearson.low < whole.pearson.value < whole.pearson.high


def test_a_metric_can_follow_the_rate_and_order_codecs_wrongly(tmp_path: Path) -> None:
    found = by_scope(analysis_of(a_run(tmp_path, lambda n, rank: rank - 5 * n, metric())))
    within, between = found["within codecs"], found["between codecs"]
    assert (within.points, between.points) == (9, 3)
    assert within.pearson is not None
    assert within.pearson.sign > 0
    assert within.spearman is not None
    assert within.spearman.value == pytest.approx(1)
    assert between.spearman is not None
    assert between.spearman.value == pytest.approx(-1)


def test_the_sign_says_whether_better_quality_comes_with_higher_scores(tmp_path: Path) -> None:
    less = metric("blur", higher_is_better=False)
    found = analysis_of(a_run(tmp_path, lambda n, rank: -n - rank, less)).correlations
    assert all(one.negated for one in found)
    assert all(one.pearson is not None and one.pearson.value > 0 for one in found)


def test_a_constant_metric_has_no_correlation(tmp_path: Path) -> None:
    found = analysis_of(a_run(tmp_path, lambda n, rank: 3.0, metric(), noise=0.0))
    assert found.correlations == ()
    assert {one.quality.value for one in found.quality} == {3.0}


def test_one_image_has_no_correlation(tmp_path: Path) -> None:
    found = analysis_of(a_run(tmp_path / "run", lambda n, rank: rank, metric(), images=1))
    assert found.correlations == ()
    with pytest.raises(InputError, match=r"no figure 6: .* the quality of only one image"):
        write_figure(found, "6", tmp_path / "a.svg")


def test_a_run_without_values_says_how_to_get_them(tmp_path: Path) -> None:
    found = analysis_of(toy.a_run(tmp_path / "run", RIGHTS))
    with pytest.raises(InputError, match="no quality values: eyechart quality DIR"):
        write_figure(found, "correlation", tmp_path / "a.svg")
    finding = paper_findings(found)[4]
    assert finding.verdict == "not shown"
    assert "eyechart quality DIR" in finding.evidence


def test_the_tables_have_every_metric_and_scope(tmp_path: Path) -> None:
    less = metric("blur", higher_is_better=False)
    found = analysis_of(a_run(tmp_path, lambda n, rank: n + rank, metric(), less))
    (quality,) = tables_of(found, "quality")
    assert quality.columns == ("sharp", "blur")
    assert len(quality.rows) == len(CODECS) * len(LEVELS)
    pearson, spearman = tables_of(found, "correlation")
    assert pearson.columns == spearman.columns == ("sharp", "−blur")
    assert [row.keys[0] for row in pearson.rows] == ["all cells", "within codecs", "between codecs"]
    signs = [np.sign([entry.value for entry in row.entries]).tolist() for row in pearson.rows]
    assert signs == [[1, -1]] * 3
    only = select(found, Selection(codecs=("grey",)))
    assert [len(table.rows) for table in tables_of(only, "quality")] == [len(LEVELS)]
    assert tables_of(only, "correlation") == []


def test_the_quality_table_has_each_task_once(tmp_path: Path) -> None:
    """Codecs with weights are measured in a turn of their own, after all tasks of the others."""
    found = analysis_of(a_run(tmp_path, lambda n, rank: n + rank, metric()))
    turns = [
        replace(one, task=task)
        for grey in (True, False)
        for task in ("POPE", "GQA")
        for one in found.quality
        if (one.codec == "grey") == grey
    ]
    (table,) = tables_of(replace(found, quality=tuple(turns)), "quality")
    assert [row.keys[0] for row in table.rows] == ["POPE"] * 9 + ["GQA"] * 9
    assert [row.keys[1] for row in table.rows[:4]] == ["grey"] * 3 + [table.rows[3].keys[1]]


def test_sets_of_images_are_compared_by_their_features(tmp_path: Path) -> None:
    store = a_run(tmp_path, lambda n, rank: rank, metric())
    sets = metric("spread", higher_is_better=False)
    store.quality.add_metrics([sets])
    task = toy.cell().task
    digests = list(store.quality.images(task).values())
    rng = np.random.default_rng(3)
    originals = rng.normal(size=(len(digests), 4)).astype(np.float32)

    def add(codec: str, rank: int, features: np.ndarray[Any, Any]) -> None:
        cell = toy.cell(codec, rank)
        values = (
            QualityValue(
                image=image, metric="spread", version="1", value=None, features=row.tobytes()
            )
            for image, row in zip(digests, features, strict=True)
        )
        store.quality.add(cell.codec, cell.level, values)

    add("source", 0, originals)
    for rank in LEVELS:
        add("grey", rank, originals + np.float32(2 - rank))
    found = {one.level: one for one in analysis_of(store).quality if one.metric == "spread"}
    shifted = [found[str(rank)].quality.value for rank in LEVELS]
    assert shifted == pytest.approx([16, 4, 0], abs=1e-4)  # of the means; the spread is the same
    assert {one.images for one in found.values()} == {len(digests)}


def test_new_values_make_the_stored_analysis_outdated(tmp_path: Path) -> None:
    store = a_run(tmp_path, lambda n, rank: rank, metric())
    before = store.fingerprint()
    store.quality.add_metrics([metric("other")])
    assert store.fingerprint() != before


@pytest.mark.parametrize(
    ("quality", "noise", "verdict"),
    [
        (lambda n, rank: n + rank, 2.0, "supported"),
        (lambda n, rank: -n - rank, 0.01, "contradicted"),
    ],
)
def test_the_finding_follows_the_correlations(
    tmp_path: Path, quality: Callable[[int, int], float], noise: float, verdict: str
) -> None:
    finding = paper_findings(analysis_of(a_run(tmp_path, quality, metric(), noise=noise)))[4]
    assert finding.verdict == verdict
    assert "Median correlation: all cells" in finding.evidence
    assert re.search(r"between codecs -?\d\.\d\d \(\d of \d significant\)", finding.evidence)


def test_the_figure_has_its_numbers_beside_it(tmp_path: Path) -> None:
    found = analysis_of(a_run(tmp_path / "run", lambda n, rank: n + rank, metric()))
    _, path = write_figure(found, "6", tmp_path / "a.svg")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scope"] for row in rows] == ["all cells", "within codecs", "between codecs"]
    shown = [float(row["pearson_low"]) for row in rows]
    assert shown == [one.pearson.low for one in found.correlations if one.pearson]
