"""Questions on sampled scenes: they agree with the scene graph, and nothing can be guessed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import pytest

from recipes.chart.asking import LETTERS, YES_NO_SUFFIX, ChartQuestion
from recipes.chart.balance import first_scenes
from recipes.chart.questions import MAKERS, YES_NO, ask
from recipes.chart.sample import sample_scene
from recipes.chart.scene import Rng, Scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [sample_scene("train", seed) for seed in range(5000, 5600)]


def rng() -> Rng:
    return np.random.default_rng(7)


def said(made: ChartQuestion) -> str:
    return made.options[LETTERS.index(made.answer)] if made.options else made.answer


def _recomputed(made: ChartQuestion, of: Scene) -> str | None:
    """The answer to a few question forms, worked out anew from the scene graph."""
    words = made.question.removesuffix(YES_NO_SUFFIX).rstrip("?").split()
    kinds = Counter(t.kind for t in of.things)
    where = {t.kind: (t.x_px, t.y_px) for t in of.things}
    match words:
        case ["Is", "there", "a" | "an" | "some", kind, "in", "the" | "this", "image"]:
            return "Yes" if kinds[kind] else "No"
        case ["What", "color", "is", "the", kind]:
            (only,) = [t for t in of.things if t.kind == kind]
            return only.colour
        case ["Is", "the", one, "to", "the", "left", "of", "the", other]:
            assert kinds[one] == kinds[other] == 1
            return "yes" if where[one][0] < where[other][0] else "no"
        case ["Is", "the", one, "above", "the", other]:
            assert kinds[one] == kinds[other] == 1
            word = "yes" if where[one][1] < where[other][1] else "no"
            return word if made.task == "GQA" else word.capitalize()
        case ["Where", "is", "the", kind]:
            assert kinds[kind] == 1
            x, y = where[kind]
            return f"{'top' if y < 112 else 'bottom'} {'left' if x < 112 else 'right'}"
        case ["Is", "there", "a" | "an" | "some", one, "or", "a" | "an" | "some", other]:
            return "yes" if kinds[one] or kinds[other] else "no"
    return None


def test_answers_agree_with_the_scene_graph_read_anew(scenes: list[Scene]) -> None:
    source, checked = rng(), Counter[str]()
    for of in scenes:
        for name in MAKERS:
            made = MAKERS[name](of, source)
            expected = _recomputed(made, of) if made else None
            if made is not None and expected is not None:
                checked[name] += 1
                assert said(made) == expected, (of.seed, made)
    assert len(checked) >= 8
    assert min(checked.values()) > 8


# --- balance --------------------------------------------------------------------------------


def _all_made(scenes: list[Scene], names: list[str]) -> Iterator[tuple[str, ChartQuestion]]:
    source = rng()
    for of in scenes:
        for name in names:
            made = MAKERS[name](of, source)
            if made is not None:
                yield name, made


def test_yes_and_no_are_even(scenes: list[Scene]) -> None:
    share: dict[str, list[bool]] = defaultdict(list)
    for name, made in _all_made(scenes, list(YES_NO)):
        share[name].append(made.answer.lower() == "yes")
    for name, answers in share.items():
        spread = 4 * 0.5 / len(answers) ** 0.5  # four standard deviations of a fair coin
        assert abs(np.mean(answers) - 0.5) < spread, name


def test_yes_and_no_are_equally_frequent_for_every_kind() -> None:
    # Held-out scenes: the weights were counted on training scenes.
    answers: dict[str, list[bool]] = defaultdict(list)
    for _, made in _all_made([*first_scenes("test")] * 3, ["pope"]):
        kind = made.question.removeprefix("Is there ").split()[1]
        answers[kind].append(made.answer == "Yes")
    usual = {kind: given for kind, given in answers.items() if len(given) >= 30}
    assert len(usual) > 30
    off = [abs(np.mean(given) - 0.5) * 2 * len(given) ** 0.5 for given in usual.values()]
    # Answers about one scene are not independent, so the bound is wider than a coin's.
    assert max(off) < 5
    assert float(np.mean(off)) < 1.6


def test_numbers_cannot_be_guessed(scenes: list[Scene]) -> None:
    right = Counter(said(made) for _, made in _all_made(scenes * 2, ["seed_counting"]))
    assert max(right.values()) < 0.45 * right.total()


def test_option_letters_are_uniform(scenes: list[Scene]) -> None:
    letters = Counter[str]()
    for _, made in _all_made(scenes, [name for name in MAKERS if name.startswith("seed_")]):
        assert len(set(made.options)) == len(made.options) == 4
        letters[made.answer] += 1
    expected = letters.total() / 4
    assert all(abs(n - expected) < 4 * (expected * 0.75) ** 0.5 for n in letters.values())


def test_ask_gives_different_questions_and_honours_weights(scenes: list[Scene]) -> None:
    for of in scenes[:50]:
        asked = ask(of, rng(), 12)
        assert len({made.prompt for made in asked}) == len(asked) <= 12
        assert asked == ask(of, rng(), 12)
    rich = next(s for s in scenes if len({t.kind for t in s.things if t.colour}) >= 2)
    only = ask(rich, rng(), 30, {"gqa_query_color": 1.0, "seed_location": 2.0, "pope": 0.0})
    assert {made.category for made in only} <= {"query", "Instance Location"}
    assert only
    with pytest.raises(KeyError):
        ask(rich, rng(), 1, {"unknown": 1.0})


def test_every_task_is_asked(scenes: list[Scene]) -> None:
    tasks = {made.task for of in scenes[:100] for made in ask(of, rng(), 12)}
    assert tasks == {"POPE", "GQA", "COCO", "OCRBench", "MME", "MMBench", "SEEDBench"}


def test_equal_scenes_get_equal_questions(scenes: list[Scene]) -> None:
    for of in scenes[:40]:
        again = sample_scene(of.split, of.seed)
        assert again is not of
        for make in MAKERS.values():
            assert make(again, rng()) == make(of, rng())
