"""Pages of letters and rings: drawn as the task Acuity draws them, and never one of its images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from eyechart.core.types import Question
from eyechart.tasks.acuity import ASK, SIZES_PX, Acuity, row_shift_px
from eyechart.tasks.optotypes import DIRECTIONS, LETTERS
from recipes.chart.curriculum import OPTOTYPES, draw, target_answer, training_texts
from recipes.chart.optotype_pages import ask_optotypes, draw_optotypes, sample_optotypes
from recipes.chart.render import render
from recipes.chart.scene import SIZE_PX
from recipes.chart.targets import SYMBOLS, TARGET_NAMES, right_letters, token_targets

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answer_is_read_right_by_the_task(seed: int) -> None:
    page = sample_optotypes(seed)
    (asked,) = ask_optotypes(page)
    assert asked.prompt == ASK[asked.category]
    question = Question(
        id="1", image="", text=asked.prompt, answer=asked.answer, category=asked.category
    )
    right = Acuity().score(question, target_answer(asked))
    assert (right.value, right.parsed_answer) == (1.0, asked.answer)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ink_is_where_the_page_says(seed: int) -> None:
    page = sample_optotypes(seed)
    (row,) = page.texts
    image = render(page)
    assert image.shape == (SIZE_PX, SIZE_PX, 3)
    inked = image[:, :, 0] < 255
    left, top, right, bottom = row.box_px
    assert 0 <= left < right <= SIZE_PX
    assert min(SIZES_PX) <= bottom - top <= max(SIZES_PX)
    assert inked[top:bottom, left:right].sum() == inked.sum() > 0
    darkest = 255 - int(image.min())
    assert darkest == pytest.approx(255 * page.contrast, abs=1 if row.font_px > 9 else 130)
    for _, (start, high, end, low) in row.letter_boxes_px:
        assert inked[high:low, start:end].any()


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
    page = next(p for p in map(sample_optotypes, SEEDS) if len(p.texts[0].letter_boxes_px) == 3)
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


def test_letters_are_names_of_their_tokens() -> None:
    page = next(p for p in map(sample_optotypes, SEEDS) if p.texts[0].role == "letters")
    shown = token_targets(page).any(axis=0)
    names = {name for name, there in zip(TARGET_NAMES, shown, strict=True) if there}
    assert names & set(SYMBOLS) == set(page.texts[0].text)
    assert right_letters(page).any(axis=0).sum() <= len(page.texts[0].text)


def test_training_has_a_small_share_of_them() -> None:
    assert len(OPTOTYPES) / 16 < 0.1
    drawn = [draw("train", seed) for seed in range(16)]
    assert [scene.layout == "optotypes" for scene, _ in drawn] == [
        n in OPTOTYPES for n in range(16)
    ]
    assert all(scene.layout != "optotypes" for scene, _ in (draw("test", n) for n in range(16)))


def test_the_tokenizer_learns_the_words_of_the_task() -> None:
    texts = Counter(training_texts())
    assert all(texts[text] >= 20 for text in (*ASK.values(), *DIRECTIONS))
