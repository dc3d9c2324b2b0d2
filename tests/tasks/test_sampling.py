"""A sample of a task represents the whole task."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from eyechart.core.types import Question
from eyechart.tasks import open_task
from eyechart.tasks.acuity import Acuity
from eyechart.tasks.sampling import by_image, images_to_ask


def questions(categories: list[str], per_image: int = 2) -> list[Question]:
    return [
        Question(id=f"{image}-{n}", image=str(image), text="", answer="", category=category)
        for n in range(per_image)
        for image, category in enumerate(categories)
    ]


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 50), st.integers(1, 50))
def test_images_are_whole_and_a_longer_sample_holds_a_shorter(
    categories: list[str], size: int, more: int
) -> None:
    asked = questions(categories)
    everything = by_image(asked)
    assert Counter(q.id for _, its in everything for q in its) == Counter(q.id for q in asked)
    assert all([q.id for q in its] == [f"{image}-0", f"{image}-1"] for image, its in everything)
    assert by_image(asked, size) == everything[:size]
    assert by_image(asked, size + more)[:size] == by_image(asked, size)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 60))
def test_every_category_keeps_its_share(few: int, many: int, size: int) -> None:
    chosen = by_image(questions(["a"] * few + ["b"] * many), size)
    got = sum(its[0].category == "a" for _, its in chosen)
    assert abs(got - few * len(chosen) / (few + many)) <= 1


def test_the_order_of_the_file_is_not_the_order_of_the_sample() -> None:
    order = [image for image, _ in by_image(questions(["a"] * 50))]
    assert order != sorted(order, key=int)
    assert order == [image for image, _ in by_image(questions(["a"] * 50)[::-1])]


def test_a_task_with_thresholds_is_asked_whole() -> None:
    chart = Acuity(rows=1)
    asked = images_to_ask(chart, 3)
    assert len(asked) == len(chart.questions()) == 36
    assert asked == images_to_ask(chart)
    pope = open_task("POPE", data="eyechart-mini")
    assert images_to_ask(pope, 3) == by_image(pope.questions(), 3)
