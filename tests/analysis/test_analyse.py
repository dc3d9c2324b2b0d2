"""From a stored run to its analysis: figures, flags and errors."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyechart.analysis.analyse import analyse
from eyechart.analysis.bd import bd_between, bd_metric
from eyechart.analysis.bootstrap import Resampling, interval, resample
from eyechart.analysis.files import read_analysis, write_analysis
from eyechart.analysis.measure import Measured, measure
from eyechart.analysis.result import Analysis
from eyechart.analysis.sums import cell_sums
from eyechart.analysis.tables import gap_tables, score_tables
from eyechart.core.errors import InputError
from eyechart.core.records import Failure, Record
from eyechart.core.types import Component, Floats, ImageSums, Level, Score
from eyechart.report.finding import find
from eyechart.store import TaskSize
from tests.analysis import toy

PLAIN = {("source", 0, ""): 0.9, ("grey", 0, ""): 0.4, ("grey", 1, ""): 0.5, ("grey", 2, ""): 0.7}
TUNED = {("grey", 0, "for-grey"): 0.6, ("grey", 1, "for-grey"): 0.7, ("grey", 2, "for-grey"): 0.8}


def analysed(root: Path, **options: int) -> Analysis:
    return analyse(root, created="2025-01-01T00:00:00Z", load=toy.load, **options)


def measured_alone(records: Sequence[Record], resampling: Resampling) -> Measured:
    task = toy.ToyTask()
    return measure(task, toy.data_of(toy.cell(), records), cell_sums(task, records), resampling)


def weights_of(drawn: Resampling) -> Floats:
    return drawn.counts * drawn.scale


def test_resampling_draws_as_many_images_as_there_are_and_repeats_with_its_seed() -> None:
    drawn, again, other = (
        weights_of(resample(["a", "b", "c", "d"], samples=500, seed=seed)) for seed in (3, 3, 4)
    )
    assert drawn.shape == (500, 4)
    assert (drawn.sum(axis=1) == 4).all()
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.15)
    np.testing.assert_array_equal(drawn, again)
    assert (drawn != other).any()
    with pytest.raises(InputError, match="-1 bootstrap samples"):
        resample(["a"], samples=-1, seed=0)


def test_strata_have_the_weight_of_their_images() -> None:
    strata = {"a": "x", "b": "y", "c": "y", "d": "y", "e": "x"}
    images = ["a", "b", "c", "d", "e"]
    drawn = weights_of(resample(images, samples=500, seed=3, strata=strata))
    for members in ([0, 4], [1, 2, 3]):
        assert drawn[:, members].sum(axis=1) == pytest.approx(len(members))
    assert len(np.unique(drawn[:, 1:4], axis=0)) == 6  # ways to draw 2 of 3


@pytest.mark.parametrize("size", [2, 3, 10])
def test_the_interval_of_a_stratified_mean_covers_it(size: int) -> None:
    """Twenty strata of a few images each, with known means: 95 % intervals cover at least 92 %."""
    rng = np.random.default_rng(size)
    images = [f"{n}" for n in range(20 * size)]
    strata = {image: str(place // size) for place, image in enumerate(images)}
    weights = weights_of(resample(images, samples=1000, seed=0, strata=strata))
    means = np.repeat(rng.uniform(0.2, 0.9, 20), size)
    covered = 0
    for _ in range(400):
        values = (rng.uniform(size=len(images)) < means).astype(float)
        spread = interval(values.mean(), weights @ values / len(images))
        covered += spread.low <= means.mean() <= spread.high
    assert covered / 400 >= 0.92


def test_a_result_of_one_image_is_not_significant() -> None:
    images = [f"{n}" for n in range(6)]
    lone = resample(images, samples=9, seed=0, strata=dict(zip(images, "xxxyyz", strict=True)))
    assert lone.caution == "no interval: 1 of 3 strata have one image"
    assert lone.counts.shape == (0, 6)
    assert resample(["a"], samples=9, seed=0).caution == ""
    assert resample(images, samples=0, seed=0, strata={"0": "x"}).caution == ""


def test_without_an_interval_no_loss_is_claimed(tmp_path: Path) -> None:
    """Every image is a separate category: there is no information on other samples."""

    class Alone(toy.ToyTask):
        def image_sums(self, scores: Sequence[Score]) -> ImageSums:
            sums = super().image_sums(scores)
            return replace(sums, strata=sums.images)

    toy.a_run(tmp_path, PLAIN)
    analysis = analyse(
        tmp_path,
        created="",
        load=lambda group, name, options: (
            Alone() if group == "eyechart.tasks" else toy.load(group, name)
        ),
    )
    caution = "no interval: 20 of 20 strata have one image"
    assert analysis.tasks[0].caution == caution
    assert [bd.flags for bd in analysis.bd] == [(caution,)]
    assert [cell.loss for cell in analysis.cells] == [None] * 4
    assert find(analysis).headline.startswith("No significant loss")
    (table,) = score_tables(analysis)
    assert table.notes == (caution,)


def test_interval_leaves_unusable_draws_out() -> None:
    draws = np.append(np.linspace(0, 100, 1001), np.nan)
    found = interval(50.0, draws)
    assert (found.low, found.high) == (pytest.approx(2.5), pytest.approx(97.5))
    alone = interval(50.0, np.array([np.nan]))
    assert (alone.low, alone.high) == (50.0, 50.0)


def test_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    """Three equal answers on each image count as one: the interval is over images."""
    images, per_image = 400, 3
    rng = np.random.default_rng(0)
    values = (rng.random(images) < 0.7).astype(float)
    drawn = resample([str(i) for i in range(images)], samples=4000, seed=1)
    draws = (weights_of(drawn) @ values) * per_image / (images * per_image)
    found = interval(values.mean(), draws)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.06)


def test_rate_is_the_mean_of_images_not_of_questions_nor_of_bits() -> None:
    records = toy.records(1.0, 100)[:4]  # three questions on p0, one on p1
    measured = measured_alone(records, resample(["p0", "p1"], samples=0, seed=0))
    pixels = toy.SIDE_PX**2
    assert measured.bpp == pytest.approx(8 * (100 + 101) / 2 / pixels)
    assert measured.total_bpp == pytest.approx(8 * 201 / (2 * pixels))


def test_a_cell_that_is_not_drawn_has_nan() -> None:
    drawn = resample(["p0", "p1"], samples=64, seed=0)
    measured = measured_alone(toy.records(1.0, 100)[:3], drawn)  # only p0
    missing = drawn.counts[:, 0] == 0
    assert missing.any()
    np.testing.assert_array_equal(np.isnan(measured.score_draws), missing)
    np.testing.assert_array_equal(np.isnan(measured.rate_draws), missing)


def test_bd_of_a_run_is_that_of_its_points(tmp_path: Path) -> None:
    toy.a_run(tmp_path, PLAIN)
    analysis = analysed(tmp_path)
    points = [cell for cell in analysis.cells if cell.codec == "grey"]
    ceiling = next(cell for cell in analysis.cells if cell.codec == "source")
    (result,) = analysis.bd
    expected = bd_metric(
        [cell.bpp for cell in points], [cell.score.value for cell in points], ceiling.score.value
    )
    assert result.bd is not None
    assert result.bd.value == pytest.approx(expected.value)
    assert result.bd.low < result.bd.value < result.bd.high < 0
    assert result.flags == ()
    assert [task.name for task in analysis.tasks] == ["toy"]
    assert analysis.data == "eyechart-mini"
    assert ceiling.metrics == {"accuracy": ceiling.score.value, "asked": 60.0}


def test_pairing_makes_a_difference_surer_than_its_parts(tmp_path: Path) -> None:
    """The tuned VLM is right wherever the plain one is: both use the same random numbers."""
    toy.a_run(tmp_path, PLAIN | TUNED)
    analysis = analysed(tmp_path)
    gain = next(bd for bd in analysis.bd if bd.baseline == "no adapter").bd
    curves = [bd.bd for bd in analysis.bd if bd.baseline == "uncompressed"]
    assert gain is not None
    assert gain.low > 0
    for curve in curves:
        assert curve is not None
        assert gain.high - gain.low < curve.high - curve.low


def test_a_loss_is_paired_with_the_uncompressed_score(tmp_path: Path) -> None:
    toy.a_run(tmp_path, PLAIN | TUNED | {("source", 0, "for-grey"): 0.95})
    found = {(cell.codec, cell.level, cell.adapter): cell for cell in analysed(tmp_path).cells}
    clean = found["source", "", ""].score
    assert found["source", "", ""].loss is None
    assert found["source", "", "for-grey"].loss is None
    for (codec, _, _), cell in found.items():
        if codec == "grey":
            assert cell.loss is not None
            assert cell.loss.value == pytest.approx(clean.value - cell.score.value)
            unpaired = np.hypot(clean.high - clean.low, cell.score.high - cell.score.low)
            assert cell.loss.high - cell.loss.low < unpaired


def test_without_an_uncompressed_score_no_loss_is_known(tmp_path: Path) -> None:
    toy.a_run(tmp_path, {key: right for key, right in PLAIN.items() if key[0] == "grey"})
    assert [cell.loss for cell in analysed(tmp_path).cells] == [None] * 3


def test_gain_of_an_adapter_is_bd_between_its_curve_and_the_plain_one(tmp_path: Path) -> None:
    toy.a_run(tmp_path, PLAIN | TUNED)
    analysis = analysed(tmp_path, samples=0)
    curves = [
        [cell for cell in analysis.cells if cell.codec == "grey" and cell.adapter == adapter]
        for adapter in ("for-grey", "")
    ]
    points = [[[c.bpp for c in curve], [c.score.value for c in curve]] for curve in curves]
    gain = next(bd for bd in analysis.bd if bd.baseline == "no adapter")
    assert gain.bd is not None
    assert gain.bd.value == pytest.approx(bd_between(*points[0], *points[1]).value)
    assert gain.bd.low == gain.bd.value == gain.bd.high  # nothing was resampled


def test_gaps_add_up(tmp_path: Path) -> None:
    toy.a_run(tmp_path / "one", PLAIN | TUNED)
    gaps = analysed(tmp_path / "one").gaps
    assert [gap.level for gap in gaps] == ["0", "1", "2", ""]
    for gap in gaps:
        assert gap.performance.value == pytest.approx(
            gap.information.value + gap.generalization.value
        )
        assert gap.performance.value == pytest.approx(gap.uncompressed - gap.compressed)
        assert gap.information.value == pytest.approx(gap.uncompressed - gap.finetuned)
        assert gap.generalization.low <= gap.generalization.value <= gap.generalization.high
    assert gaps[-1].compressed == pytest.approx(np.mean([gap.compressed for gap in gaps[:-1]]))


def test_the_adapter_for_one_codec_is_used_as_theta_star(tmp_path: Path) -> None:
    universal = {(codec, rank, "universal"): right for (codec, rank, _), right in TUNED.items()}
    toy.a_run(tmp_path / "both", PLAIN | universal | TUNED)
    toy.a_run(tmp_path / "many", PLAIN | universal)
    assert {gap.adapter for gap in analysed(tmp_path / "both").gaps} == {"for-grey"}
    assert {gap.adapter for gap in analysed(tmp_path / "many").gaps} == {"universal"}


def test_levels_are_ordered_by_the_rates_that_were_measured(tmp_path: Path) -> None:
    """A level that was run later and alone has rank 0 at any rate."""
    store = toy.a_run(tmp_path, PLAIN | TUNED)
    tuned = Component(name="for-grey", version="1", options={"trained_codecs": ["source", "grey"]})
    for adapter in (None, tuned):
        late = Level(name="late", rank=0, knobs={"q": 9})
        stored = store.add(replace(toy.cell(adapter=adapter), level=late))
        stored.append_records(toy.records(0.9, 500))
    analysis = analysed(tmp_path, examples=1, samples=50)
    for name in ("", "for-grey"):
        curve = [c for c in analysis.cells if c.codec == "grey" and c.adapter == name]
        assert [cell.level for cell in curve] == ["0", "1", "2", "late"]
        assert [cell.rank for cell in curve] == [0, 1, 2, 3]
    assert [result.flags for result in analysis.bd] == [()] * 3
    # No images are stored of the late level.
    shown = [view.level for view in analysis.examples[0].views if view.codec == "grey"]
    assert set(shown) == {"0", "1", "2"}
    at_lowest, _ = gap_tables(analysis)
    lost = next(row for row in at_lowest.rows if row.keys[1] == "performance gap")
    assert lost.entries[0].value == pytest.approx(analysis.gaps[0].performance.value)
    assert lost.entries[0].value > 20


def test_what_is_missing_is_flagged(tmp_path: Path) -> None:
    store = toy.a_run(tmp_path, PLAIN)
    other = store.add(toy.cell(rank=0, vlm="other"))
    other.append_records(toy.records(0.4, 10, count=50))
    failure = {"stage": "decode", "kind": "CodecError", "message": "cut", "retryable": False}
    other.append_failures(
        [Failure(question_id=str(i), image="p19", **failure) for i in (58, 59)]  # type: ignore[arg-type]
    )
    store.add(toy.cell(rank=1, vlm="other")).append_records(toy.records(0.5, 20))
    analysis = analysed(tmp_path)
    result = next(bd for bd in analysis.bd if bd.vlm == "other")
    assert result.bd is None
    assert result.flags == (
        "2 of 3 levels",
        "2 failed questions",
        "8 questions not asked yet",
        "no uncompressed score",
    )
    assert analysis.failures == (("grey decode: CodecError", 2),)


def test_cells_with_lost_answers_are_named(tmp_path: Path) -> None:
    store = toy.a_run(tmp_path, PLAIN)
    assert analysed(tmp_path).unanswered == ()
    lost = next(stored for stored in store.cells() if stored.cell.codec.name != "source")
    (lost.path / "records.jsonl").unlink()
    analysis = analysed(tmp_path)
    assert analysis.unanswered == (f"reader toy grey {lost.cell.level.name}",)
    assert "2 of 3 levels" in next(bd.flags for bd in analysis.bd)


def test_a_small_run_hides_nothing_of_an_unfinished_large_one(tmp_path: Path) -> None:
    """Two VLMs in one directory: one was stopped in the middle, the other asks a sample."""
    store = toy.a_run(tmp_path, PLAIN)
    small = TaskSize(questions=30, images=10)
    for vlm, size in (("stopped", toy.WHOLE), ("sampled", small)):
        for rank in range(3):
            stored = store.add(toy.cell(rank=rank, vlm=vlm))
            stored.ask(size)
            stored.append_records(toy.records(0.5, 10 * (rank + 1), count=30))
    store.add(toy.cell(vlm="stopped")).ask(small)
    analysis = analysed(tmp_path, samples=0)
    flags = {bd.vlm: bd.flags for bd in analysis.bd}
    assert flags["reader"] == ()
    assert flags["stopped"][0] == "90 questions not asked yet"
    assert flags["sampled"][0] == "asks 30 of 60 questions"
    assert analysis.tasks[0].questions == 60
    asked = {cell.vlm: cell.questions for cell in analysis.cells}
    assert asked == {"reader": 60, "stopped": 60, "sampled": 30}
    (table,) = score_tables(analysis)
    assert table.notes == ("asks 30 of 60 questions", "30 of 60 questions answered so far")


def test_a_curve_of_one_point_is_an_error(tmp_path: Path) -> None:
    toy.a_run(tmp_path, {("source", 0, ""): 0.9, ("grey", 1, ""): 0.5})
    (result,) = analysed(tmp_path).bd
    assert result.bd is None
    assert "at least 2" in result.flags[-1]


def test_examples_are_right_uncompressed_and_wrong_at_the_lowest_rate(tmp_path: Path) -> None:
    toy.a_run(tmp_path, PLAIN | TUNED)
    examples = analysed(tmp_path, examples=4).examples
    assert len(examples) == 4
    assert len({example.question for example in examples}) == 4
    for example in examples:
        clean, small, *others = example.views
        (recovered,) = (view for view in others if view.adapter and view.level == small.level)
        assert (clean.codec, clean.right, clean.quality["PSNR dB"]) == ("source", True, None)
        assert (small.codec, small.level, small.adapter, small.right) == ("grey", "0", "", False)
        assert (recovered.adapter, recovered.right) == ("for-grey", True)  # the clearest first
        picture = Image.open(io.BytesIO(base64.b64decode(small.png_base64)))
        assert picture.size == (toy.SIDE_PX, toy.SIDE_PX)
        assert picture.getpixel((3, 3)) == (128, 128, 128)
        assert small.quality["PSNR dB"] == pytest.approx(
            10.7, abs=0.5
        )  # grey against uniform noise


def test_an_example_needs_images_but_an_analysis_does_not(tmp_path: Path) -> None:
    store = toy.a_run(tmp_path, PLAIN)
    for blob in store.images.bitstreams.root.rglob("*.bin"):
        blob.unlink()
    analysis = analysed(tmp_path)
    assert analysis.examples == ()
    assert len(analysis.bd) == 1


def test_an_analysis_survives_its_file(tmp_path: Path) -> None:
    toy.a_run(tmp_path, PLAIN | TUNED)
    analysis = analysed(tmp_path, examples=1)
    write_analysis(analysis, tmp_path / "analysis.json")
    assert read_analysis(tmp_path / "analysis.json") == analysis
    assert analysed(tmp_path, examples=1) == analysis  # nothing depends on the clock or on luck


def test_a_file_that_is_no_analysis_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    with pytest.raises(InputError, match="cannot be read"):
        read_analysis(path)
    for text in ("", "[]", '{"title": 3}', "{"):
        path.write_text(text)
        with pytest.raises(InputError, match="not an analysis of this version"):
            read_analysis(path)


def test_other_questions_than_those_answered_are_refused(tmp_path: Path) -> None:
    class Changed(toy.ToyTask):
        version = "2"

    toy.a_run(tmp_path, PLAIN)
    with pytest.raises(InputError, match="are of version 2, those answered of 1"):
        analyse(tmp_path, created="", load=lambda group, name, options: Changed())


def test_a_directory_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no eyechart run here"):
        analysed(tmp_path / "absent")
    toy.a_run(tmp_path / "empty", {})
    with pytest.raises(InputError, match="no answers stored yet"):
        analysed(tmp_path / "empty")
