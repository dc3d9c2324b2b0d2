"""Statements about a scene that are clearly true.

The question makers use these functions only. Each is strict: if a thing is small, partly hidden or
near a limit, the function returns nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from recipes.chart.scene import SHAPES, SIZE_PX, Box, Scene, Thing
from recipes.chart.vocabulary import KINDS

MIN_SIDE_PX = 18  # the shorter side of what is left inside the image
MAX_COVERED = 0.4  # share of a thing's box that things in front may hide
APART_PX = 35.0  # centres this far apart are clearly left of or above one another
BIGGER_RATIO = 1.3  # longer sides in this ratio are clearly of different size
MIDDLE_PX = 14.0  # half width of the band around the middle that belongs to neither side

GROUPS: tuple[str, ...] = (*dict.fromkeys(KINDS.values()), "shape")
NAMED_GROUPS = ("animal", "food", "vehicle", "shape")  # groups with undisputed members
ALMOST_FOOD = ("fish", "mushroom", "duck", "pig", "cow")  # some people eat them
ALL_KINDS: tuple[str, ...] = (*KINDS, *SHAPES)

_PLACE = {
    "sky": "in the sky",
    "grass": "on the grass",
    "sand": "on the sand",
    "water": "on the water",
    "snow": "in the snow",
    "street": "on the street",
    "room": "in a room",
    "forest": "in a forest",
    "paper": "on paper",
}
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def a(noun: str) -> str:
    """The noun with its indefinite article."""
    if noun in ("bread", "grapes", "food"):
        return f"some {noun}"
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def place_phrase(background: str) -> str:
    """The place in a caption: "on the grass"."""
    return _PLACE[background]


def _area(box: Box) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def common_area(one: Box, other: Box) -> int:
    """Pixels that two boxes share."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return _area((left, top, right, bottom))


def covered(scene: Scene, index: int) -> float:
    """Share of thing `index` that things in front may hide: the sum of the boxes' common areas."""
    box = scene.things[index].box_px
    later = [thing.box_px for thing in scene.things[index + 1 :]]
    return sum(common_area(box, other) for other in later) / max(1, _area(box))


def is_clear(scene: Scene, index: int) -> bool:
    """Whether thing `index` is large enough, inside the image and not hidden."""
    thing = scene.things[index]
    left, top, right, bottom = thing.box_px
    inside = 0 <= thing.x_px < SIZE_PX and 0 <= thing.y_px < SIZE_PX
    large = min(right - left, bottom - top) >= MIN_SIDE_PX
    return inside and large and covered(scene, index) <= MAX_COVERED


@lru_cache(maxsize=256)
def clear(scene: Scene) -> tuple[Thing, ...]:
    """Things that are large and visible enough to ask about, in drawing order."""
    return tuple(thing for i, thing in enumerate(scene.things) if is_clear(scene, i))


@lru_cache(maxsize=256)
def all_clear(scene: Scene) -> bool:
    """Whether every thing is clear, so that statements about all of them are true."""
    return len(clear(scene)) == len(scene.things)


def lone(scene: Scene) -> list[Thing]:
    """Clear things that are the only one of their kind, so that "the dog" is unambiguous."""
    number = Counter(thing.kind for thing in scene.things)
    return [thing for thing in clear(scene) if number[thing.kind] == 1]


def lone_shapes(scene: Scene) -> list[Thing]:
    """Lone things that have a colour."""
    return [thing for thing in lone(scene) if thing.colour is not None]


def counts(scene: Scene) -> dict[str, int]:
    """Number of things of each kind, for kinds of which every thing is clear."""
    number = Counter(thing.kind for thing in scene.things)
    seen = Counter(thing.kind for thing in clear(scene))
    return {kind: n for kind, n in number.items() if seen[kind] == n}


def group_counts(scene: Scene) -> dict[str, int]:
    """Number of things of each group, for groups of which every thing is clear."""
    number = Counter(thing.group for thing in scene.things)
    seen = Counter(thing.group for thing in clear(scene))
    return {group: n for group, n in number.items() if seen[group] == n}


def groups_there(scene: Scene) -> list[str]:
    """Named groups with a clear thing in the scene, in a fixed order."""
    there = {thing.group for thing in clear(scene)}
    return [group for group in NAMED_GROUPS if group in there]


def groups_missing(scene: Scene) -> list[str]:
    """Named groups without a thing in the scene; a doubtful member counts as one."""
    there = {thing.group for thing in scene.things}
    if any(thing.kind in ALMOST_FOOD for thing in scene.things):
        there.add("food")
    return [group for group in NAMED_GROUPS if group not in there]


