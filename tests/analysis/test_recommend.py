"""A recommendation holds: planted losses, paired by image, are not recommended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from eyechart.analysis.recommend import (
    images_needed,
    recommend,
    recommendation_table,
    recommendation_text,
    upper_bound,
)
from eyechart.core.errors import InputError
from tests.analysis import toy


@pytest.mark.parametrize("images", [5, 10, 40, 100, 200, 1000])
@pytest.mark.parametrize("error_rate", [0.05, 0.05 / 3])
def test_the_bound_covers_the_true_loss(images: int, error_rate: float) -> None:
    """Images whose answers all become wrong with a probability; the coverage is exact."""
    counts = np.arange(images + 1)
    bounds = np.array(
        [upper_bound(np.repeat([1.0, 0.0], [k, images - k]), error_rate) for k in counts]
    )
    for share in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        covered = stats.binom.pmf(counts, images, share)[bounds >= share].sum()
        assert covered >= 1 - error_rate


def test_the_bound_covers_losses_in_both_directions() -> None:
    rng = np.random.default_rng(1)
    losses = rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.85, 0.1], size=(2000, 60))
    covered = np.mean([upper_bound(draw, 0.05) >= 0.05 for draw in losses])
    assert covered >= 0.95


def test_a_planted_failure_is_never_recommended_in_1000_draws() -> None:
    """Three codecs that lose 10 points each; 2 are tolerated."""
    rng = np.random.default_rng(2)
    for _ in range(1000):
        draws = rng.random((3, 300)) < 0.1
        assert all(upper_bound(draw.astype(float), 0.05 / 3) > 0.02 for draw in draws)


@pytest.mark.parametrize("freedom", [4, 10, 50])
def test_the_bound_is_that_of_students_t(freedom: int) -> None:
    losses = np.linspace(-0.2, 0.3, freedom)
    values = np.append(losses, [1.0, 1.0])
    quantile = stats.t.ppf(1 - 0.05 / 3, freedom + 1)
    expected = values.mean() + quantile * values.std(ddof=1) / np.sqrt(len(values))
    assert upper_bound(losses, 0.05 / 3) == pytest.approx(expected, rel=0.005)


def test_so_many_more_images_decide() -> None:
    losses = np.zeros(20)
    more = images_needed(losses, 0.02, 0.05)
    assert more is not None
    assert upper_bound(np.zeros(20 + more), 0.05) <= 0.02
    assert upper_bound(np.zeros(20 + more // 2), 0.05) > 0.02
    assert images_needed(np.full(20, 0.1), 0.02, 0.05) is None


def test_the_cheapest_setting_that_is_good_is_named(tmp_path: Path) -> None:
    plain = {("source", 0, ""): 0.9, **{("grey", rank, ""): 0.9 for rank in (1, 2)}}
    plain["grey", 0, ""] = 0.3
    toy.a_run(tmp_path, plain)
    (found,) = recommend(tmp_path, tolerance=30)
    assert [setting.level for setting in found.settings] == ["2", "1", "0"]
    assert [setting.good for setting in found.settings] == [True, True, False]
    assert found.best is not None
    assert found.best.level == "1"
    assert "grey at level 1 loses at most" in recommendation_text(found)
    assert "% less than the files" in recommendation_text(found, files_bytes=1e6)
    marks = [row.entries[-1].mark for row in recommendation_table(found).rows]
    assert marks == ["", "best", ""]
    (strict,) = recommend(tmp_path, tolerance=0.5)
    assert strict.best is None
    assert "more images would decide" in recommendation_text(strict)


def test_a_level_below_a_bad_one_is_not_recommended(tmp_path: Path) -> None:
    toy.a_run(tmp_path, {("source", 0, ""): 0.9, ("grey", 2, ""): 0.2, ("grey", 0, ""): 0.9})
    (found,) = recommend(tmp_path, tolerance=30)
    assert [setting.good for setting in found.settings] == [False, False]


def test_what_cannot_be_recommended_is_one_line(tmp_path: Path) -> None:
    toy.a_run(tmp_path, {("source", 0, ""): 0.9})
    with pytest.raises(InputError, match="tolerance 0; allowed: more than 0, up to 100 points"):
        recommend(tmp_path, tolerance=0)
    with pytest.raises(InputError, match="no task 'POPE' in this run; there: toy"):
        recommend(tmp_path, tolerance=1, tasks=("POPE",))
    with pytest.raises(InputError, match="needs answers about uncompressed images and"):
        recommend(tmp_path, tolerance=1)
