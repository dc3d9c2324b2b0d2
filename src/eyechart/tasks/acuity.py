"""The acuity chart: the smallest letters and Landolt rings that a VLM reads.

    size, contrast -> a row of letters, or a ring -> codec -> VLM -> share read at each size
                   -> psychometric function -> smallest size that is read, in pixels

Each image is one row of three letters, or one ring, in the middle of a white square. The images are
drawn from their geometry, so that no data set and no font is needed. A guess is right with a
probability of 1/10 for a letter and 1/4 for a ring.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from eyechart.core.errors import ImageError, InputError
from eyechart.core.hooks import SizeThreshold
from eyechart.core.types import Floats, ImageSums, Json, Question, Rgb8, Score
from eyechart.tasks.optotypes import DIRECTIONS, LETTERS, letter, ring, row_image
from eyechart.tasks.psychometric import fit_threshold

SIDE_PX = 224
SIZES_PX = (6, 8, 10, 13, 16, 20, 26, 33, 42)
CONTRASTS = (1.0, 0.25)
_IN_ROW = 3
# Each row is shifted, so that codecs meet the signs at other places of their blocks.
_DOWN_PX, _RIGHT_PX, _BLOCK_PX = 3, 5, 8
_SEED = 20_010
_KINDS = ("letters", "ring")
ASK = {
    "letters": "Read the letters in the image from left to right. Answer with the letters only.",
    "ring": "Where is the gap of the ring? Answer with one word: right, up, left or down.",
}
GUESS = {"letters": 1 / len(LETTERS), "ring": 1 / len(DIRECTIONS)}
_WORDS = {"top": "up", "upper": "up", "above": "up", "bottom": "down", "lower": "down"}
_WORD = re.compile(r"[A-Za-z0-9]+")


class Acuity:
    """The acuity chart.

    rows: of each kind, size and contrast. contrasts: those of `CONTRASTS` to ask; a part of the
    chart has the images that the whole chart has of it.

    The headline is the mean share read in percent. The other metrics are thresholds: the height of
    the smallest signs that are read, in pixels, and its 95 % interval; 0 for an open end, or if it
    is outside the sizes of the chart.
    """

    name = "Acuity"
    version = "1"
    headline_metric = "Read, %"
    run_options: ClassVar[tuple[()]] = ()

    def __init__(self, *, rows: int = 6, contrasts: Sequence[float] = CONTRASTS) -> None:
        if type(rows) is not int or not 1 <= rows <= 100:
            raise InputError(f"Acuity: rows {rows!r}; allowed are whole numbers from 1 to 100")
        if (
            not isinstance(contrasts, list | tuple)
            or not contrasts
            or not all(one in CONTRASTS for one in contrasts)
        ):
            listed = ", ".join(f"{contrast:g}" for contrast in CONTRASTS)
            raise InputError(f"Acuity: contrasts {contrasts!r}; allowed are lists of {listed}")
        self.rows = rows
        self.contrasts = tuple(one for one in CONTRASTS if one in contrasts)

    @property
    def options(self) -> Mapping[str, Json]:
        whole = self.contrasts == CONTRASTS
        return {"rows": self.rows, **({} if whole else {"contrasts": list(self.contrasts)})}

    def questions(self) -> tuple[Question, ...]:
        """One question for each image, all sizes of a row before the next row."""
        return self._questions

    def image(self, key: str) -> Rgb8:
        """Draw an image. Raises ImageError for a key of another task."""
        try:
            kind, size, contrast, row, signs = key.split("-")
            drawn = (
                [letter(sign, int(size)) for sign in signs]
                if kind == "letters"
                else [ring(signs, int(size))]
            )
            return row_image(
                drawn,
                height_px=SIDE_PX,
                width_px=SIDE_PX,
                contrast=float(contrast),
                shift_px=row_shift_px(int(row)),
            )
        except (ValueError, KeyError, IndexError) as error:
            raise ImageError(f"Acuity: no image {key!r}") from error

    @property
    def sample_images(self) -> tuple[str, ...]:
        """See `core.hooks.DrawsSample`: the first letters of the highest contrast, by size."""
        found = {
            int(question.image.split("-")[1]): question.image
            for question in reversed(self._questions)
            if (question.category, question.l2_category) == (_KINDS[0], f"{self.contrasts[0]:g}")
        }
        return tuple(found[size] for size in sorted(found, reverse=True))

    @property
    def sample_text(self) -> str:
        """See `core.hooks.DrawsSample`."""
        return f"Rows of three letters, {max(SIZES_PX)} to {min(SIZES_PX)} pixels high"

    @property
    def thresholds(self) -> tuple[SizeThreshold, ...]:
        """See `core.hooks.HasThresholds`: of letters at full contrast, then the others."""
        return tuple(
            SizeThreshold(
                metric=f"{kind} {contrast:g}, px",
                low=f"{kind} {contrast:g}, px, from",
                high=f"{kind} {contrast:g}, px, to",
                signs=kind,
                condition=f"contrast {contrast:g}",
                smallest=min(SIZES_PX),
                largest=max(SIZES_PX),
            )
            for kind in _KINDS
            for contrast in self.contrasts
        )

    def draw_sample(self, images: Sequence[Rgb8]) -> Rgb8:
        """See `core.hooks.DrawsSample`: the rows below each other, as on an eye chart."""
        middle = SIDE_PX // 2
        bands = []
        for size, image in zip(sorted(SIZES_PX, reverse=True), images, strict=True):
            half = size // 2 + _BLOCK_PX
            bands.append(image[middle - half : middle + half])
        return np.concatenate(bands)

    def prompt(self, question: Question, vlm_family: str) -> str:
        return question.text

    def max_new_tokens(self, question: Question) -> int:
        return 24

    def chance(self, question: Question) -> float:
        """See `core.hooks.HasChance`."""
        return GUESS[question.category]

    def score(self, question: Question, answer: str) -> Score:
        """The share of the row's signs that are read."""
        letters = question.category == "letters"
        read = _letters_in(answer) if letters else _direction_in(answer)
        meant = question.answer if letters else [question.answer]
        value = sum(a == b for a, b in zip(read, meant, strict=False)) / len(meant)
        return Score(
            question_id=question.id,
            value=value,
            parsed_answer="".join(read),
            parsed=bool(read),
        )

    def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
        """The share read, and the threshold of each kind and contrast with its interval."""
        values = {score.question_id: score.value for score in scores}
        mean = 100 * sum(values.values()) / len(values) if values else 0.0
        found = {self.headline_metric: mean}
        conditions = [(kind, contrast) for kind in _KINDS for contrast in self.contrasts]
        for (kind, contrast), names in zip(conditions, self.thresholds, strict=True):
            sizes = self._threshold(values, kind, contrast)
            for name, size in zip((names.metric, names.low, names.high), sizes, strict=True):
                found[name] = size or 0.0
        return found

    def image_sums(self, scores: Sequence[Score]) -> ImageSums:
        image = {question.id: question.image for question in self._questions}
        return ImageSums(
            images=tuple(image[score.question_id] for score in scores),
            sums=np.array([[score.value, 1.0] for score in scores]).reshape(-1, 2),
        )

    def headline(self, sums: Floats) -> Floats:
        asked = np.where(sums[..., 1] > 0, sums[..., 1], 1)
        return np.asarray(100 * sums[..., 0] / asked)

    def _threshold(
        self, values: Mapping[str, float], kind: str, contrast: float
    ) -> tuple[float | None, float | None, float | None]:
        """Size, low and high end of one kind and contrast; None without an answer."""
        signs = _IN_ROW if kind == "letters" else 1
        right = dict.fromkeys(SIZES_PX, 0.0)
        asked = dict.fromkeys(SIZES_PX, 0)
        for question in self._questions:
            if (question.category, question.l2_category) == (kind, f"{contrast:g}"):
                size = int(question.image.split("-")[1])
                if question.id in values:
                    right[size] += values[question.id] * signs
                    asked[size] += signs
        sizes = [size for size in SIZES_PX if asked[size]]
        if not sizes:
            return None, None, None
        found = fit_threshold(
            sizes,
            [right[size] for size in sizes],
            [asked[size] for size in sizes],
            guess=GUESS[kind],
        )
        return found.size, found.low, found.high

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        return tuple(self._made())

    def _made(self) -> Iterator[Question]:
        random = np.random.default_rng(_SEED)
        number = 0
        for row in range(self.rows):
            for kind in _KINDS:
                for contrast in CONTRASTS:
                    for size in SIZES_PX:
                        number += 1
                        signs = _signs(kind, random)
                        if contrast not in self.contrasts:
                            continue
                        yield Question(
                            id=str(number),
                            image=f"{kind}-{size}-{contrast:g}-{row}-{signs}",
                            text=ASK[kind],
                            answer=signs,
                            category=kind,
                            l2_category=f"{contrast:g}",
                            group=str(number),
                        )


def row_shift_px(row: int) -> tuple[int, int]:
    """How far a row is shifted down and to the right, in pixels. Repeats every 8 rows."""
    return _DOWN_PX * row % _BLOCK_PX, _RIGHT_PX * row % _BLOCK_PX


def _signs(kind: str, random: np.random.Generator) -> str:
    if kind == "ring":
        return str(random.choice(DIRECTIONS))
    return "".join(random.choice(list(LETTERS), size=_IN_ROW, replace=False))


def _letters_in(answer: str) -> list[str]:
    """The chart's letters that an answer names, the last row of them: `CDH`, `c d h`, `They are C,
    D and H.` Digits that look like letters count as these."""
    text = answer[:2000].upper().replace("0", "O").replace("5", "S").replace("2", "Z")
    named = [word for word in _WORD.findall(text) if all(sign in LETTERS for sign in word)]
    return list("".join(named))[-_IN_ROW:]


def _direction_in(answer: str) -> list[str]:
    """The one direction that an answer names, [] if it names none or several."""
    words = [_WORDS.get(word, word) for word in _WORD.findall(answer[:2000].lower())]
    named = {word for word in words if word in DIRECTIONS}
    return list(named) if len(named) == 1 else []
