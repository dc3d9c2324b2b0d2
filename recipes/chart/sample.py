"""Draw scenes at random: a scene is a pure function of (split, seed).

Four layouts: "scene" (things over a background, a third of them with a small sign), "sign" (a big
plate), "form" (label: value lines) and "formula". Test scenes use other words and partly other
fonts, labels and arrangements than training scenes, and other random streams.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import numpy as np

from eyechart.core.types import Floats
from recipes.chart import cutouts, vocabulary, writing
from recipes.chart.scene import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZE_PX,
    Box,
    Layout,
    Rng,
    Scene,
    Split,
    Text,
    Thing,
)

T = TypeVar("T")

STREAMS: dict[Split, int] = {"train": 1, "test": 2}
LAYOUTS: dict[Layout, float] = {"scene": 0.70, "sign": 0.14, "form": 0.09, "formula": 0.07}
SIGN_SHARE = 1 / 3  # of "scene" images that also hold a small sign
NIGHT_SHARE = 0.25
SHAPE_SHARE = 0.4
REPEAT_SHARE = 0.3
MIN_VISIBLE = 0.6  # of a thing's opaque pixels
_COUNT_SHARES = (0.10, 0.24, 0.29, 0.22, 0.15)  # of 1..5 things
_SIZES_PX = {1: (80, 140), 2: (66, 116), 3: (58, 100), 4: (54, 84), 5: (52, 76)}
_MARGIN_PX = 3
_ROOM_SHARE = 0.2  # of backgrounds: rooms have two clusters, so they are more frequent
_AT_HOME = 0.55  # probability that a thing belongs to the background's cluster


def sample_scene(split: Split, seed: int) -> Scene:
    """The scene of `split` ("train" or "test") with this seed (0 or more)."""
    rng = np.random.default_rng([STREAMS[split], seed])
    layout = _pick(rng, tuple(LAYOUTS), tuple(LAYOUTS.values()))
    light = "night" if rng.random() < NIGHT_SHARE else "day"
    things: tuple[Thing, ...] = ()
    if layout in ("form", "formula"):
        background, light = "paper", "day"
        texts = form(rng, split) if layout == "form" else _formula(rng, split)
    else:
        share = (1 - _ROOM_SHARE) / (len(BACKGROUNDS) - 1)
        background = _pick(
            rng, BACKGROUNDS, tuple(_ROOM_SHARE if b == "room" else share for b in BACKGROUNDS)
        )
        count = _pick(rng, (1, 2, 3, 4, 5), _COUNT_SHARES)
        texts = ()
        if layout == "sign":
            texts = (sign(rng, split, (30, 46)),)
            count = int(rng.integers(0, 3))
        elif rng.random() < SIGN_SHARE:
            texts = (sign(rng, split, (24, 30)),)
            count = min(count, 3)
        wanted = _wanted(rng, background, light, count)
        things = place(rng, wanted, [text.box_px for text in texts])
    return Scene(
        seed=seed, split=split, layout=layout, background=background, light=light,
        things=things, texts=texts,
    )  # fmt: skip


def _pick(rng: Rng, options: tuple[T, ...], shares: tuple[float, ...] | None = None) -> T:
    if shares is None:
        return options[int(rng.integers(len(options)))]
    edges = np.cumsum(shares)
    return options[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


# --- things ---------------------------------------------------------------------------------


@cache
def _cluster_shares(cluster: str) -> tuple[float, ...]:
    """Frequencies within a cluster: each kind is a tenth rarer than the one before."""
    return tuple(0.9**rank for rank in range(len(vocabulary.CLUSTERS[cluster])))


def _wanted(rng: Rng, background: str, light: str, count: int) -> list[tuple[str, str | None]]:
    """(kind, colour) of each thing to place."""
    cluster = _pick(rng, vocabulary.HOMES[background])
    if rng.random() < 0.25:
        cluster = _pick(rng, tuple(vocabulary.CLUSTERS))
    wanted: list[tuple[str, str | None]] = []
    while len(wanted) < count:
        kind, colour = draw_kind(rng, background, light, cluster)
        if kind in {other for other, _ in wanted} and rng.random() < 0.8:
            continue  # several things of one kind are made below
        wanted.append((kind, colour))
    if count >= 2 and rng.random() < REPEAT_SHARE:
        copies = min(int(rng.integers(2, 5)), count)
        kind, colour = wanted[0]
        for i in range(1, copies):
            other = _colour(rng, background, light) if colour and rng.random() < 0.3 else colour
            wanted[i] = (kind, other)
    order = rng.permutation(len(wanted))
    return [wanted[int(i)] for i in order]


def draw_kind(rng: Rng, background: str, light: str, cluster: str) -> tuple[str, str | None]:
    """(kind, colour) of a thing that is visible on the background; shapes have a colour."""
    if rng.random() < SHAPE_SHARE:
        return _pick(rng, SHAPES), _colour(rng, background, light)
    while True:
        home = cluster
        if rng.random() >= _AT_HOME:
            names = tuple(vocabulary.CLUSTERS)
            sizes = tuple(float(len(vocabulary.CLUSTERS[name])) ** 1.3 for name in names)
            home = _pick(rng, names, sizes)
        kind = _pick(rng, vocabulary.CLUSTERS[home], _cluster_shares(home))
        if kind not in vocabulary.HIDDEN_KINDS.get(background, ()):
            return kind, None


def _colour(rng: Rng, background: str, light: str) -> str:
    hidden = vocabulary.HIDDEN_COLOURS[background]
    if light == "night":
        hidden += vocabulary.HIDDEN_AT_NIGHT
    return _pick(rng, tuple(colour for colour in COLOURS if colour not in hidden))


def place(rng: Rng, wanted: list[tuple[str, str | None]], taken: list[Box]) -> tuple[Thing, ...]:
    """Choose a position for each thing; after 60 failed tries it is left out."""
    things: list[Thing] = []
    seen: list[tuple[Floats, cutouts.Bools]] = []  # sample points, and which are visible
    low, high = _SIZES_PX[min(5, max(1, len(wanted) + len(taken)))]
    for kind, colour in wanted:
        may_overlap = rng.random() < 0.3
        for attempt in range(60):
            size = float(rng.uniform(low, high)) * (1.0 if attempt < 30 else 0.85)
            size = round(max(52.0, size), 2)
            turn = round(float(rng.normal(0, 11)), 2)
            if abs(turn) > 35:
                continue
            thing = _try_place(rng, kind, colour, size, turn)
            if thing is None or not _clear(thing, things, taken):
                continue
            hidden = [
                visible & ~cutouts.covers(kind, size, turn, (thing.x_px, thing.y_px), points)
                for points, visible in seen
            ]
            limit = 0.7 if may_overlap else 0.97
            if all(
                h.mean() >= min(limit, v.mean()) for h, (_, v) in zip(hidden, seen, strict=True)
            ):
                seen = [(points, h) for (points, _), h in zip(seen, hidden, strict=True)]
                points = cutouts.ink_points_px(kind, size, turn, (thing.x_px, thing.y_px))
                seen.append((points, np.ones(len(points), dtype=np.bool_)))
                things.append(thing)
                break
    return tuple(things)


def _try_place(rng: Rng, kind: str, colour: str | None, size: float, turn: float) -> Thing | None:
    left, top, right, bottom = cutouts.extent_px(kind, size, turn)
    x_low, x_high = _MARGIN_PX - left, SIZE_PX - _MARGIN_PX - right
    y_low, y_high = _MARGIN_PX - top, SIZE_PX - _MARGIN_PX - bottom
    if x_low > x_high or y_low > y_high:
        return None
    x = round(float(rng.uniform(x_low, x_high)), 2)
    y = round(float(rng.uniform(y_low, y_high)), 2)
    box = (int(x + left), int(y + top), int(np.ceil(x + right)), int(np.ceil(y + bottom)))
    return Thing(
        kind=kind, group=vocabulary.group_of(kind), colour=colour, x_px=x, y_px=y,
        size_px=size, rotation_deg=turn, box_px=box,
    )  # fmt: skip


def _clear(thing: Thing, things: list[Thing], taken: list[Box]) -> bool:
    """Whether centres are so far apart that "left of" is clear, and no text is covered."""
    for other in things:
        apart = np.hypot(thing.x_px - other.x_px, thing.y_px - other.y_px)
        if apart < max(46.0, 0.62 * (thing.size_px + other.size_px) / 2):
            return False
    return all(are_apart(thing.box_px, box) for box in taken)


def are_apart(one: Box, other: Box) -> bool:
    """Whether two boxes neither overlap nor touch."""
    left, top, right, bottom = one
    return (
        right <= other[0] - 2 or left >= other[2] + 2
        or bottom <= other[1] - 2 or top >= other[3] + 2
    )  # fmt: skip


# --- texts ----------------------------------------------------------------------------------


def _font(rng: Rng, split: Split) -> str:
    """A training font; in half of the test scenes a font that is not used in training."""
    if split == "test" and rng.random() < 0.5:
        return _pick(rng, vocabulary.TEST_FONTS)
    return _pick(rng, vocabulary.TRAIN_FONTS)


def _nonword(rng: Rng) -> str:
    """3 to 5 letters that are no word of the vocabulary, pronounceable or arbitrary."""
    vowels, consonants = "AEIOU", "BCDFGHJKLMNPRSTVWXYZ"
    known = {*vocabulary.TRAIN_WORDS, *vocabulary.TEST_WORDS}
    while True:
        length = int(rng.integers(3, 6))
        if rng.random() < 0.6:
            start = int(rng.integers(2))
            pools = [vowels if (i + start) % 2 else consonants for i in range(length)]
        else:
            pools = [vowels + consonants + "Q"] * length
        word = "".join(pool[int(rng.integers(len(pool)))] for pool in pools)
        if word not in known:
            return word


def _word(rng: Rng, split: Split) -> str:
    if rng.random() < (0.5 if split == "train" else 0.2):
        return _nonword(rng)
    return _pick(rng, vocabulary.TRAIN_WORDS if split == "train" else vocabulary.TEST_WORDS)


def _number(rng: Rng, digits: tuple[int, int]) -> str:
    count = int(rng.integers(digits[0], digits[1] + 1))
    return str(int(rng.integers(10 ** (count - 1), 10**count)))


def sign(rng: Rng, split: Split, capital_px: tuple[int, int]) -> Text:
    """A sign with a word or a number, completely inside the image."""
    is_number = rng.random() < 0.35
    text = _number(rng, (2, 4)) if is_number else _word(rng, split)
    plate = _pick(rng, tuple(vocabulary.PLATES))
    ink = _pick(rng, vocabulary.PLATES[plate])
    name = _font(rng, split)
    padding = int(rng.integers(7, 12))
    capital = int(rng.integers(capital_px[0], capital_px[1] + 1))
    room = SIZE_PX - 2 * _MARGIN_PX - 2 * padding
    while True:  # wide words in wide fonts get the next smaller size
        font_px = writing.font_px_for(name, capital)
        width, height = writing.size_of(text, name, font_px)
        if width <= room or capital <= capital_px[0] - 4:
            break
        capital -= 1
    high_x = SIZE_PX - _MARGIN_PX - width - 2 * padding
    high_y = SIZE_PX - _MARGIN_PX - height - 2 * padding
    at = (int(rng.integers(_MARGIN_PX, high_x + 1)), int(rng.integers(_MARGIN_PX, high_y + 1)))
    return writing.write(
        text, "number" if is_number else "word", ink=ink, name=name, font_px=font_px, at=at,
        plate=plate, padding_px=padding,
    )  # fmt: skip


def _value(rng: Rng, split: Split, kind: str) -> str:
    if kind == "date":
        return f"{int(rng.integers(1, 29))} {_pick(rng, vocabulary.MONTHS)}"
    return _word(rng, split) if kind == "word" else _number(rng, (2, 3))


def _form_lines(rng: Rng, split: Split) -> list[tuple[str, str]]:
    """Two or three (label with its colon, value)."""
    labels = vocabulary.TRAIN_LABELS | (vocabulary.TEST_LABELS if split == "test" else {})
    count = int(rng.integers(2, 4))
    chosen = [tuple(labels)[int(i)] for i in rng.permutation(len(labels))[:count]]
    return [(f"{label}:", _value(rng, split, labels[label])) for label in chosen]


def form(rng: Rng, split: Split) -> tuple[Text, ...]:
    """Two or three lines "LABEL: VALUE", as label, value, label, value ...

    Half of the test forms have the values in a separate column, which is not used in training.
    """
    in_columns = split == "test" and rng.random() < 0.5
    name = _font(rng, split)
    ink = _pick(rng, ("black", "blue"), (0.7, 0.3))
    capital = int(rng.integers(20, 25))
    total = SIZE_PX
    while total > SIZE_PX - 16:  # lines too long for the paper: a smaller font, then other lines
        capital = max(20, capital - 1)
        lines = _form_lines(rng, split)
        font_px = writing.font_px_for(name, capital)
        gap = font_px // 2
        widths = [[writing.size_of(text, name, font_px)[0] for text in line] for line in lines]
        column = max(label_px for label_px, _ in widths) + gap
        total = max((column if in_columns else a + gap) + b for a, b in widths)
    count = len(lines)
    pitch = int(rng.integers(font_px + 14, (SIZE_PX - 20) // count + 1))
    left = int(rng.integers(8, max(8, SIZE_PX - 8 - total) + 1))
    top = int(rng.integers(10, max(10, SIZE_PX - 10 - (count - 1) * pitch - font_px) + 1))
    texts = []
    for row, ((label, value), (label_px, _)) in enumerate(zip(lines, widths, strict=True)):
        y = top + row * pitch
        x = left + (column if in_columns else label_px + gap)
        for text, role, at in ((label, "label", (left, y)), (value, "value", (x, y))):
            texts.append(writing.write(text, role, ink=ink, name=name, font_px=font_px, at=at))
    return tuple(texts)


def _formula(rng: Rng, split: Split) -> tuple[Text, ...]:
    """One line with a simple formula on paper."""
    a, b = (int(v) for v in rng.integers(1, 20, 2))
    c, d = (int(v) for v in rng.integers(2, 10, 2))
    x = "xy"[int(rng.integers(2))]
    sums = (f"{a}+{b}={a + b}", f"{a + b}-{b}={a}", f"{a}+{x}={a + d}")
    terms = (f"{x}^2+{c}", f"{c}{x}-{d}", f"{c}{x}={c * d}")
    text = _pick(rng, sums + terms, (0.35, 0.25, 0.1, 0.1, 0.1, 0.1))
    name = _font(rng, split)
    capital = int(rng.integers(26, 41))
    while writing.size_of(text, name, writing.font_px_for(name, capital))[0] > SIZE_PX - 16:
        capital -= 1
    font_px = writing.font_px_for(name, capital)
    width, height = writing.size_of(text, name, font_px)
    at = (
        int(rng.integers(8, SIZE_PX - 8 - width + 1)),
        int(rng.integers(20, SIZE_PX - 20 - height + 1)),
    )
    ink = _pick(rng, ("black", "blue"), (0.7, 0.3))
    return (writing.write(text, "formula", ink=ink, name=name, font_px=font_px, at=at),)
