"""Images for prompt tokens of the task Acuity: a row of letters, or a Landolt ring, on white.

They are drawn as the task draws its own (`eyechart.tasks.optotypes`), at any of its heights and
contrasts and between them. No training image is one of the task's: these are shifted by one of
eight steps, and training never uses these steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eyechart.tasks.acuity import CONTRASTS, SIZES_PX, row_shift_px
from eyechart.tasks.optotypes import DIRECTIONS, LETTERS, letter, ring, row_image
from recipes.chart.asking import pick
from recipes.chart.sample import STREAMS
from recipes.chart.scene import SIZE_PX, Rng, Scene, Text

LETTERS_ROLE, RING_ROLE = "letters", "ring"  # as the task's categories
_STREAM = 7  # other pages have other streams
_MOST_LETTERS = 3
_RING_SHARE = 0.25  # of all pages
_SINGLE_LETTER_SHARE = 0.25  # of the pages of letters
_FULL_CONTRAST_SHARE = 0.5  # of all pages; the others have any contrast of the task's range
_DOWN_PX, _RIGHT_PX = 24, 24  # the farthest shift from the middle
# The task's shifts repeat with this number of rows.
_TASK_SHIFTS = frozenset(row_shift_px(row) for row in range(8))


def sample_optotypes(seed: int) -> Scene:
    """The training page with this seed: a quarter on average show a ring, the others letters."""
    rng = np.random.default_rng([STREAMS["train"], _STREAM, seed])
    is_ring = rng.random() < _RING_SHARE
    count = 1 if is_ring or rng.random() < _SINGLE_LETTER_SHARE else _MOST_LETTERS
    if is_ring:
        signs = pick(rng, DIRECTIONS)
    else:
        signs = "".join(rng.choice(list(LETTERS), size=count, replace=False))
    height_px = round(float(np.exp(rng.uniform(*np.log([min(SIZES_PX), max(SIZES_PX)])))))
    full = rng.random() < _FULL_CONTRAST_SHARE
    contrast = 1.0 if full else float(rng.uniform(min(CONTRASTS), 1.0))
    text = _row(
        signs, RING_ROLE if is_ring else LETTERS_ROLE, height_px, _shift(rng, height_px, count)
    )
    return Scene(
        seed=seed, split="train", layout="optotypes", background="paper", light="day",
        things=(), texts=(text,), contrast=contrast,
    )  # fmt: skip


def draw_optotypes(page: Scene) -> npt.NDArray[np.uint8]:
    """The page: (224, 224, 3) uint8."""
    (row,) = page.texts
    is_ring = row.role == RING_ROLE
    count = 1 if is_ring else len(row.text)
    left, top = row.origin_px
    middle_left, middle_top = _middle(row.font_px, count)
    drawn = [ring(row.text, row.font_px)] if is_ring else [letter(s, row.font_px) for s in row.text]
    return row_image(
        drawn,
        height_px=SIZE_PX,
        width_px=SIZE_PX,
        contrast=page.contrast,
        shift_px=(top - middle_top, left - middle_left),
    )


def _middle(height_px: int, count: int) -> tuple[int, int]:
    """Left and top of a row that is not shifted, as `row_image` places it."""
    return (SIZE_PX - height_px * (2 * count - 1)) // 2, (SIZE_PX - height_px) // 2


def _shift(rng: Rng, height_px: int, count: int) -> tuple[int, int]:
    """How far a row is shifted down and to the right; none of the task's shifts."""
    spare_px = _middle(height_px, count)[0]
    right_px = min(_RIGHT_PX, spare_px)
    while True:
        shift = (
            int(rng.integers(-_DOWN_PX, _DOWN_PX + 1)),
            int(rng.integers(-right_px, right_px + 1)),
        )
        if shift not in _TASK_SHIFTS:
            return shift


def _row(signs: str, role: str, height_px: int, shift_px: tuple[int, int]) -> Text:
    """A row of letters, or a ring."""
    count = 1 if role == RING_ROLE else len(signs)
    left, top = _middle(height_px, count)
    left, top = left + shift_px[1], top + shift_px[0]
    width_px = height_px * (2 * count - 1)
    return Text(
        text=signs, role=role, ink="black", plate=None, font="", font_px=height_px,
        box_px=(left, top, left + width_px, top + height_px), letter_boxes_px=(),
        origin_px=(left, top),
    )  # fmt: skip
