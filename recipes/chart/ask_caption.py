"""Captions: varied sentences about a scene, as several people would describe it.

People mention different things in a different order, with different words. So each caption is drawn
at random: the things that it mentions, their order, a synonym for some of the words, and the form
of the sentence. The most likely caption names everything from left to right.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from recipes.chart.asking import COCO_PROMPT, ChartQuestion, pick, shuffled
from recipes.chart.facts import NUMBER_WORDS, a, beside, clear, lone, over, place_phrase
from recipes.chart.reading import signs
from recipes.chart.sample import STREAMS
from recipes.chart.scene import BACKGROUNDS, Rng, Scene
from recipes.chart.vocabulary import plural

REFERENCES = 5
COMPLETE_SHARE = 0.6  # of captions that mention everything
SYNONYM_SHARE = 0.2  # of words that have a synonym
RELATION_SHARE = 0.15  # of captions that say where one thing is relative to another
_CAPTION_STREAM = 5  # of the references

SYNONYMS: dict[str, str] = {
    "airplane": "plane", "bicycle": "bike", "boat": "ship", "rabbit": "bunny", "gift": "present",
    "cup": "mug", "bread": "toast", "burger": "hamburger", "flower": "blossom", "ball": "football",
    "square": "box", "cross": "plus sign", "star": "star shape", "dog": "puppy", "cat": "kitten",
}  # fmt: skip
PLACES: dict[str, tuple[str, ...]] = {
    "sky": ("against the sky", "in the air"),
    "grass": ("on a lawn", "in a meadow"),
    "sand": ("on a beach", "in the desert"),
    "water": ("on a lake", "at sea"),
    "snow": ("on a snowy field", "in a winter landscape"),
    "street": ("on a road", "in a city"),
    "room": ("indoors", "inside a house"),
    "forest": ("in the woods", "among trees"),
}
_RELATIONS = {"left": "to the left of", "right": "to the right of", "above": "above",
              "below": "below"}  # fmt: skip
# The form of a sentence and its share. {place} begins with a space, {night} too.
FORMS: dict[str, float] = {
    "{things}{place}{night}": 0.45,
    "There {is_are} {things}{place}{night}": 0.2,
    "A picture of {things}{place}{night}": 0.12,
    "{things} can be seen{place}{night}": 0.12,
    "The image shows {things}{place}{night}": 0.11,
}


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def _noun(kind: str, number: int, rng: Rng) -> str:
    if rng.random() < SYNONYM_SHARE:
        kind = SYNONYMS.get(kind, kind)
    return kind if number == 1 else plural(kind)


def _number(number: int, rng: Rng) -> str:
    if rng.random() < SYNONYM_SHARE:
        return "a pair of" if number == 2 else "several"
    return NUMBER_WORDS[number]


def mentions(scene: Scene, rng: Rng) -> list[str]:
    """ "a dog", "two red circles", from left to right; things that look alike are counted."""
    things = sorted(clear(scene), key=lambda thing: thing.x_px)
    looks = [(f"{thing.colour} " if thing.colour else "", thing.kind) for thing in things]
    found = []
    for (colour, kind), number in Counter(looks).items():
        noun = colour + _noun(kind, number, rng)
        found.append(f"{_number(number, rng)} {noun}" if number > 1 else a(noun))
    for sign in signs(scene):
        found.append(a("sign" if rng.random() < SYNONYM_SHARE else f"{sign.plate} sign"))
    return found


def _chosen(items: list[str], rng: Rng) -> list[str]:
    """What a caption mentions of the items, in its order."""
    if len(items) > 1 and rng.random() > COMPLETE_SHARE:
        left_out = int(rng.integers(len(items)))
        items = items[:left_out] + items[left_out + 1 :]
    order = rng.random()
    if order < 0.15:
        return items[::-1]
    return shuffled(rng, items) if order < 0.3 else items


def _related(scene: Scene, rng: Rng) -> str | None:
    """ "A dog to the left of a cat", if there are two things that can be named so."""
    things = lone(scene)
    if len(things) < 2:
        return None
    one, other = shuffled(rng, things)[:2]
    relation = beside(one, other) or over(one, other)
    if relation is None:
        return None
    names = [a((f"{t.colour} " if t.colour else "") + t.kind) for t in (one, other)]
    return f"{names[0]} {_RELATIONS[relation]} {names[1]}"


def _place(scene: Scene, rng: Rng) -> str:
    draw = rng.random()
    if draw < 0.1:
        return ""
    words = PLACES[scene.background]
    return " " + (pick(rng, words) if draw < 0.35 else place_phrase(scene.background))


def _night(scene: Scene, rng: Rng) -> str:
    if scene.light != "night" or rng.random() < 0.1:
        return ""
    return " in the dark" if rng.random() < SYNONYM_SHARE else " at night"


def one_caption(scene: Scene, rng: Rng) -> str | None:
    """A random caption; None for a scene without anything to mention."""
    items = mentions(scene, rng)
    if not items or scene.background not in BACKGROUNDS:
        return None
    related = _related(scene, rng) if rng.random() < RELATION_SHARE else None
    chosen = [related] if related else _chosen(items, rng)
    several = len(chosen) == 1 and chosen[0].startswith((*NUMBER_WORDS[2:], "several"))
    form = tuple(FORMS)[int(rng.choice(len(FORMS), p=tuple(FORMS.values())))]
    text = form.format(
        things=_listed(chosen),
        is_are="are" if several else "is",
        place=_place(scene, rng),
        night=_night(scene, rng),
    )
    return f"{text[0].upper()}{text[1:]}."


def captions(scene: Scene) -> tuple[str, ...]:
    """The scene's five references, all different; none for a scene without anything to mention.

    A scene that allows fewer sentences has fewer.
    """
    rng = np.random.default_rng([STREAMS[scene.split], _CAPTION_STREAM, scene.seed])
    found: dict[str, None] = {}
    for _ in range(20 * REFERENCES):
        text = one_caption(scene, rng)
        if text is None or len(found) == REFERENCES:
            break
        found[text] = None
    return tuple(found)


def caption(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """A random caption of the scene, as one person would write it."""
    text = one_caption(scene, rng)
    if text is None:
        return None
    return ChartQuestion(
        task="COCO", category="caption", question=COCO_PROMPT, answer=text, references=(text,)
    )
