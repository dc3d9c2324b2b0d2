"""Captions: one canonical sentence for each scene, and four paraphrases of it."""

from __future__ import annotations

from collections import Counter

from recipes.chart.asking import COCO_PROMPT, ChartQuestion
from recipes.chart.facts import NUMBER_WORDS, a, clear, place_phrase
from recipes.chart.reading import signs
from recipes.chart.scene import BACKGROUNDS, Rng, Scene
from recipes.chart.vocabulary import plural

CANONICAL_SHARE = 0.85  # of training captions; the others are paraphrases


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def mentions(scene: Scene) -> list[str]:
    """ "a dog", "two red circles", from left to right; things that look alike are counted."""
    things = sorted(clear(scene), key=lambda thing: thing.x_px)
    looks = [(f"{thing.colour} " if thing.colour else "", thing.kind) for thing in things]
    found = []
    for (colour, kind), number in Counter(looks).items():
        noun = colour + (kind if number == 1 else plural(kind))
        found.append(f"{NUMBER_WORDS[number]} {noun}" if number > 1 else a(noun))
    for sign in signs(scene):
        found.append(f"a {sign.plate} sign")
    return found


def captions(scene: Scene) -> tuple[str, ...]:
    """Five captions, the canonical one first; none for a scene without anything to mention."""
    items = mentions(scene)
    if not items or scene.background not in BACKGROUNDS:
        return ()
    place = place_phrase(scene.background)
    night = " at night" if scene.light == "night" else ""
    there, back = _listed(items), _listed(items[::-1])
    return (
        f"{there[0].upper()}{there[1:]} {place}{night}.",
        f"{back[0].upper()}{back[1:]} {place}{night}.",
        f"There is {there} {place}{night}.",
        f"{place[0].upper()}{place[1:]} there is {there}{night}.",
        f"A picture of {there} {place}{night}.",
    )


def caption(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """The scene's caption: mostly the canonical one, so that a small model learns one form."""
    texts = captions(scene)
    if not texts:
        return None
    at = 0 if rng.random() < CANONICAL_SHARE else int(rng.integers(1, len(texts)))
    return ChartQuestion(
        task="COCO", category="caption", question=COCO_PROMPT, answer=texts[at], references=texts
    )
