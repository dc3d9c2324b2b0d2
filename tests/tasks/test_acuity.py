"""The acuity chart: its images, its scores, and thresholds of simulated observers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eyechart.core.errors import ImageError, InputError
from eyechart.core.types import Question
from eyechart.tasks.acuity import CONTRASTS, GUESS, SIZES_PX, Acuity
from eyechart.tasks.optotypes import DIRECTIONS, LETTERS, letter, ring
from eyechart.tasks.psychometric import fit_threshold
from eyechart.testing.tasks import check_task


def observer(threshold_px: float, seed: int) -> Callable[[Question], str]:
    """Reads a sign with the probability of the psychometric function, else guesses."""
    random = np.random.default_rng(seed)

    def answer(question: Question) -> str:
        kind = question.category
        size = float(question.image.split("-")[1])
        sees = 1 / (1 + math.exp(-8 * math.log(size / threshold_px)))
        if kind == "ring":
            return question.answer if random.random() < sees else str(random.choice(DIRECTIONS))
        return " ".join(
            sign if random.random() < sees else str(random.choice(list(LETTERS)))
            for sign in question.answer
        )

    return answer


def test_it_is_a_task() -> None:
    check_task(Acuity(rows=1))


@pytest.mark.parametrize("threshold_px", [9.0, 14.0, 24.0])
def test_the_threshold_of_an_observer_is_found(threshold_px: float) -> None:
    task = Acuity(rows=12)
    found = []
    for seed in range(8):
        says = observer(threshold_px, seed)
        metrics = task.summarize([task.score(q, says(q)) for q in task.questions()])
        found += [metrics[f"letters {contrast:g}, px"] for contrast in CONTRASTS]
    assert np.median(found) == pytest.approx(threshold_px, rel=0.06)


def test_the_interval_covers_the_threshold_as_often_as_documented() -> None:
    """Over 600 draws the share has a standard error of 0.011; 0.92 is what the method has."""
    random = np.random.default_rng(7)
    sizes, rows, letters, draws = np.array(SIZES_PX), 12, 3, 200
    asked = [letters * rows] * len(sizes)
    covered = 0
    for threshold_px in (9.0, 14.0, 24.0):
        sees = 1 / (1 + np.exp(-8 * np.log(sizes / threshold_px)))
        chance = sees + (1 - sees) * GUESS["letters"]
        for _ in range(draws):
            right = random.binomial(asked, chance).tolist()
            found = fit_threshold(SIZES_PX, right, asked, guess=GUESS["letters"])
            assert found.low is not None
            assert found.high is not None
            covered += found.low <= threshold_px <= found.high
    assert covered >= 0.88 * 3 * draws


def test_guessing_is_not_reading() -> None:
    task = Acuity()
    random = np.random.default_rng(3)
    answers = [
        str(random.choice(DIRECTIONS)) if q.category == "ring" else "C D H"
        for q in task.questions()
    ]
    metrics = task.summarize(
        [task.score(q, said) for q, said in zip(task.questions(), answers, strict=True)]
    )
    assert metrics["letters 1, px"] == metrics["ring 1, px"] == 0
    assert metrics["ring 1, px, to"] == 0  # no upper end
    assert GUESS == {"letters": 0.1, "ring": 0.25}


def test_a_perfect_reader_reads_all_sizes() -> None:
    task = Acuity(rows=2)
    scores = [task.score(q, q.answer) for q in task.questions()]
    metrics = task.summarize(scores)
    assert metrics["Read, %"] == 100
    assert metrics["letters 1, px"] == 0  # smaller than the smallest size
    assert 0 < metrics["letters 1, px, to"] < SIZES_PX[1]
    assert float(task.headline(task.image_sums(scores).sums.sum(axis=0))) == 100


def test_few_answers_give_a_wide_interval() -> None:
    sizes, right = [8.0, 16.0, 32.0], [1.0, 3.0, 5.0]
    few = fit_threshold(sizes, right, [5, 5, 5], guess=0.1)
    many = fit_threshold(sizes, [40 * n for n in right], [200] * 3, guess=0.1)
    assert few.size == pytest.approx(many.size, rel=0.02)
    assert few.low is not None
    assert many.low is not None
    assert few.low < many.low


@pytest.mark.parametrize(
    ("kind", "answer", "share"),
    [
        ("letters", "CDH", 1),
        ("letters", "C, D, H", 1),
        ("letters", "The letters are C, D and H.", 1),
        ("letters", "cdh", 1),
        ("letters", "C D", 2 / 3),
        ("letters", "D C H", 1 / 3),
        ("letters", "HS V\n", 0),
        ("letters", "cD h", 1),
        ("letters", "No. C D H", 1),
        ("letters", "I cannot read them", 0),
        ("letters", "", 0),
        ("ring", "Right.", 1),
        ("ring", "The gap is on the right side", 1),
        ("ring", "left or right", 0),
        ("ring", "top", 0),
        ("ring", "\ud800", 0),
    ],
)
def test_answers_are_read(kind: str, answer: str, share: float) -> None:
    meant = "CDH" if kind == "letters" else "right"
    question = Question(id="1", image="i", text="", answer=meant, category=kind)
    assert Acuity().score(question, answer).value == pytest.approx(share)


@pytest.mark.parametrize("size", [5, 20, 41])
def test_signs_are_drawn_alike_at_any_size(size: int) -> None:
    for name in LETTERS:
        drawn = letter(name, size)
        assert drawn.shape == (size, size)
        assert 0.25 < drawn.mean() < 0.75
    area = np.pi * (2.5**2 - 1.5**2) - 1.0
    for direction in DIRECTIONS:
        assert ring(direction, size).mean() == pytest.approx(area / 25, rel=0.05)
    assert np.allclose(ring("right", 40), ring("left", 40)[:, ::-1])
    assert np.allclose(ring("up", 40), ring("down", 40)[::-1])


def test_images_are_deterministic_and_wrong_keys_are_errors() -> None:
    task = Acuity()
    keys = [question.image for question in task.questions()]
    assert len(set(keys)) == len(keys)
    assert np.array_equal(task.image(keys[0]), Acuity().image(keys[0]))
    for key in ("", "letters-6-1-0-A!", "ring-6-1-0-inside", "letters-x-1-0-CDH"):
        with pytest.raises(ImageError, match="Acuity: no image"):
            task.image(key)
    with pytest.raises(InputError, match="rows 0"):
        Acuity(rows=0)


def test_a_part_of_the_chart_is_that_of_the_whole() -> None:
    whole, part = Acuity(rows=2), Acuity(rows=2, contrasts=[1])
    assert whole.options == {"rows": 2}  # as before contrasts could be chosen
    assert part.options == {"rows": 2, "contrasts": [1.0]}
    asked = [question for question in whole.questions() if question.l2_category == "1"]
    assert list(part.questions()) == asked
    assert [one.metric for one in part.thresholds] == ["letters 1, px", "ring 1, px"]
    assert part.sample_images == whole.sample_images
    right = [part.score(question, question.answer) for question in part.questions()]
    assert set(part.summarize(right)) == {
        "Read, %",
        *(f"{kind} 1, px{end}" for kind in GUESS for end in ("", ", from", ", to")),
    }
    faint = Acuity(rows=1, contrasts=[0.25])
    assert all("-0.25-" in image for image in faint.sample_images)
    check_task(faint)


@pytest.mark.parametrize("contrasts", [[], [0.5], 1, "1", [[1]], [1, None]])
def test_contrasts_that_are_not_drawn_are_refused(contrasts: Any) -> None:
    with pytest.raises(InputError, match=r"contrasts .*; allowed are lists of 1, 0.25"):
        Acuity(contrasts=contrasts)


def test_the_sample_shows_rows_of_letters_from_large_to_small() -> None:
    task = Acuity(rows=2)
    drawn = task.draw_sample([task.image(key) for key in task.sample_images])
    inked = [False, *(drawn.min(axis=(1, 2)) < 128).tolist(), False]
    edges = [row for row in range(1, len(inked)) if inked[row] != inked[row - 1]]
    heights = [end - start for start, end in zip(edges[::2], edges[1::2], strict=True)]
    assert heights == sorted(SIZES_PX, reverse=True)
