"""Pages of letters and rings: drawn as the task Acuity draws them, and never one of its images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from eyechart.tasks.acuity import SIZES_PX, Acuity, row_shift_px
from eyechart.tasks.optotypes import DIRECTIONS, LETTERS
from recipes.chart.optotype_pages import draw_optotypes, sample_optotypes
from recipes.chart.scene import SIZE_PX

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ink_is_where_the_page_says(seed: int) -> None:
    page = sample_optotypes(seed)
    (row,) = page.texts
    image = draw_optotypes(page)
    assert image.shape == (SIZE_PX, SIZE_PX, 3)
    inked = image[:, :, 0] < 255
    left, top, right, bottom = row.box_px
    assert 0 <= left < right <= SIZE_PX
    assert min(SIZES_PX) <= bottom - top <= max(SIZES_PX)
    assert inked[top:bottom, left:right].sum() == inked.sum() > 0
    darkest = 255 - int(image.min())
    assert darkest == pytest.approx(255 * page.contrast, abs=1 if row.font_px > 9 else 130)


def test_no_page_is_an_image_of_the_task() -> None:
    """Images of equal signs differ if their shifts do; the task has eight of these."""
    task_shifts = {row_shift_px(row) for row in range(100)}
    assert len(task_shifts) == 8
    for seed in range(1000):
        (row,) = sample_optotypes(seed).texts
        count = 1 if row.role == "ring" else len(row.text)
        middle = (SIZE_PX - row.font_px) // 2, (SIZE_PX - row.font_px * (2 * count - 1)) // 2
        left, top = row.origin_px
        assert (top - middle[0], left - middle[1]) not in task_shifts


def test_a_page_at_a_shift_of_the_task_would_be_its_image() -> None:
    """The pages are drawn as the task draws, so that only the shift keeps them apart."""
    page = next(p for p in map(sample_optotypes, SEEDS) if len(p.texts[0].text) == 3)
    (row,) = page.texts
    middle = (SIZE_PX - 5 * row.font_px) // 2, (SIZE_PX - row.font_px) // 2
    moved = replace(page, texts=(replace(row, origin_px=middle),), contrast=0.25)
    wanted = Acuity().image(f"letters-{row.font_px}-0.25-0-{row.text}")
    np.testing.assert_array_equal(draw_optotypes(moved), wanted)


def test_pages_show_all_signs_sizes_and_contrasts() -> None:
    pages = [sample_optotypes(seed) for seed in range(600)]
    rows = [page.texts[0] for page in pages]
    rings = Counter(row.text for row in rows if row.role == "ring")
    assert set(rings) == set(DIRECTIONS)
    assert 0.15 < rings.total() / len(rows) < 0.35
    assert {sign for row in rows if row.role == "letters" for sign in row.text} == set(LETTERS)
    assert {row.font_px for row in rows} >= set(range(6, 43, 4))
    assert min(page.contrast for page in pages) < 0.3
    assert sample_optotypes(5) == sample_optotypes(5)
