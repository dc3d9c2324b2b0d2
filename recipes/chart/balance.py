"""How often things occur, so that no answer can be guessed from the question.

A VLM without access to the image must score at chance. Two measures ensure it. Both use frequencies
that were counted once over training scenes:

- Each wrong answer is drawn as often as it is right in other questions. So "is there a dog?" has
  Yes and No equally often, and so has every other kind, although some kinds occur in more images.
- If the right answers are not equally frequent (most kinds occur once in an image), most questions
  with a frequent answer are left out: `keep`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from recipes.chart.facts import (
    ALL_KINDS,
    NAMED_GROUPS,
    absent,
    alone_in_quarter,
    clear,
    counts,
    group_counts,
    groups_missing,
    groups_there,
    topic_of,
)
from recipes.chart.sample import sample_scene
from recipes.chart.scene import BACKGROUNDS, COLOURS, Rng, Scene, Split
from recipes.chart.vocabulary import group_of

COUNTED_SCENES = 2000
MAX_NUMBER = 4  # larger numbers are so rare that the question alone would suggest the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Relative frequencies over training scenes; every one of them is above zero.

    kinds, backgrounds, colours: as right answers; the weights of wrong answers follow from them.
    there, missing: share of scenes with a named group, and without it.
    sorts: shares of groups among things that are alone in a quarter. topics: shares of groups
    among scenes with one group only.
    numbers: of kinds, and of groups.
    """

    absent_kinds: Mapping[str, float]
    other_backgrounds: Mapping[str, float]
    other_colours: Mapping[str, float]
    there: Mapping[str, float]
    missing: Mapping[str, float]
    sorts: Mapping[str, float]
    topics: Mapping[str, float]
    numbers: Mapping[int, float]
    group_numbers: Mapping[int, float]


class _NameShares:
    """Shares of names over scenes. Each scene counts 1, divided equally among its names."""

    def __init__(self, names: Iterable[str]) -> None:
        self.asked = dict.fromkeys(names, 1e-3)
        self.there = Counter[str]()
        self.scenes = 0

    def add(self, names: Iterable[str]) -> None:
        found = sorted({*names} & {*self.asked})
        self.scenes += 1
        self.there.update(found)
        for name in found:
            self.asked[name] += 1 / len(found)

    def shares(self) -> dict[str, float]:
        total = sum(self.asked.values())
        return {name: share / total for name, share in self.asked.items()}

    def wrong_weights(self) -> dict[str, float]:
        """Weights with which a name is drawn as a wrong answer as often as it is the right one."""
        absent_share = {n: 1 - self.there[n] / max(1, self.scenes) for n in self.asked}
        return {n: share / max(0.05, absent_share[n]) for n, share in self.shares().items()}


@lru_cache(maxsize=4)
def first_scenes(split: Split, edition: int = 0) -> tuple[Scene, ...]:
    """The first scenes of an edition: `COUNTED_SCENES` consecutive seeds."""
    start = edition * COUNTED_SCENES
    return tuple(sample_scene(split, seed) for seed in range(start, start + COUNTED_SCENES))


@lru_cache(maxsize=1)
def shares() -> Shares:
    """The shares, counted over the first training scenes."""
    kinds, places, colours = _NameShares(ALL_KINDS), _NameShares(BACKGROUNDS), _NameShares(COLOURS)
    there, missing = _NameShares(NAMED_GROUPS), _NameShares(NAMED_GROUPS)
    sorts, topics = _NameShares(NAMED_GROUPS), _NameShares(NAMED_GROUPS)
    digits = [str(n) for n in range(1, MAX_NUMBER + 1)]
    numbers, group_numbers = _NameShares(digits), _NameShares(digits)
    for scene in first_scenes("train"):
        places.add([scene.background])
        if not clear(scene):
            continue
        kinds.add(thing.kind for thing in clear(scene))
        colours.add(thing.colour for thing in clear(scene) if thing.colour)
        there.add(groups_there(scene))
        missing.add(groups_missing(scene))
        sorts.add(thing.group for thing in alone_in_quarter(scene).values())
        topics.add([topic_of(scene) or ""])
        numbers.add(str(n) for n in counts(scene).values())
        group_numbers.add(str(n) for g, n in group_counts(scene).items() if g in NAMED_GROUPS)
    return Shares(
        absent_kinds=kinds.wrong_weights(),
        other_backgrounds=places.wrong_weights(),
        other_colours=colours.wrong_weights(),
        there={name: there.there[name] / there.scenes for name in NAMED_GROUPS},
        missing={name: missing.there[name] / missing.scenes for name in NAMED_GROUPS},
        sorts=sorts.shares(),
        topics=topics.shares(),
        numbers={int(name): share for name, share in numbers.shares().items()},
        group_numbers={int(name): share for name, share in group_numbers.shares().items()},
    )


