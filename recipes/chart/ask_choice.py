"""Multiple choice: MMBench's six abilities and SEEDBench's nine dimensions.

Many questions of both tasks are the same. So each maker gets the task's label from `SEED` or
`MMBENCH`, and its wording depends on the task only where the benchmarks differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recipes.chart.asking import ChartQuestion, Maker, TaskName, choice, pick, shuffled
from recipes.chart.balance import (
    MAX_NUMBER,
    absent_kinds,
    keep,
    number_to_ask,
    other_colours,
    other_places,
    other_writings,
    shares,
)
from recipes.chart.facts import (
    ALMOST_FOOD,
    NAMED_GROUPS,
    QUARTERS,
    alone_in_quarter,
    clear,
    common_area,
    counts,
    direction,
    group_counts,
    lone,
    lone_shapes,
    nearest,
    only_of_group,
    pairs,
    quarter,
    topic_of,
)
from recipes.chart.reading import fields, only_sign
from recipes.chart.scene import BACKGROUNDS, Rng, Scene, Thing
from recipes.chart.vocabulary import plural

CORNERS = {"circle": "0", "triangle": "3", "square": "4", "cross": "12"}
USES = {"food": "be eaten", "animal": "breathe", "vehicle": "carry people"}
RIDDEN = ("horse", "elephant", "cow")  # people ride on them


@dataclass(frozen=True, slots=True)
class Label:
    """The task of a question, its category, and MMBench's L-2 ability."""

    task: TaskName
    category: str
    ability: str = ""


def _choice(
    label: Label, rng: Rng, question: str, right: str, wrong: Sequence[str], limit: int = 4
) -> ChartQuestion | None:
    return choice(
        rng,
        task=label.task,
        category=label.category,
        ability=label.ability,
        question=question,
        right=right,
        wrong=wrong,
        limit=limit,
    )


LabelledMaker = Callable[[Label, Scene, Rng], ChartQuestion | None]


def with_label(label: Label, make: LabelledMaker) -> Maker:
    """The maker with its label filled in."""

    def labelled(scene: Scene, rng: Rng) -> ChartQuestion | None:
        return make(label, scene, rng)

    return labelled


def _kinds_but(scene: Scene, rng: Rng, thing: Thing) -> list[str]:
    """Wrong kinds: up to two others of the image, then absent ones."""
    here = sorted({t.kind for t in clear(scene)} - {thing.kind})
    return [*shuffled(rng, here)[:2], *absent_kinds(scene, rng, 3)]


# --- the image as a whole -----------------------------------------------------------------


