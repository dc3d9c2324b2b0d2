"""Images that are used in training only: pages of signs, pages of forms, and crowds.

Nearly half of the ordinary scenes show no letter; a page shows about fifteen. The signs of a page
differ in colour, so that a question can name one of them. Every line of a form page is asked for in
every way. A crowd shows one to four things of each of its kinds, equally often, and is asked about
numbers: in ordinary scenes most kinds occur once, so that few of them allow such a question.
"""

from __future__ import annotations

import numpy as np

from recipes.chart import ask_text
from recipes.chart.ask_choice import (
    MMBENCH,
    SEED,
    Label,
    how_many_of_group,
    how_many_of_kind,
    one_more_of_kind,
)
from recipes.chart.ask_gqa import compare_number
from recipes.chart.ask_yesno import count_about
from recipes.chart.asking import ChartQuestion, pick, shuffled
from recipes.chart.balance import MAX_NUMBER
from recipes.chart.facts import counts
from recipes.chart.reading import fields
from recipes.chart.sample import STREAMS, are_apart, draw_kind, form, place, sign
from recipes.chart.scene import BACKGROUNDS, LIGHTS, Rng, Scene, Text
from recipes.chart.vocabulary import CLUSTERS

TRIES = 120
CAPITAL_PX = (20, 28)
# Ordinary scenes have other streams.
_PAGE_STREAM, _FORM_STREAM, _CROWD_STREAM = 3, 4, 6
_MOST_THINGS = 6  # in a crowd; more do not fit
_TRIED_KINDS = 30


def sample_page(seed: int) -> Scene:
    """The training page with this seed: signs of different colours that do not overlap."""
    rng = np.random.default_rng([STREAMS["train"], _PAGE_STREAM, seed])
    texts: list[Text] = []
    for _ in range(TRIES):
        text = sign(rng, "train", CAPITAL_PX)
        if all(
            are_apart(text.box_px, other.box_px) and text.plate != other.plate for other in texts
        ):
            texts.append(text)
    background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    light = LIGHTS[int(rng.integers(len(LIGHTS)))]
    return Scene(
        seed=seed, split="train", layout="sign", background=background, light=light,
        things=(), texts=tuple(texts),
    )  # fmt: skip


def ask_page(page: Scene) -> list[ChartQuestion]:
    """What does the red sign say? Asked of every sign."""
    return [ask_text.sign_says(text) for text in page.texts]


def sample_form(seed: int) -> Scene:
    """The training form with this seed."""
    rng = np.random.default_rng([STREAMS["train"], _FORM_STREAM, seed])
    return Scene(
        seed=seed, split="train", layout="form", background="paper", light="day",
        things=(), texts=form(rng, "train"),
    )  # fmt: skip


def ask_form(scene: Scene, rng: Rng) -> list[ChartQuestion]:
    """Every question about every line of a form, in random order."""
    lines = fields(scene)
    asks = []
    for at, (label, value) in enumerate(lines):
        asks += [
            ask_text.value_of(label, value),
            ask_text.value_on_line(lines, at),
            ask_text.line_that_says(label, value),
            ask_text.read_line(lines, at),
        ]
    once = {ask.prompt: ask for ask in asks}  # two lines may have one value
    return shuffled(rng, list(once.values()))


def sample_crowd(seed: int) -> Scene:
    """The training crowd with this seed: up to six things of one to four kinds."""
    rng = np.random.default_rng([STREAMS["train"], _CROWD_STREAM, seed])
    background, light = pick(rng, BACKGROUNDS), pick(rng, LIGHTS)
    cluster = pick(rng, tuple(CLUSTERS))
    wanted: list[tuple[str, str | None]] = []
    kinds: set[str] = set()
    for _ in range(_TRIED_KINDS):
        kind, colour = draw_kind(rng, background, light, cluster)
        number = int(rng.integers(1, MAX_NUMBER + 1))
        if kind not in kinds and len(wanted) + number <= _MOST_THINGS:
            kinds.add(kind)
            wanted += [(kind, colour)] * number
    things = place(rng, shuffled(rng, wanted), [])
    return Scene(
        seed=seed, split="train", layout="scene", background=background, light=light,
        things=things, texts=(),
    )  # fmt: skip


def ask_crowd(scene: Scene, rng: Rng) -> list[ChartQuestion]:
    """Questions about the number of every kind, in random order."""
    asks: list[ChartQuestion | None] = []
    counting = Label("SEEDBench", SEED["seed_counting"][0])
    prediction = Label("MMBench", *MMBENCH["mmbench_prediction"][:2])
    for kind, number in counts(scene).items():
        if number > MAX_NUMBER:
            continue
        other = pick(rng, [n for n in range(1, MAX_NUMBER + 1) if n != number])
        asks += [
            how_many_of_kind(counting, rng, kind, number),
            one_more_of_kind(prediction, rng, kind, number),
            count_about(kind, number, number if rng.random() < 0.5 else other),
        ]
    asks += [compare_number(scene, rng, want) for want in (True, False, True, False)]
    asks += [how_many_of_group(Label("SEEDBench", SEED["seed_reasoning"][0]), scene, rng)]
    once = {ask.prompt: ask for ask in asks if ask is not None}
    return shuffled(rng, list(once.values()))
