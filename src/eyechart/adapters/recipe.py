"""How an adapter is trained: every setting that changes the result, and the images of each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from eyechart.adapters.condition import SOURCE, Condition
from eyechart.adapters.injection import check_injection
from eyechart.adapters.trainable import TRAINABLE, Lora
from eyechart.core.errors import InputError
from eyechart.vlms.adapter_identity import check_conditioning

_WARMUP_STEPS = 20
ERRORS = ("squared", "log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Settings of a distillation.

    images_a_step: uncompressed images in each step and process. Each is used as `source` and in
    levels_an_image compressed forms (None: all), so that the teacher computes its features once.
    condition_rate: learning rate of the condition tables, relative to that of the encoder. AdamW
    moves every weight by about the learning rate in each step. Patch embeddings are about a hundred
    times larger than the sum of such steps, so tables need a higher rate to have an effect.
    condition_dropout: share of pairs whose condition is replaced by `unknown`, from 0 to 1.
    micro_pairs: pairs in one forward pass, in training and in validation, to bound the memory
    (None: a whole step, a whole image).
    conditioning: that of the finished adapter: labelled, unknown or estimated.
    error: squared, the paper's mean squared error, or log, the mean of log(e + 0.005) for the
    squared error e of an image over the features' variance. Errors of low rates are fifty times
    those of high rates, so that squared improves low rates at the cost of high ones; with log every
    rate counts alike.
    """

    injection: str
    steps: int
    images_a_step: int = 4
    levels_an_image: int | None = None
    learning_rate: float = 3e-4
    condition_rate: float = 30.0
    weight_decay: float = 0.01
    condition_dropout: float = 0.2
    trainable: str = "encoder"
    lora: Lora = field(default_factory=Lora)
    bf16: bool = True
    gradient_checkpointing: bool = False
    micro_pairs: int | None = None
    validation_images: int = 32
    seed: int = 0
    conditioning: str = "labelled"
    error: str = "squared"

    def __post_init__(self) -> None:
        object.__setattr__(self, "conditioning", check_conditioning(self.conditioning))
        check_injection(self.injection)
        if self.trainable not in TRAINABLE:
            raise InputError(f"trainable {self.trainable!r} is not one of {', '.join(TRAINABLE)}")
        if self.error not in ERRORS:
            raise InputError(f"error {self.error!r} is not one of {', '.join(ERRORS)}")
        counts = ("steps", "images_a_step", "levels_an_image", "micro_pairs", "validation_images")
        for name in counts:
            count = getattr(self, name)
            if count is not None and count < 1:
                raise InputError(f"{name} {count} must be at least 1")
        if not 0 <= self.condition_dropout <= 1:
            raise InputError(f"condition_dropout {self.condition_dropout} is not from 0 to 1")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate {self.learning_rate} must be above 0")

    def rate_factor(self, step: int) -> float:
        """Learning rate over its base: a short warm-up, then half a cosine down to zero."""
        warm = min(1.0, (step + 1) / _WARMUP_STEPS)
        return warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepImage:
    """One image of a step: its index, its conditions, and the table rows the student gets."""

    image: int
    entries: tuple[Condition, ...]
    given_rows: tuple[int, ...]


def plan_step(
    recipe: Recipe,
    step: int,
    images: Sequence[int],
    entries: Sequence[Condition],
    process: int = 0,
    processes: int = 1,
) -> list[StepImage]:
    """The images of a process in a step: a pure function, so that a resumed run draws the same.

    images: training images, shuffled for each epoch. entries: all conditions, `source` first.
    """
    compressed = [row for row, entry in enumerate(entries) if entry != SOURCE]
    count = len(compressed) if recipe.levels_an_image is None else recipe.levels_an_image
    wanted = recipe.images_a_step * processes
    found = []
    for place in range(process * recipe.images_a_step, (process + 1) * recipe.images_a_step):
        epoch, within = divmod(step * wanted + place, len(images))
        order = _order(recipe, epoch, len(images))
        rng = np.random.default_rng([recipe.seed, 2, step, place])
        rows = [0, *sorted(rng.permutation(compressed)[:count].tolist())]
        dropped = rng.random(len(rows)) < recipe.condition_dropout
        found.append(
            StepImage(
                image=images[order[within]],
                entries=tuple(entries[row] for row in rows),
                given_rows=tuple(
                    len(entries) if drop else row for row, drop in zip(rows, dropped, strict=True)
                ),
            )
        )
    return found


def images_shown(
    recipe: Recipe, images: Sequence[int], first: int = 0, processes: int = 1
) -> list[int]:
    """All images of the steps from `first` on, of all processes, sorted."""
    wanted, count = recipe.images_a_step * processes, len(images)
    start, end = first * wanted, recipe.steps * wanted
    found: set[int] = set()
    for epoch in range(start // count, math.ceil(end / count)):
        begun = epoch * count
        within = slice(max(0, start - begun), min(count, end - begun))
        found.update(images[place] for place in _order(recipe, epoch, count)[within].tolist())
        if len(found) == count:
            break
    return sorted(found)


def _order(recipe: Recipe, epoch: int, images: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The images of an epoch, shuffled."""
    return np.random.default_rng([recipe.seed, 1, epoch]).permutation(images)
