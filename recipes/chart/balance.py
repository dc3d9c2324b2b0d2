"""How often things occur, so that no answer can be guessed from the question.

A VLM that sees nothing must score at chance. Whether "Is there a dog?" is asked where there is
one or where there is none therefore has to be a coin toss for dogs, and for every other kind,
though some kinds stand in more pictures than others. Absent kinds are drawn with weights that
make up for it; the weights are counted over training scenes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from recipes.chart.asking import Rng
from recipes.chart.facts import (
    ALL_KINDS,
    NAMED_GROUPS,
    absent,
    clear,
    counts,
    groups_missing,
    groups_there,
)
from recipes.chart.sample import sample_scene
from recipes.chart.scene import Scene, Split
from recipes.chart.vocabulary import group_of

COUNTED_SCENES = 2000
MAX_NUMBER = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Weights, not normalised, of kinds, groups and numbers in questions whose answer is no."""

    kinds: Mapping[str, float]
    groups: Mapping[str, float]
    numbers: Mapping[int, float]


def _no_weights(
    asked: Mapping[str, float], there: Mapping[str, int], scenes: int
) -> dict[str, float]:
    """Weights so that an item is absent-and-drawn as often as it is present-and-drawn."""
    weights = {}
    for name, share in asked.items():
        elsewhere = 1.0 - there[name] / max(1, scenes)
        weights[name] = share / max(elsewhere, 0.05)
    return weights


@lru_cache(maxsize=1)
def shares() -> Shares:
    """The weights, counted once over the first training scenes that show things."""
    asked_kinds: dict[str, float] = dict.fromkeys(ALL_KINDS, 1e-6)
    asked_groups: dict[str, float] = dict.fromkeys(NAMED_GROUPS, 1e-6)
    asked_numbers: dict[int, float] = dict.fromkeys(range(1, MAX_NUMBER + 1), 1e-6)
    kinds_there: Counter[str] = Counter()
    not_missing: Counter[str] = Counter()
    scenes = 0
    for seed in range(COUNTED_SCENES):
        scene = sample_scene("train", seed)
        if not clear(scene):
            continue
        scenes += 1
        kinds_there.update({thing.kind for thing in scene.things})
        not_missing.update({*NAMED_GROUPS} - {*groups_missing(scene)})
        kinds = {thing.kind for thing in clear(scene)}
        groups = groups_there(scene)
        numbers = {n for n in counts(scene).values() if n <= MAX_NUMBER}
        for kind in kinds:
            asked_kinds[kind] += 1 / len(kinds)
        for group in groups:
            asked_groups[group] += 1 / len(groups)
        for number in numbers:
            asked_numbers[number] += 1 / len(numbers)
    return Shares(
        kinds=_no_weights(asked_kinds, kinds_there, scenes),
        groups=_no_weights(asked_groups, not_missing, scenes),
        numbers=asked_numbers,
    )


def weighted(rng: Rng, weights: Mapping[str, float], among: Sequence[str], count: int) -> list[str]:
    """Up to `count` different items, drawn one after the other by their weights."""
    pool = list(among)
    chosen: list[str] = []
    while pool and len(chosen) < count:
        mark = rng.random() * sum(weights[item] for item in pool)
        at = 0
        while at < len(pool) - 1 and mark >= weights[pool[at]]:
            mark -= weights[pool[at]]
            at += 1
        chosen.append(pool.pop(at))
    return chosen


def absent_kinds(scene: Scene, rng: Rng, count: int = 1, group: str | None = None) -> list[str]:
    """Kinds that are not in the scene, as often as they are asked for where they are."""
    pool = [kind for kind in absent(scene) if group is None or group_of(kind) == group]
    return weighted(rng, shares().kinds, pool, count)


def absent_group(scene: Scene, rng: Rng) -> str | None:
    """A group that is not in the scene, as often as it is asked for where it is."""
    return next(iter(weighted(rng, shares().groups, groups_missing(scene), 1)), None)


def other_number(number: int, rng: Rng) -> int:
    """A wrong number near the right one, as often as it is the right one elsewhere."""
    near = [n for n in range(max(1, number - 2), min(MAX_NUMBER, number + 2) + 1) if n != number]
    weights = {str(n): shares().numbers[n] for n in near}
    return int(weighted(rng, weights, list(weights), 1)[0])


def number_first(rng: Rng, by_name: Mapping[str, int]) -> tuple[str, int] | None:
    """A (name, number) with all numbers equally likely, so that one is not the usual answer."""
    usable = {name: n for name, n in by_name.items() if n <= MAX_NUMBER}
    if not usable:
        return None
    numbers = sorted(set(usable.values()))
    weights = {str(n): 1.0 / shares().numbers[n] for n in numbers}
    number = int(weighted(rng, weights, list(weights), 1)[0])
    names = [name for name, n in usable.items() if n == number]
    return names[int(rng.integers(len(names)))], number


@lru_cache(maxsize=2)
def writings(split: Split) -> Mapping[tuple[bool, int], Sequence[str]]:
    """What signs of the split say, by (is a number, length): where wrong readings come from."""
    found: dict[tuple[bool, int], list[str]] = {}
    for seed in range(COUNTED_SCENES):
        for text in sample_scene(split, seed).texts:
            if text.plate is not None:
                found.setdefault((text.text.isdigit(), len(text.text)), []).append(text.text)
    return found


def other_writings(text: str, rng: Rng, split: Split, count: int = 1) -> list[str]:
    """Up to `count` wrong readings of `text`: other signs' words or numbers, equally long."""
    same = sorted({*writings(split).get((text.isdigit(), len(text)), ())} - {text})
    return [same[int(i)] for i in rng.permutation(len(same))[:count]]