def only_of_group(scene: Scene) -> list[Thing]:
    """Clear things that are the only member of their named group: "the animal"."""
    groups = [thing.group for thing in scene.things]
    return [
        thing
        for thing in clear(scene)
        if thing.group in NAMED_GROUPS
        and groups.count(thing.group) == 1
        and (thing.group != "food" or all(t.kind not in ALMOST_FOOD for t in scene.things))
    ]


def topic_of(scene: Scene) -> str | None:
    """The named group to which all things belong, if there are several things and no others."""
    groups = {thing.group for thing in scene.things}
    if len(groups) != 1 or len(scene.things) < 2 or scene.texts:
        return None
    return next((group for group in groups if group in NAMED_GROUPS), None)


def absent(scene: Scene) -> list[str]:
    """Kinds that do not occur in the scene, not even hidden."""
    there = {thing.kind for thing in scene.things}
    return [kind for kind in ALL_KINDS if kind not in there]


def beside(one: Thing, other: Thing) -> str | None:
    """ "left" or "right": position of `one` relative to `other`, if it is clear."""
    dx = one.x_px - other.x_px
    return None if abs(dx) < APART_PX else ("left" if dx < 0 else "right")


def over(one: Thing, other: Thing) -> str | None:
    """ "above" or "below": position of `one` relative to `other`, if it is clear."""
    dy = one.y_px - other.y_px
    return None if abs(dy) < APART_PX else ("above" if dy < 0 else "below")


def direction(one: Thing, other: Thing) -> str | None:
    """The best fitting of left, right, above and below, if it fits much better than the others."""
    dx, dy = abs(one.x_px - other.x_px), abs(one.y_px - other.y_px)
    if dx >= 1.8 * dy:
        return beside(one, other)
    return over(one, other) if dy >= 1.8 * dx else None


def side(thing: Thing) -> str | None:
    """ "left" or "right" half of the image, if it is clear."""
    dx = thing.x_px - SIZE_PX / 2
    return None if abs(dx) < MIDDLE_PX else ("left" if dx < 0 else "right")


def height(thing: Thing) -> str | None:
    """ "top" or "bottom" half of the image, if it is clear."""
    dy = thing.y_px - SIZE_PX / 2
    return None if abs(dy) < MIDDLE_PX else ("top" if dy < 0 else "bottom")


def quarter(thing: Thing) -> str | None:
    """ "top left", "bottom right", ..., if it is clear."""
    vertical, horizontal = height(thing), side(thing)
    return f"{vertical} {horizontal}" if vertical and horizontal else None


QUARTERS = ("top left", "top right", "bottom left", "bottom right")


def alone_in_quarter(scene: Scene) -> dict[str, Thing]:
    """Quarter -> the one thing in it, if others overlap the quarter only slightly."""
    half = SIZE_PX // 2
    found: dict[str, Thing] = {}
    for name in QUARTERS:
        x, y = (0 if "left" in name else half), (0 if "top" in name else half)
        box = (x, y, x + half, y + half)
        boxes = [t.box_px for t in scene.things] + [t.box_px for t in scene.texts]
        reaching = [b for b in boxes if common_area(b, box) > 0.2 * _area(b)]
        inside = [thing for thing in clear(scene) if quarter(thing) == name]
        if len(inside) == 1 and len(reaching) == 1:
            found[name] = inside[0]
    return found


def bigger(one: Thing, other: Thing) -> bool | None:
    """Whether `one` is clearly the bigger; None if the sizes are too similar."""
    if one.size_px >= BIGGER_RATIO * other.size_px:
        return True
    return False if other.size_px >= BIGGER_RATIO * one.size_px else None


def distance_px(one: Thing, other: Thing) -> float:
    """Distance of the centres."""
    return float(((one.x_px - other.x_px) ** 2 + (one.y_px - other.y_px) ** 2) ** 0.5)


def nearest(scene: Scene, thing: Thing) -> Thing | None:
    """The clear thing whose centre is nearest, if the second nearest is much farther away."""
    others = sorted(
        (other for other in scene.things if other != thing),
        key=lambda other: distance_px(thing, other),
    )
    if not others or others[0] not in clear(scene):
        return None
    if len(others) > 1 and distance_px(thing, others[1]) < 1.4 * distance_px(thing, others[0]):
        return None
    return others[0]


def pairs(things: Sequence[Thing]) -> list[tuple[Thing, Thing]]:
    """All ordered pairs of different things."""
    return [(one, other) for one in things for other in things if one != other]
