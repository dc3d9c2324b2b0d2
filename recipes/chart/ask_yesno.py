"""Questions answered by yes or no: POPE, and MME's perception and cognition categories.

Of MME's fourteen categories, celebrity, landmark, code_reasoning and text_translation are left
out, because no image of this chart fits them. Posters asks about the colour of signs, artwork
whether the image shows a form or a formula.
"""

from __future__ import annotations

from recipes.chart.asking import YES_NO_SUFFIX, ChartQuestion, TaskName, pick, yes_no
from recipes.chart.balance import (
    absent_kinds,
    group_to_ask,
    number_to_ask,
    other_colours,
    other_number,
    other_places,
    other_writings,
    shares,
)
from recipes.chart.facts import (
    NUMBER_WORDS,
    a,
    beside,
    clear,
    counts,
    lone,
    over,
    pairs,
    place_phrase,
)
from recipes.chart.reading import only_formula, only_sign, result
from recipes.chart.scene import BACKGROUNDS, Rng, Scene
from recipes.chart.vocabulary import PLATES, plural

RELATIONS = {
    "left": "on the left side of",
    "right": "on the right side of",
    "above": "above",
    "below": "below",
}
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
PAPERS = ("form", "formula")
USES = {
    "food": "something to eat",
    "animal": "something that is alive",
    "vehicle": "something to travel in",
    "shape": "something that is only a shape",
}


def _ask(
    task: TaskName, category: str, question: str, want: bool, shown: str = ""
) -> ChartQuestion:
    return ChartQuestion(
        task=task,
        category=category,
        question=question + YES_NO_SUFFIX,
        answer=yes_no(want),
        shown=shown,
    )


def _kind_to_ask(scene: Scene, rng: Rng, want: bool) -> str | None:
    present = sorted({thing.kind for thing in clear(scene)})
    if not present:
        return None
    return pick(rng, present) if want else absent_kinds(scene, rng)[0]


def pope_about(kind: str, answer: bool, category: str = "random") -> ChartQuestion:
    """POPE's question about one kind; the category names the split(s) it belongs to."""
    shown = kind if answer else ""
    return _ask("POPE", category, f"Is there {a(kind)} in the image?", answer, shown)


def pope(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is there a dog in the image?"""
    kind = _kind_to_ask(scene, rng, want)
    return None if kind is None else pope_about(kind, want)


def mme_existence(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is there a dog in this image?"""
    kind = _kind_to_ask(scene, rng, want)
    if kind is None:
        return None
    shown = kind if want else ""
    return _ask("MME", "existence", f"Is there {a(kind)} in this image?", want, shown)


def mme_count(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Are there three dogs in this image?"""
    found = number_to_ask(rng, counts(scene), shares().numbers)
    if found is None:
        return None
    kind, number = found
    return count_about(kind, number, number if want else other_number(number, rng))


def count_about(kind: str, number: int, said: int) -> ChartQuestion:
    """MME's question whether there are `said` things of a kind of which there are `number`."""
    noun = kind if said == 1 else plural(kind)
    text = f"Is there only one {noun}" if said == 1 else f"Are there {NUMBER_WORDS[said]} {noun}"
    question = f"{text} in this image?"
    return _ask("MME", "count", question, said == number, NUMBER_WORDS[number])


def mme_position(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is the dog on the left side of the cat?"""
    found = [
        (one, other, relation)
        for one, other in pairs(lone(scene))
        for relation in (beside(one, other), over(one, other))
        if relation is not None
    ]
    if not found:
        return None
    one, other, relation = pick(rng, found)
    said = RELATIONS[relation if want else OPPOSITE[relation]]
    return _ask("MME", "position", f"Is the {one.kind} {said} the {other.kind}?", want, relation)


def mme_color(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is there a red circle in this image?"""
    shapes = [thing for thing in clear(scene) if thing.colour is not None]
    if not shapes:
        return None
    shape = pick(rng, shapes)
    taken = {thing.colour for thing in scene.things if thing.kind == shape.kind}
    colour = shape.colour if want else other_colours(taken, rng)[0]
    assert colour is not None
    asked = f"{colour} {shape.kind}"
    shown = asked if want else ""
    return _ask("MME", "color", f"Is there {a(asked)} in this image?", want, shown)


def mme_posters(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is the sign in this image red?"""
    sign = only_sign(scene)
    if sign is None or sign.plate is None:
        return None
    colour = sign.plate
    others = [plate for plate in PLATES if plate != colour]
    said = colour if want else pick(rng, others)
    return _ask("MME", "posters", f"Is the sign in this image {said}?", want, colour)


def mme_scene(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is this photo taken in a forest?"""
    if scene.background not in BACKGROUNDS:
        return None
    said = scene.background if want else other_places(scene.background, rng)[0]
    question = f"Is this photo taken {place_phrase(said)}?"
    return _ask("MME", "scene", question, want, scene.background)


def mme_artwork(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Does this image show a form? Asked of the two kinds of paper only, for balance."""
    if scene.layout not in PAPERS:
        return None
    said = scene.layout if want else PAPERS[1 - PAPERS.index(scene.layout)]
    return _ask("MME", "artwork", f"Does this image show {a(said)}?", want, scene.layout)


def mme_ocr(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is the word in the image "STOP"?"""
    sign = only_sign(scene)
    if sign is None:
        return None
    others = other_writings(sign.text, rng, scene.split)
    if not others:
        return None
    noun = "number" if sign.text.isdigit() else "word"
    said = sign.text if want else others[0]
    return _ask("MME", "OCR", f'Is the {noun} in the image "{said}"?', want, sign.text)


def mme_commonsense(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is there something to eat in this image?"""
    group = group_to_ask(scene, rng, want)
    if group is None:
        return None
    question = f"Is there {USES[group]} in this image?"
    shown = next((thing.kind for thing in clear(scene) if thing.group == group), "")
    return _ask("MME", "commonsense_reasoning", question, want, shown if want else "")


def mme_calculation(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is the answer to the sum in the image 17?"""
    formula = only_formula(scene)
    value = result(formula.text) if formula else None
    if value is None:
        return None
    near = [value + step for step in (-10, -2, -1, 1, 2, 10) if value + step >= 0]
    said = value if want else pick(rng, near)
    question = f"Is the answer to the sum in the image {said}?"
    return _ask("MME", "numerical_calculation", question, want, str(value))
