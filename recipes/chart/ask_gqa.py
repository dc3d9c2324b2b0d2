"""GQA's five structural types: choose, compare, logical, query, verify. One-word answers."""

from __future__ import annotations

from recipes.chart.asking import ChartQuestion, pick, shuffled
from recipes.chart.balance import absent_kinds, group_to_ask, other_colours, other_places
from recipes.chart.facts import (
    a,
    alone_in_quarter,
    beside,
    bigger,
    clear,
    counts,
    lone,
    lone_shapes,
    only_of_group,
    over,
    pairs,
    place_phrase,
    side,
)
from recipes.chart.scene import BACKGROUNDS, LIGHTS, Rng, Scene, Thing
from recipes.chart.vocabulary import plural

RELATIONS = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


def _ask(category: str, question: str, answer: str | bool) -> ChartQuestion:
    if isinstance(answer, bool):
        answer = "yes" if answer else "no"
    return ChartQuestion(task="GQA", category=category, question=question, answer=answer)


def _related(scene: Scene) -> list[tuple[Thing, Thing, str]]:
    """(one, other, relation) for all pairs of things that are the only one of their kind, and every
    relation that is clear."""
    return [
        (one, other, relation)
        for one, other in pairs(lone(scene))
        for relation in (beside(one, other), over(one, other))
        if relation is not None
    ]


def _by_size(scene: Scene) -> list[tuple[Thing, Thing]]:
    """(bigger, smaller) for all pairs of things of unique kinds that differ clearly in size."""
    return [(one, other) for one, other in pairs(lone(scene)) if bigger(one, other)]


# --- choose ---------------------------------------------------------------------------------


