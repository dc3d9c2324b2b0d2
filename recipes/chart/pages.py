"""Pages of signs, from which the VLM learns to read.

Nearly half of the ordinary scenes show no letter; a page shows about fifteen. Pages are used in
training only. Their signs differ in colour, so that a question can name one of them.
"""

from __future__ import annotations

import numpy as np

from recipes.chart import ask_text
from recipes.chart.asking import ChartQuestion
from recipes.chart.sample import STREAMS, are_apart, sign
from recipes.chart.scene import BACKGROUNDS, LIGHTS, Scene, Text

TRIES = 120
CAPITAL_PX = (20, 28)
_PAGE_STREAM = 3  # ordinary scenes have other streams


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
