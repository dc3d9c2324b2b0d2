"""Names of what each visual token shows: the target of the auxiliary loss in training."""

from __future__ import annotations

import string
from collections import Counter

import numpy as np
import numpy.typing as npt

from recipes.chart.facts import ALL_KINDS, NUMBER_WORDS
from recipes.chart.scene import COLOURS, SIZE_PX, Scene

TOKEN_PX = 28
SIDE = SIZE_PX // TOKEN_PX  # tokens a row
MIN_SHARE = 0.35  # of a token that a thing's box must cover
SYMBOLS = string.ascii_uppercase + string.digits
HALVES = ("top", "bottom", "left", "right")
NUMBERS = NUMBER_WORDS[1:6]  # things of a kind
SIZES = ("tiny", "small", "large", "huge")
# Upper limits of the sizes but the last. Things in the ratio of `facts.BIGGER_RATIO` have different
# sizes, or nearly so: the smallest thing is 52 px.
SIZE_LIMITS_PX = (66.0, 85.0, 109.0)
TARGET_NAMES: tuple[str, ...] = (
    *ALL_KINDS, *COLOURS, *SYMBOLS, *HALVES, *NUMBERS, *SIZES,
)  # fmt: skip

_INDEX = {name: i for i, name in enumerate(TARGET_NAMES)}


def _covered_tokens(
    box: tuple[int, int, int, int], x_px: float, y_px: float
) -> npt.NDArray[np.bool_]:
    """(8, 8) bool: the tokens that a box with this centre belongs to."""
    edges = np.arange(SIDE) * TOKEN_PX
    left, top, right, bottom = box
    wide = np.clip(np.minimum(right, edges + TOKEN_PX) - np.maximum(left, edges), 0, None)
    high = np.clip(np.minimum(bottom, edges + TOKEN_PX) - np.maximum(top, edges), 0, None)
    tokens: npt.NDArray[np.bool_] = np.outer(high, wide) > MIN_SHARE * TOKEN_PX * TOKEN_PX
    tokens[_token(y_px), _token(x_px)] = True
    return tokens


def _token(at_px: float) -> int:
    return min(SIDE - 1, max(0, int(at_px // TOKEN_PX)))


def _size(size_px: float) -> str:
    return SIZES[sum(size_px >= limit for limit in SIZE_LIMITS_PX)]


def right_letters(scene: Scene) -> npt.NDArray[np.bool_]:
    """(64, len(SYMBOLS)): the letters whose centre is in the right half of a token.

    On forms a token shows two letters. `token_targets` does not say which of them is first.
    """
    targets = np.zeros((SIDE, SIDE, len(SYMBOLS)), dtype=np.bool_)
    for text in scene.texts:
        for letter, (left, top, right, bottom) in text.letter_boxes_px:
            x_px = (left + right) / 2
            if letter in SYMBOLS and x_px % TOKEN_PX >= TOKEN_PX / 2:
                targets[_token((top + bottom) / 2), _token(x_px), SYMBOLS.index(letter)] = True
    return targets.reshape(SIDE * SIDE, len(SYMBOLS))


def token_targets(scene: Scene) -> npt.NDArray[np.bool_]:
    """(64, len(TARGET_NAMES)): which names hold for which token, tokens row by row.

    A thing, its colour and a sign's colour belong to every token that they fill and to the token of
    their centre; a letter only to the token of its centre. A thing's tokens also have its size and
    the number of things of its kind, because a language model that averages over visual tokens can
    hardly count them or measure their area. Every token also has the names of its
    halves of the image, because the vision tower encodes relative positions only and learns
    absolute positions from this target.
    """
    targets = np.zeros((SIDE, SIDE, len(TARGET_NAMES)), dtype=np.bool_)
    half = SIDE // 2
    targets[:half, :, _INDEX["top"]] = targets[half:, :, _INDEX["bottom"]] = True
    targets[:, :half, _INDEX["left"]] = targets[:, half:, _INDEX["right"]] = True
    number = Counter(thing.kind for thing in scene.things)
    for thing in scene.things:
        tokens = _covered_tokens(thing.box_px, thing.x_px, thing.y_px)
        targets[tokens, _INDEX[thing.kind]] = True
        targets[tokens, _INDEX[NUMBERS[min(number[thing.kind], len(NUMBERS)) - 1]]] = True
        targets[tokens, _INDEX[_size(thing.size_px)]] = True
        if thing.colour is not None:
            targets[tokens, _INDEX[thing.colour]] = True
    for text in scene.texts:
        if text.plate is not None:
            left, top, right, bottom = text.box_px
            tokens = _covered_tokens(text.box_px, (left + right) / 2, (top + bottom) / 2)
            targets[tokens, _INDEX[text.plate]] = True
        for letter, (left, top, right, bottom) in text.letter_boxes_px:
            if letter in _INDEX:
                row, column = _token((top + bottom) / 2), _token((left + right) / 2)
                targets[row, column, _INDEX[letter]] = True
    return targets.reshape(SIDE * SIDE, len(TARGET_NAMES))