def choose_color(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Is the circle red or blue?"""
    shapes = lone_shapes(scene)
    if not shapes:
        return None
    shape = pick(rng, shapes)
    assert shape.colour is not None
    one, other = shuffled(rng, [shape.colour, other_colours([shape.colour], rng)[0]])
    return _ask("choose", f"Is the {shape.kind} {one} or {other}?", shape.colour)


def choose_side(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Is the dog on the left or on the right?"""
    things = [thing for thing in lone(scene) if side(thing)]
    if not things:
        return None
    thing = pick(rng, things)
    one, other = shuffled(rng, ["left", "right"])
    question = f"Is the {thing.kind} on the {one} or on the {other}?"
    return _ask("choose", question, side(thing) or "")


def choose_relation(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Is the dog above or below the cat?"""
    found = _related(scene)
    if not found:
        return None
    one, other, relation = pick(rng, found)
    first, second = shuffled(rng, [relation, OPPOSITE[relation]])
    link = " of" if relation in ("left", "right") else ""
    question = f"Is the {one.kind} {first} or {second}{link} the {other.kind}?"
    return _ask("choose", question, relation)


def choose_kind(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Is the animal a dog or a cat?"""
    found = only_of_group(scene)
    if not found:
        return None
    thing = pick(rng, found)
    one, other = shuffled(rng, [thing.kind, absent_kinds(scene, rng, group=thing.group)[0]])
    return _ask("choose", f"Is the {thing.group} {a(one)} or {a(other)}?", thing.kind)


def choose_light(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Is it day or night? Half of the day scenes are left out, because nights are rarer."""
    if scene.background not in BACKGROUNDS or (scene.light == "day" and rng.random() < 0.6):
        return None
    one, other = shuffled(rng, LIGHTS)
    return _ask("choose", f"Is it {one} or {other}?", scene.light)


# --- compare --------------------------------------------------------------------------------


def compare_size(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is the dog bigger than the cat?"""
    found = _by_size(scene)
    if not found:
        return None
    big, small = pick(rng, found)
    one, other = (big, small) if want else (small, big)
    return _ask("compare", f"Is the {one.kind} bigger than the {other.kind}?", want)


def compare_which(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Which is bigger, the dog or the cat?"""
    found = _by_size(scene)
    if not found:
        return None
    big, small = pick(rng, found)
    word, thing = pick(rng, [("bigger", big), ("smaller", small)])
    one, other = shuffled(rng, [big.kind, small.kind])
    return _ask("compare", f"Which is {word}, the {one} or the {other}?", thing.kind)


def compare_number(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Are there more dogs than cats?"""
    by_kind = counts(scene)
    found = [(m, n) for m in by_kind for n in by_kind if by_kind[m] > by_kind[n]]
    if not found:
        return None
    more, fewer = pick(rng, found)
    one, other = (more, fewer) if want else (fewer, more)
    return _ask("compare", f"Are there more {plural(one)} than {plural(other)}?", want)


# --- logical --------------------------------------------------------------------------------


def logical_and(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is there a dog and a cat?"""
    present = sorted({thing.kind for thing in clear(scene)})
    if len(present) < 2:
        return None
    both = shuffled(rng, present)[:2]
    if not want:
        both = shuffled(rng, [both[0], absent_kinds(scene, rng)[0]])
    return _ask("logical", f"Is there {a(both[0])} and {a(both[1])}?", want)


def logical_or(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is there a dog or a cat?"""
    present = sorted({thing.kind for thing in clear(scene)})
    if not present:
        return None
    two = absent_kinds(scene, rng, 2)
    if want:
        two = shuffled(rng, [two[0], pick(rng, present)])
    return _ask("logical", f"Is there {a(two[0])} or {a(two[1])}?", want)


# --- query ----------------------------------------------------------------------------------


def query_color(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What color is the star?"""
    shapes = lone_shapes(scene)
    if not shapes:
        return None
    shape = pick(rng, shapes)
    return _ask("query", f"What color is the {shape.kind}?", shape.colour or "")


def query_shape(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What shape is red?"""
    colours = [thing.colour for thing in scene.things]
    found = [t for t in clear(scene) if t.colour is not None and colours.count(t.colour) == 1]
    if not found:
        return None
    shape = pick(rng, found)
    return _ask("query", f"What shape is {shape.colour}?", shape.kind)


def query_relation(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What is to the left of the dog? Asked where only one thing fits."""
    found = []
    for anchor in lone(scene):
        others = [thing for thing in scene.things if thing != anchor]
        for relation in RELATIONS:
            axis = "x_px" if relation in ("left", "right") else "y_px"
            sign = 1 if relation in ("right", "below") else -1
            that_way = [t for t in others if sign * (getattr(t, axis) - getattr(anchor, axis)) > 0]
            reading = beside if axis == "x_px" else over
            if len(that_way) == 1 and reading(that_way[0], anchor) == relation:
                found.append((that_way[0], relation, anchor))
    found = [(thing, r, anchor) for thing, r, anchor in found if thing in clear(scene)]
    if not found:
        return None
    thing, relation, anchor = pick(rng, found)
    return _ask("query", f"What is {RELATIONS[relation]} the {anchor.kind}?", thing.kind)


def query_quarter(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What is in the top left?"""
    found = alone_in_quarter(scene)
    if not found:
        return None
    name = pick(rng, list(found))
    return _ask("query", f"What is in the {name}?", found[name].kind)


def query_place(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What place is this?"""
    if scene.background not in BACKGROUNDS:
        return None
    return _ask("query", "What place is this?", scene.background)


def query_group(scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What animal is this? Asked where there is one animal."""
    found = only_of_group(scene)
    if not found:
        return None
    thing = pick(rng, found)
    return _ask("query", f"What {thing.group} is this?", thing.kind)


# --- verify ---------------------------------------------------------------------------------


def verify_color(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is the circle red?"""
    shapes = lone_shapes(scene)
    if not shapes:
        return None
    shape = pick(rng, shapes)
    assert shape.colour is not None
    said = shape.colour if want else other_colours([shape.colour], rng)[0]
    return _ask("verify", f"Is the {shape.kind} {said}?", want)


def verify_relation(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is the dog to the left of the cat?"""
    found = _related(scene)
    if not found:
        return None
    one, other, relation = pick(rng, found)
    said = RELATIONS[relation if want else OPPOSITE[relation]]
    return _ask("verify", f"Is the {one.kind} {said} the {other.kind}?", want)


def verify_side(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is the dog on the left?"""
    things = [thing for thing in lone(scene) if side(thing)]
    if not things:
        return None
    thing = pick(rng, things)
    right = side(thing) or ""
    said = right if want else OPPOSITE[right]
    return _ask("verify", f"Is the {thing.kind} on the {said}?", want)


def verify_place(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Was this taken in a forest?"""
    if scene.background not in BACKGROUNDS:
        return None
    said = scene.background if want else other_places(scene.background, rng)[0]
    return _ask("verify", f"Was this taken {place_phrase(said)}?", want)


def verify_group(scene: Scene, rng: Rng, want: bool) -> ChartQuestion | None:
    """Is there an animal?"""
    group = group_to_ask(scene, rng, want)
    return None if group is None else _ask("verify", f"Is there {a(group)}?", want)
