"""Pages of signs: every sign can be asked for, and none covers another."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from recipes.chart.facts import common_area
from recipes.chart.pages import (
    ask_crowd,
    ask_form,
    ask_page,
    sample_crowd,
    sample_form,
    sample_page,
)
from recipes.chart.reading import fields
from recipes.chart.scene import SIZE_PX
from recipes.chart.targets import HALVES, NUMBERS, TARGET_NAMES, token_targets
from recipes.chart.vocabulary import plural

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


@pytest.mark.parametrize("seed", SEEDS)
def test_every_line_of_a_form_is_asked_for(seed: int) -> None:
    form = sample_form(seed)
    asked = {ask.question: ask.answer for ask in ask_form(form, np.random.default_rng(0))}
    for label, value in fields(form):
        (kie,) = (answer for question, answer in asked.items() if f"'{label}'" in question)
        assert kie == value
        assert f"{label}: {value}" in asked.values()


@pytest.mark.parametrize("seed", SEEDS)
def test_crowds_are_counted_right(seed: int) -> None:
    crowd = sample_crowd(seed)
    number = Counter(thing.kind for thing in crowd.things)
    asks = ask_crowd(crowd, np.random.default_rng(0))
    counted = [ask for ask in asks if ask.question.startswith("How many")]
    assert counted
    for ask in counted:
        right = ask.options["ABCD".index(ask.answer)]
        kinds = [kind for kind in number if ask.question == f"How many {plural(kind)} are there?"]
        assert not kinds or right == str(number[kinds[0]])


def test_crowds_show_all_numbers() -> None:
    numbers = Counter(
        n for seed in range(40) for n in Counter(t.kind for t in sample_crowd(seed).things).values()
    )
    assert all(numbers[n] > 0.1 * numbers.total() for n in (1, 2, 3, 4))


def test_a_things_tokens_have_its_number() -> None:
    crowd = sample_crowd(0)
    targets = token_targets(crowd)
    for kind, n in Counter(thing.kind for thing in crowd.things).items():
        shown = targets[targets[:, TARGET_NAMES.index(kind)]]
        assert shown[:, TARGET_NAMES.index(NUMBERS[n - 1])].all()
