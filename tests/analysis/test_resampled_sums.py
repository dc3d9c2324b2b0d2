"""Sums over resampled images are made in blocks, and of many cells at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from eyechart.analysis import bootstrap, measure
from eyechart.analysis.bootstrap import resample
from eyechart.analysis.sums import cell_sums
from tests.analysis import toy

IMAGES = [f"p{number}" for number in range(300)]
STRATA = {image: "odd" if number % 2 else "even" for number, image in enumerate(IMAGES)}


@pytest.mark.parametrize("strata", [None, STRATA])
def test_blocks_of_samples_have_the_sums_of_all_weights(
    monkeypatch: pytest.MonkeyPatch, strata: dict[str, str] | None
) -> None:
    values = np.random.default_rng(0).random((len(IMAGES), 3))
    drawn = resample(IMAGES, samples=50, seed=1, strata=strata)
    weights = drawn.counts * drawn.scale
    monkeypatch.setattr(bootstrap, "_BLOCK_BYTES", 7 * 8 * len(IMAGES))
    np.testing.assert_allclose(drawn.sums(values), weights @ values, rtol=1e-13)
    chosen = drawn.weights_of([5, 2], most=9)
    np.testing.assert_array_equal(chosen, weights[:9, [5, 2]])


class FirstOnly:
    """A generator that draws the first image each time."""

    def integers(self, high: int, size: int) -> npt.NDArray[np.int64]:
        return np.zeros(size, np.int64)


def test_an_image_that_is_drawn_more_often_than_a_byte_holds_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("numpy.random.default_rng", lambda seed: FirstOnly())
    drawn = resample(IMAGES, samples=2, seed=0)
    assert drawn.counts[:, 0].tolist() == [300, 300]
    assert not drawn.counts[:, 1:].any()


def test_cells_are_measured_alike_alone_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    task, drawn = toy.ToyTask(), resample(["p0", "p1", "p2"], samples=40, seed=0)
    cells = []
    for right, size_bytes, questions in ((0.5, 100, 9), (1.0, 300, 3), (0.2, 200, 9)):
        records = toy.records(right, size_bytes)[:questions]
        sums = cell_sums(task, records)
        cells.append((toy.data_of(toy.cell(), records), sums, sums.rates_bpp))
    together = list(measure.measure_cells(task, cells, drawn))
    monkeypatch.setattr(measure, "_MOST_BYTES", 1)
    alone = list(measure.measure_cells(task, cells, drawn))
    assert len(together) == len(alone) == len(cells)
    for one, other in zip(together, alone, strict=True):
        assert (one.score, one.rate) == (other.score, other.rate)
        np.testing.assert_allclose(one.score_draws, other.score_draws, rtol=1e-13)
        np.testing.assert_allclose(one.rate_draws, other.rate_draws, rtol=1e-13)
