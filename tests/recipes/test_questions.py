"""Questions of the built-in chart: right, never ambiguous, and not to be guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from eyechart.core import prompts
from eyechart.core.types import Question
from eyechart.tasks import coco_caption
from recipes.chart import ask_caption, ask_choice, ask_gqa, ask_text, ask_yesno
from recipes.chart.asking import COCO_PROMPT, GQA_SUFFIX, LETTERS, ChartQuestion, with_letter
from recipes.chart.facts import ALL_KINDS
from recipes.chart.questions import MAKERS
from recipes.chart.scene import COLOURS, SHAPES, Box, Layout, Rng, Scene, Text, Thing
from recipes.chart.targets import TARGET_NAMES, token_targets
from recipes.chart.vocabulary import group_of


def thing(kind: str, x: float, y: float, size: float = 60, colour: str | None = None) -> Thing:
    half = size / 2
    return Thing(
        kind=kind, group=group_of(kind), colour=colour, x_px=x, y_px=y, size_px=size,
        rotation_deg=0, box_px=(int(x - half), int(y - half), int(x + half), int(y + half)),
    )  # fmt: skip


def line(text: str, role: str, box: Box, plate: str | None = None) -> Text:
    step = (box[2] - box[0]) // len(text)
    letters = tuple(
        (letter, (box[0] + i * step, box[1], box[0] + (i + 1) * step, box[3]))
        for i, letter in enumerate(text)
    )
    return Text(
        text=text, role=role, ink="black", plate=plate, font="LiberationSans-Bold.ttf",
        box_px=box, letter_boxes_px=letters,
    )  # fmt: skip


def scene(
    *things: Thing, texts: tuple[Text, ...] = (), layout: Layout = "scene", light: str = "day"
) -> Scene:
    paper = layout in ("form", "formula")
    return Scene(
        seed=0, split="test", layout=layout, background="paper" if paper else "grass",
        light=light, things=things, texts=texts,
    )  # fmt: skip


DOG_AND_CIRCLE = scene(thing("dog", 50, 50, 90), thing("circle", 170, 60, 56, "red"))
THREE = scene(
    thing("dog", 45, 60),
    thing("dog", 45, 160),
    thing("cat", 170, 60),
    thing("star", 170, 165, 60, "blue"),
)
STOP = scene(
    thing("dog", 50, 50), texts=(line("STOP", "word", (100, 130, 200, 170), "red"),), layout="sign"
)
FORM = scene(
    texts=(
        line("NAME:", "label", (10, 20, 80, 40)),
        line("SAIL", "value", (100, 20, 150, 40)),
        line("TOTAL:", "label", (10, 80, 80, 100)),
        line("43", "value", (100, 80, 130, 100)),
    ),
    layout="form",
)
TWO_SIGNS = scene(
    texts=(
        line("A", "word", (10, 10, 30, 40), "red"),
        line("B", "word", (90, 90, 120, 120), "blue"),
    )
)
SUM = scene(texts=(line("12+5=17", "formula", (20, 80, 200, 120)),), layout="formula")


def rng() -> Rng:
    return np.random.default_rng(7)


def every(make: Callable[[Rng], ChartQuestion | None], tries: int = 200) -> dict[str, str]:
    """All different questions of a maker, with what each answer says."""
    source = rng()
    found = {}
    for made in (make(source) for _ in range(tries)):
        if made is not None:
            found[made.question] = said(made)
    return found


def said(made: ChartQuestion) -> str:
    return made.options[LETTERS.index(made.answer)] if made.options else made.answer


def named(name: str, of: Scene) -> dict[str, str]:
    return every(lambda source: MAKERS[name](of, source))


# --- right answers on hand-made scenes ------------------------------------------------------

YN = " Please answer yes or no."


@pytest.mark.parametrize(
    ("name", "of", "expected"),
    [
        ("pope", DOG_AND_CIRCLE, {"Is there a dog in the image?" + YN: "Yes"}),
        ("mme_existence", DOG_AND_CIRCLE, {"Is there a circle in this image?" + YN: "Yes"}),
        ("mme_count", THREE, {"Are there two dogs in this image?" + YN: "Yes"}),
        (
            "mme_position",
            DOG_AND_CIRCLE,
            {
                "Is the dog on the left side of the circle?" + YN: "Yes",
                "Is the dog on the right side of the circle?" + YN: "No",
            },
        ),
        (
            "mme_color",
            DOG_AND_CIRCLE,
            {
                "Is there a red circle in this image?" + YN: "Yes",
                "Is there a blue circle in this image?" + YN: "No",
            },
        ),
        ("mme_posters", STOP, {"Is the sign in this image red?" + YN: "Yes"}),
        ("mme_ocr", STOP, {'Is the word in the image "STOP"?' + YN: "Yes"}),
        ("mme_scene", THREE, {"Is this photo taken on the grass?" + YN: "Yes"}),
        ("mme_artwork", FORM, {"Does this image show a form?" + YN: "Yes"}),
        ("mme_commonsense", THREE, {"Is there something to eat in this image?" + YN: "No"}),
        (
            "mme_calculation",
            SUM,
            {
                "Is the answer to the sum in the image 17?" + YN: "Yes",
                "Is the answer to the sum in the image 7?" + YN: "No",
            },
        ),
        ("gqa_choose_color", DOG_AND_CIRCLE, {"Is the circle red or blue?": "red"}),
        (
            "gqa_choose_side",
            DOG_AND_CIRCLE,
            {"Is the circle on the left or on the right?": "right"},
        ),
        (
            "gqa_choose_relation",
            DOG_AND_CIRCLE,
            {"Is the dog left or right of the circle?": "left"},
        ),
        ("gqa_choose_kind", DOG_AND_CIRCLE, {"Is the animal a dog or a lion?": "dog"}),
        ("gqa_choose_light", THREE, {"Is it day or night?": "day"}),
        ("gqa_compare_size", DOG_AND_CIRCLE, {"Is the circle bigger than the dog?": "no"}),
        (
            "gqa_compare_which",
            DOG_AND_CIRCLE,
            {
                "Which is smaller, the dog or the circle?": "circle",
                "Which is bigger, the dog or the circle?": "dog",
            },
        ),
        (
            "gqa_compare_number",
            THREE,
            {
                "Are there more dogs than cats?": "yes",
                "Are there more stars than dogs?": "no",
            },
        ),
        ("gqa_logical_and", DOG_AND_CIRCLE, {"Is there a dog and a circle?": "yes"}),
        ("gqa_query_color", THREE, {"What color is the star?": "blue"}),
        ("gqa_query_shape", THREE, {"What shape is blue?": "star"}),
        (
            "gqa_query_relation",
            DOG_AND_CIRCLE,
            {
                "What is to the left of the circle?": "dog",
                "What is to the right of the dog?": "circle",
            },
        ),
        (
            "gqa_query_quarter",
            THREE,
            {"What is in the top right?": "cat", "What is in the bottom right?": "star"},
        ),
        ("gqa_query_place", THREE, {"What place is this?": "grass"}),
        ("gqa_query_group", DOG_AND_CIRCLE, {"What animal is this?": "dog"}),
        ("gqa_verify_color", THREE, {"Is the star blue?": "yes", "Is the star red?": "no"}),
        ("gqa_verify_relation", DOG_AND_CIRCLE, {"Is the dog to the left of the circle?": "yes"}),
        ("gqa_verify_side", DOG_AND_CIRCLE, {"Is the dog on the right?": "no"}),
        ("gqa_verify_place", THREE, {"Was this taken on the grass?": "yes"}),
        ("gqa_verify_group", THREE, {"Is there an animal?": "yes", "Is there some food?": "no"}),
        ("ocr_recognition", STOP, {"what is written in the image?": "STOP"}),
        ("ocr_scene_vqa", STOP, {"What does the red sign say?": "STOP"}),
        (
            "ocr_doc_vqa",
            FORM,
            {
                "Which line says 43?": "TOTAL",
                "What is the value on the first line?": "SAIL",
                "What is the value on the last line?": "43",
            },
        ),
        ("seed_scene", THREE, {"Where was this photo taken?": "grass"}),
        ("seed_identity_group", DOG_AND_CIRCLE, {"Which animal is in the image?": "dog"}),
        ("seed_attributes", THREE, {"What color is the star?": "blue"}),
        ("seed_location", THREE, {"Where is the cat?": "top right"}),
        ("seed_counting", THREE, {"How many dogs are there?": "2"}),
        ("seed_relation", DOG_AND_CIRCLE, {"Where is the dog relative to the circle?": "left"}),
        ("seed_interaction", DOG_AND_CIRCLE, {"What is closest to the dog?": "circle"}),
        ("seed_reasoning", THREE, {"How many animals are there?": "3"}),
        ("seed_reasoning_use", DOG_AND_CIRCLE, {"Which thing in the image can breathe?": "dog"}),
        ("seed_text", STOP, {"What does the sign say?": "STOP"}),
        ("mmbench_identity", THREE, {"What sort of thing is in the top right?": "animal"}),
        (
            "mmbench_property",
            DOG_AND_CIRCLE,
            {"How many corners does the red shape have?": "0"},
        ),
        ("mmbench_style", THREE, {"When was this photo taken?": "day"}),
        ("mmbench_comparison", DOG_AND_CIRCLE, {"Which thing is the biggest?": "dog"}),
        ("mmbench_form", FORM, {"What does the form say for NAME?": "SAIL"}),
        (
            "mmbench_prediction",
            THREE,
            {"If one more dog comes, how many dogs are there?": "3"},
        ),
        (
            "mmbench_nature",
            scene(thing("dog", 50, 60), thing("cat", 160, 60)),
            {"Which animal is here besides the dog?": "cat"},
        ),
        (
            "mmbench_topic",
            scene(thing("dog", 50, 60), thing("cat", 160, 60)),
            {"What is this image about?": "animals"},
        ),
    ],
)
def test_a_hand_made_scene_gets_the_right_answer(
    name: str, of: Scene, expected: dict[str, str]
) -> None:
    found = every(lambda source: MAKERS[name](of, source), tries=1500)
    assert {question: found.get(question) for question in expected} == expected


def test_in_front_is_the_later_thing() -> None:
    overlapping = scene(thing("dog", 80, 80, 80), thing("cat", 130, 100, 60))
    assert named("seed_interaction_front", overlapping) == {"What is in front of the dog?": "cat"}


def test_key_information_and_formula_are_read_as_drawn() -> None:
    found = named("ocr_kie", FORM)
    assert {question.split("'")[1]: answer for question, answer in found.items()} == {
        "NAME": "SAIL",
        "TOTAL": "43",
    }
    assert set(named("ocr_hmer", SUM).values()) == {"12+5=17"}


def test_captions_vary_and_mention_only_what_is_there() -> None:
    references = ask_caption.captions(THREE)
    assert len(set(references)) == 5
    assert all(len(text.split()) <= 20 for text in references)
    absent = {*ALL_KINDS} - {"dog", "cat", "star"}
    for text in references:
        assert not absent & {*text.lower().strip(".").replace(",", "").split()}
    assert ask_caption.captions(THREE) == references


def test_the_most_frequent_caption_names_everything_from_left_to_right() -> None:
    night = scene(thing("apple", 60, 60), light="night")
    expected = {
        THREE: "Two dogs, a cat and a blue star on the grass.",
        STOP: "A dog and a red sign on the grass.",
        night: "An apple on the grass at night.",
    }
    for of, text in expected.items():
        rng = np.random.default_rng(0)
        drawn = Counter(ask_caption.one_caption(of, rng) for _ in range(400))
        assert drawn.most_common(1)[0][0] == text


# --- nothing ambiguous ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "of"),
    [
        (
            "gqa_query_color",
            scene(thing("star", 50, 50, 60, "red"), thing("star", 170, 50, 60, "blue")),
        ),
        (
            "gqa_query_shape",
            scene(thing("star", 50, 50, 60, "red"), thing("heart", 170, 50, 60, "red")),
        ),
        ("gqa_verify_relation", scene(thing("dog", 100, 100, 30), thing("cat", 125, 125, 30))),
        ("gqa_query_group", scene(thing("dog", 50, 50), thing("cat", 170, 50))),
        ("gqa_query_quarter", scene(thing("dog", 112, 50))),
        ("gqa_query_quarter", scene(thing("dog", 40, 40, 50), thing("cat", 85, 85, 50))),
        ("gqa_compare_size", scene(thing("dog", 50, 50, 60), thing("cat", 170, 50, 66))),
        ("seed_location", scene(thing("dog", 110, 50))),
        ("seed_relation", scene(thing("dog", 60, 60), thing("cat", 130, 130))),
        (
            "seed_interaction",
            scene(thing("dog", 60, 60), thing("cat", 160, 60), thing("cow", 110, 147)),
        ),
        ("ocr_recognition", TWO_SIGNS),
        ("mme_position", scene(thing("dog", 50, 50), thing("dog", 170, 50))),
    ],
)
def test_doubtful_scenes_are_not_asked_about(name: str, of: Scene) -> None:
    assert named(name, of) == {}


def test_a_horse_counts_as_something_to_ride() -> None:
    ridden = scene(thing("car", 50, 50), thing("horse", 170, 50))
    assert named("seed_reasoning_use", ridden) == {"Which thing in the image can breathe?": "horse"}


def test_a_hidden_thing_is_not_asked_about() -> None:
    hidden = scene(
        thing("dog", 100, 100, 60), thing("cow", 105, 105, 110), thing("cat", 30, 30, 50)
    )
    asked = " ".join([*named("pope", hidden), *named("gqa_logical_and", hidden)])
    assert "dog" not in asked
    assert "cow" in asked


# --- what the VLM is given ----------------------------------------------------------------------


def test_moving_the_right_option_keeps_it_right() -> None:
    made = ask_choice.MAKERS["seed_attributes"](THREE, rng())
    assert made is not None
    for letter in LETTERS:
        moved = with_letter(made, letter)
        assert moved.answer == letter
        assert said(moved) == "blue"
        assert set(moved.options) == set(made.options)


def test_prompts_are_those_of_the_default_family() -> None:
    made = ask_choice.MAKERS["seed_attributes"](THREE, rng())
    assert made is not None
    question = Question(
        id="1",
        image="1",
        text=made.question,
        answer=made.answer,
        options=tuple(zip(LETTERS, made.options, strict=False)),
    )
    assert made.prompt == prompts.multiple_choice(question, "default")
    assert GQA_SUFFIX == "\n" + prompts.SHORT_ANSWER
    assert COCO_PROMPT == coco_caption.DESCRIBE
    queried = ask_gqa.query_color(THREE, rng())
    assert queried is not None
    assert queried.prompt == f"What color is the star?\n{prompts.SHORT_ANSWER}"
    assert ask_yesno.pope_about("dog", True).prompt == "Is there a dog in the image?" + YN
    read = ask_text.recognition(STOP, rng())
    assert read is not None
    assert read.prompt == "what is written in the image?"


# --- visual tokens --------------------------------------------------------------------------


def test_token_targets_hold_for_the_tokens_that_show_it() -> None:
    of = scene(
        thing("circle", 42, 42, 28, "red"),  # box 28..56: fills token (1, 1) exactly
        texts=(line("AB", "word", (140, 196, 196, 224), "blue"),),
        layout="sign",
    )
    targets = token_targets(of).reshape(8, 8, -1)
    assert targets.shape[2] == len(TARGET_NAMES) == len(set(TARGET_NAMES))
    tokens = {
        name: [(int(r), int(c)) for r, c in np.argwhere(targets[:, :, TARGET_NAMES.index(name)])]
        for name in ("circle", "red", "A", "B", "blue", "dog")
    }
    assert tokens == {
        "circle": [(1, 1)],
        "red": [(1, 1)],
        "A": [(7, 5)],
        "B": [(7, 6)],
        "blue": [(7, 5), (7, 6)],
        "dog": [],
    }
    assert {*SHAPES, *COLOURS} <= {*TARGET_NAMES}


def test_a_small_share_of_a_token_does_not_count() -> None:
    of = scene(thing("circle", 42, 42, 36, "red"))  # reaches 4 px into its neighbours
    targets = token_targets(of).reshape(8, 8, -1)[:, :, TARGET_NAMES.index("circle")]
    assert np.argwhere(targets).tolist() == [[1, 1]]
