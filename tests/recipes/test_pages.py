"""Pages of signs: every sign can be asked for, and none covers another."""

from __future__ import annotations

from itertools import combinations

import pytest

from recipes.chart.facts import common_area
from recipes.chart.pages import ask_page, sample_page
from recipes.chart.scene import SIZE_PX
from recipes.chart.targets import HALVES, TARGET_NAMES, token_targets

SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_signs_lie_apart_inside_the_image(seed: int) -> None:
    boxes = [text.box_px for text in sample_page(seed).texts]
    assert all(0 <= x <= SIZE_PX for box in boxes for x in box)
    assert not any(common_area(one, other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize("seed", SEEDS)
def test_each_sign_is_asked_for_by_a_colour_no_other_has(seed: int) -> None:
    page = sample_page(seed)
    asked = {ask.question: ask.answer for ask in ask_page(page)}
    assert asked == {f"What does the {text.plate} sign say?": text.text for text in page.texts}
    assert len(asked) == len(page.texts)


def test_a_seed_is_one_page() -> None:
    assert sample_page(3) == sample_page(3)
    assert sample_page(3) != sample_page(4)


def test_pages_hold_more_letters_than_scenes() -> None:
    letters = [sum(len(text.text) for text in sample_page(seed).texts) for seed in SEEDS]
    assert sum(letters) / len(letters) > 10


def test_every_token_is_in_one_half_each_way() -> None:
    targets = token_targets(sample_page(0))
    top, bottom, left, right = (targets[:, TARGET_NAMES.index(name)] for name in HALVES)
    assert (top ^ bottom).all()
    assert (left ^ right).all()
    assert top[0]
    assert left[0]
    assert bottom[-1]
    assert right[-1]