def place(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Where was this taken?"""
    if scene.background not in BACKGROUNDS:
        return None
    wrong = other_places(scene.background, rng, 3)
    return _choice(label, rng, "Where was this photo taken?", scene.background, wrong)


def light(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """When was this taken? Half of the day scenes are left out, because nights are rarer."""
    if scene.background not in BACKGROUNDS or (scene.light == "day" and rng.random() < 0.6):
        return None
    wrong = "night" if scene.light == "day" else "day"
    return _choice(label, rng, "When was this photo taken?", scene.light, [wrong])


def topic(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What is this image about? Asked where all things are of one named group."""
    group = topic_of(scene)
    if group is None or not keep(rng, shares().topics[group], min(shares().topics.values())):
        return None
    nouns = {name: name if name == "food" else plural(name) for name in NAMED_GROUPS}
    wrong = shuffled(rng, [noun for name, noun in nouns.items() if name != group])
    return _choice(label, rng, "What is this image about?", nouns[group], wrong)


# --- one thing ------------------------------------------------------------------------------


def which_kind(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Which of these is in the image?"""
    present = sorted({thing.kind for thing in clear(scene)})
    if not present:
        return None
    wrong = absent_kinds(scene, rng, 3)
    return _choice(label, rng, "Which of these is in the image?", pick(rng, present), wrong)


def which_of_group(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Which animal is in the image?"""
    found = only_of_group(scene)
    if not found:
        return None
    thing = pick(rng, found)
    wrong = absent_kinds(scene, rng, 3, group=thing.group)
    return _choice(label, rng, f"Which {thing.group} is in the image?", thing.kind, wrong)


def color(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What color is the star?"""
    shapes = lone_shapes(scene)
    if not shapes:
        return None
    shape = pick(rng, shapes)
    assert shape.colour is not None
    here = shuffled(rng, sorted({t.colour for t in scene.things if t.colour} - {shape.colour}))
    wrong = [*here[:2], *other_colours([shape.colour, *here], rng, 3)]
    return _choice(label, rng, f"What color is the {shape.kind}?", shape.colour, wrong)


def where(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Where is the dog?"""
    things = [thing for thing in lone(scene) if quarter(thing)]
    if not things:
        return None
    thing = pick(rng, things)
    return _choice(label, rng, f"Where is the {thing.kind}?", quarter(thing) or "", QUARTERS)


def sign_says(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What does the sign say?"""
    sign = only_sign(scene)
    if sign is None:
        return None
    wrong = other_writings(sign.text, rng, scene.split, 3)
    return _choice(label, rng, "What does the sign say?", sign.text, wrong)


# --- several things -------------------------------------------------------------------------


NUMBERS = tuple(str(n) for n in range(1, MAX_NUMBER + 1))


def how_many(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """How many dogs are there? The options are always the same, in random order."""
    found = number_to_ask(rng, counts(scene), shares().numbers)
    if found is None:
        return None
    return how_many_of_kind(label, rng, *found)


def how_many_of_kind(label: Label, rng: Rng, kind: str, number: int) -> ChartQuestion | None:
    """How many dogs are there? About a kind of which there are `number` things."""
    return _choice(label, rng, f"How many {plural(kind)} are there?", str(number), NUMBERS)


def how_many_of_group(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """How many animals are there? The VLM must know which things are animals."""
    doubt = any(thing.kind in ALMOST_FOOD for thing in scene.things)
    by_group = {
        group: n
        for group, n in group_counts(scene).items()
        if group in NAMED_GROUPS and not (group == "food" and doubt)
    }
    found = number_to_ask(rng, by_group, shares().group_numbers)
    if found is None:
        return None
    group, number = found
    noun = "things to eat" if group == "food" else plural(group)
    return _choice(label, rng, f"How many {noun} are there?", str(number), NUMBERS)


def one_more(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """If one more dog comes, how many dogs are there?"""
    found = number_to_ask(rng, counts(scene), shares().numbers)
    if found is None:
        return None
    return one_more_of_kind(label, rng, *found)


def one_more_of_kind(label: Label, rng: Rng, kind: str, number: int) -> ChartQuestion | None:
    """If one more dog comes, how many dogs are there? There are `number` now."""
    question = f"If one more {kind} comes, how many {plural(kind)} are there?"
    options = [str(n + 1) for n in range(1, MAX_NUMBER + 1)]
    return _choice(label, rng, question, str(number + 1), options)


def relation(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Where is the dog relative to the cat?"""
    found = [(one, other) for one, other in pairs(lone(scene)) if direction(one, other)]
    if not found:
        return None
    one, other = pick(rng, found)
    right = direction(one, other) or ""
    options = shuffled(rng, ["left", "right", "above", "below"])
    question = f"Where is the {one.kind} relative to the {other.kind}?"
    return _choice(label, rng, question, right, options)


def bigger_one(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Which is the biggest thing? Asked where one is the biggest by far."""
    things = sorted(scene.things, key=lambda thing: -thing.size_px)
    kinds = list(dict.fromkeys(thing.kind for thing in things))
    if len(kinds) < 2 or things[0] not in clear(scene):
        return None
    if things[0].size_px < 1.2 * things[1].size_px:
        return None
    wrong = [kind for kind in kinds if kind != things[0].kind][:3]
    return _choice(label, rng, "Which thing is the biggest?", things[0].kind, wrong)


def closest(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What is closest to the dog?"""
    found = [(thing, near) for thing in lone(scene) if (near := nearest(scene, thing))]
    found = [(thing, near) for thing, near in found if near.kind != thing.kind]
    if not found:
        return None
    thing, near = pick(rng, found)
    wrong = [kind for kind in _kinds_but(scene, rng, near) if kind != thing.kind]
    return _choice(label, rng, f"What is closest to the {thing.kind}?", near.kind, wrong)


def in_front(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What is in front of the dog? Asked where one thing overlaps it clearly."""
    found = []
    for i, back in enumerate(scene.things):
        hiding = [t for t in scene.things[i + 1 :] if common_area(t.box_px, back.box_px) > 0]
        if back in lone(scene) and len(hiding) == 1 and hiding[0] in clear(scene):
            left, top, right, bottom = back.box_px
            share = common_area(hiding[0].box_px, back.box_px) / ((right - left) * (bottom - top))
            if share > 0.08:
                found.append((back, hiding[0]))
    if not found:
        return None
    back, front = pick(rng, found)
    wrong = [kind for kind in _kinds_but(scene, rng, front) if kind != back.kind]
    return _choice(label, rng, f"What is in front of the {back.kind}?", front.kind, wrong)


# --- reasoning ------------------------------------------------------------------------------


def use(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Which thing here can be eaten? One option is edible and present, one is present only."""
    ridden = any(thing.kind in RIDDEN for thing in scene.things)
    found = [
        thing
        for thing in only_of_group(scene)
        if thing.group in USES and not (thing.group == "vehicle" and ridden)
    ]
    if not found:
        return None
    thing = pick(rng, found)
    here = sorted({t.kind for t in clear(scene) if t.group != thing.group})
    wrong = [*shuffled(rng, here)[:1], *absent_kinds(scene, rng, 3, group=thing.group)]
    question = f"Which thing in the image can {USES[thing.group]}?"
    return _choice(label, rng, question, thing.kind, wrong)


def sort_of(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What sort of thing is in the top left?"""
    found = [
        (name, thing)
        for name, thing in alone_in_quarter(scene).items()
        if thing.group in NAMED_GROUPS
    ]
    if not found:
        return None
    name, thing = pick(rng, found)
    if not keep(rng, shares().sorts[thing.group], min(shares().sorts.values())):
        return None
    wrong = [group for group in NAMED_GROUPS if group != thing.group]
    return _choice(label, rng, f"What sort of thing is in the {name}?", thing.group, wrong)


def corners(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """How many corners does the red shape have?"""
    colours = [thing.colour for thing in scene.things]
    found = [t for t in clear(scene) if t.kind in CORNERS and colours.count(t.colour) == 1]
    if not found:
        return None
    shape = pick(rng, found)
    question = f"How many corners does the {shape.colour} shape have?"
    return _choice(label, rng, question, CORNERS[shape.kind], list(CORNERS.values()))


def same_sort(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """Which other thing here is an animal, like the dog?"""
    found = [
        (thing, other)
        for thing, other in pairs(lone(scene))
        if thing.group == other.group in ("animal", "food", "vehicle")
        and sum(t.group == thing.group for t in scene.things) == 2
    ]
    if not found:
        return None
    thing, other = pick(rng, found)
    wrong = absent_kinds(scene, rng, 3, group=thing.group)
    question = f"Which {thing.group} is here besides the {thing.kind}?"
    return _choice(label, rng, question, other.kind, wrong)


def field_value(label: Label, scene: Scene, rng: Rng) -> ChartQuestion | None:
    """What does the form say for NAME? The other lines' values are the wrong options."""
    lines = fields(scene)
    if len(lines) < 2 or len({value for _, value in lines}) < len(lines):
        return None
    name, value = pick(rng, lines)
    wrong = [other for _, other in lines if other != value]
    wrong += [text for text in other_writings(value, rng, scene.split, 2) if text not in wrong]
    return _choice(label, rng, f"What does the form say for {name}?", value, wrong)


SEED: dict[str, tuple[str, LabelledMaker]] = {
    "seed_scene": ("Scene Understanding", place),
    "seed_identity": ("Instance Identity", which_kind),
    "seed_identity_group": ("Instance Identity", which_of_group),
    "seed_attributes": ("Instance Attributes", color),
    "seed_location": ("Instance Location", where),
    "seed_counting": ("Instances Counting", how_many),
    "seed_relation": ("Spatial Relation", relation),
    "seed_interaction": ("Instance Interaction", closest),
    "seed_interaction_front": ("Instance Interaction", in_front),
    "seed_reasoning": ("Visual Reasoning", how_many_of_group),
    "seed_reasoning_use": ("Visual Reasoning", use),
    "seed_text": ("Text Understanding", sign_says),
}

_AR, _CP = "attribute_reasoning", "coarse_perception"
_FP_C = "finegrained_perception (cross-instance)"
_FP_S = "finegrained_perception (instance-level)"
_LR, _RR = "logic_reasoning", "relation_reasoning"

MMBENCH: dict[str, tuple[str, str, LabelledMaker]] = {
    "mmbench_function": ("function_reasoning", _AR, use),
    "mmbench_identity": ("identity_reasoning", _AR, sort_of),
    "mmbench_property": ("physical_property_reasoning", _AR, corners),
    "mmbench_scene": ("image_scene", _CP, place),
    "mmbench_style": ("image_quality", _CP, light),
    "mmbench_topic": ("image_topic", _CP, topic),
    "mmbench_spatial": ("spatial_relationship", _FP_C, relation),
    "mmbench_comparison": ("attribute_comparison", _FP_C, bigger_one),
    "mmbench_attribute": ("attribute_recognition", _FP_S, color),
    "mmbench_localization": ("object_localization", _FP_S, where),
    "mmbench_ocr": ("ocr", _FP_S, sign_says),
    "mmbench_form": ("structuralized_imagetext_understanding", _LR, field_value),
    "mmbench_prediction": ("future_prediction", _LR, one_more),
    "mmbench_physical": ("physical_relation", _RR, closest),
    "mmbench_nature": ("nature_relation", _RR, same_sort),
}

MAKERS: dict[str, Maker] = {
    **{
        name: with_label(Label("SEEDBench", category), make)
        for name, (category, make) in SEED.items()
    },
    **{
        name: with_label(Label("MMBench", category, ability), make)
        for name, (category, ability, make) in MMBENCH.items()
    },
}