def keep(rng: Rng, share: float, wanted: float) -> bool:
    """Whether to ask a question whose answer has this share; lowers the share to `wanted`."""
    return bool(rng.random() * share < wanted)


def weighted(rng: Rng, weights: Mapping[str, float], among: Sequence[str], count: int) -> list[str]:
    """Up to `count` different items, drawn by weight without replacement."""
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
    """Absent kinds, each drawn as often as it is asked about in scenes that contain it."""
    pool = [kind for kind in absent(scene) if group is None or group_of(kind) == group]
    return weighted(rng, shares().absent_kinds, pool, count)


def other_places(place: str, rng: Rng, count: int = 1) -> list[str]:
    """Wrong backgrounds."""
    pool = [name for name in BACKGROUNDS if name != place]
    return weighted(rng, shares().other_backgrounds, pool, count)


def other_colours(taken: Iterable[str | None], rng: Rng, count: int = 1) -> list[str]:
    """Colours that are not among `taken`."""
    avoid = {*taken}
    pool = [name for name in COLOURS if name not in avoid]
    return weighted(rng, shares().other_colours, pool, count)


def group_to_ask(scene: Scene, rng: Rng, want: bool) -> str | None:
    """A named group that is in the scene (`want`) or is not. For each group both answers are
    equally frequent."""
    if not clear(scene):
        return None
    group = NAMED_GROUPS[int(rng.integers(len(NAMED_GROUPS)))]
    there, missing = shares().there[group], shares().missing[group]
    if group not in (groups_there(scene) if want else groups_missing(scene)):
        return None
    share, other = (there, missing) if want else (missing, there)
    return group if keep(rng, share, other) else None


def number_to_ask(
    rng: Rng, by_name: Mapping[str, int], number_shares: Mapping[int, float]
) -> tuple[str, int] | None:
    """A (name, number) with 1, 2 and 3 equally likely overall, or None to ask nothing."""
    numbers = sorted({n for n in by_name.values() if n <= MAX_NUMBER})
    if not numbers:
        return None
    number = numbers[int(rng.integers(len(numbers)))]
    if not keep(rng, number_shares[number], number_shares[3]):
        return None
    names = [name for name, n in by_name.items() if n == number]
    return names[int(rng.integers(len(names)))], number


def other_number(number: int, rng: Rng) -> int:
    """A wrong number, drawn as often as it is right in other questions."""
    usual = shares().numbers
    weights = {str(n): min(share, usual[3]) for n, share in usual.items()}
    return int(weighted(rng, weights, [n for n in weights if int(n) != number], 1)[0])


@lru_cache(maxsize=2)
def writings(split: Split) -> Mapping[tuple[bool, int], Sequence[str]]:
    """Texts of the split's signs by (is a number, length), from which wrong answers are drawn."""
    found: dict[tuple[bool, int], list[str]] = {}
    for scene in first_scenes(split):
        for text in scene.texts:
            if text.plate is not None:
                found.setdefault((text.text.isdigit(), len(text.text)), []).append(text.text)
    return found


def other_writings(text: str, rng: Rng, split: Split, count: int = 1) -> list[str]:
    """Up to `count` wrong answers for `text`: words or numbers of other signs, equally long."""
    same = sorted({*writings(split).get((text.isdigit(), len(text)), ())} - {text})
    return [same[int(i)] for i in rng.permutation(len(same))[:count]]
