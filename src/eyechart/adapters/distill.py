"""Distillation (paper eq. 3): the student's features of a compressed image are trained to equal
the teacher's features of the uncompressed image.

    uncompressed image -------------> frozen encoder -> features, once for each image
                                                            | MSE
    its compressed forms, condition -> student encoder -> features

Features are the output of the merger or projector, which the language model reads. The squared
error is divided by the variance of the teacher's features, one number for a training, so that
learning rates and losses are comparable between VLMs: the mean feature has an error of 1.

Shapes: U images ("units"), T visual tokens of them all, D feature width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from eyechart.adapters.condition import Condition, Vocabulary
from eyechart.adapters.conditioned import Conditioner
from eyechart.adapters.pairs import Pairs
from eyechart.adapters.recipe import Recipe, StepImage
from eyechart.adapters.towers import tower_of
from eyechart.adapters.trainable import make_trainable
from eyechart.core.types import Rgb8
from eyechart.vlms.backbone import Backbone
from eyechart.vlms.towers import Inputs, Tower

_SMALL_ERROR = 5e-3  # below this, a smaller error hardly changes the loss `log`
_ESTIMATOR_RATE = 1e-2  # high, because the estimator starts from random weights


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBatch:
    """Images of a step, ready for the tower.

    clean: one for each image. student: all forms of the first image, then of the second, ...
    target_of_unit: index of the clean unit that is the target. rows: true condition of each unit,
    as a table row. given_rows: the row that the student gets. names: image and condition, for
    messages.
    """

    clean: Inputs
    student: Inputs
    target_of_unit: Tensor
    rows: tuple[int, ...]
    given_rows: tuple[int, ...]
    names: tuple[str, ...]


def make_batch(
    pairs: Pairs,
    shown: Sequence[StepImage],
    backbone: Backbone,
    tower: Tower,
    vocabulary: Vocabulary,
) -> TrainingBatch:
    """Read, compress and prepare the images of a step. Raises ImageError, CodecError."""
    clean: list[Inputs] = []
    student: list[Inputs] = []
    targets: list[int] = []
    rows: list[int] = []
    given_rows: list[int] = []
    names: list[str] = []
    first = 0
    for one in shown:
        images = pairs.images(one.image, one.entries)
        inputs = [_prepared(backbone, rgb8) for rgb8 in images]
        units = tower.layout.units(inputs[0])
        clean.append(inputs[0])  # the first entry is `source`
        for made, entry, row in zip(inputs, one.entries, one.given_rows, strict=True):
            student.append(made)
            targets += range(first, first + units)
            rows += [vocabulary.row(*entry)] * units
            given_rows += [row] * units
            names += [f"{'/'.join(entry)} of {pairs.names[one.image]}"] * units
        first += units
    return TrainingBatch(
        clean=_joined(clean),
        student=_joined(student),
        target_of_unit=torch.tensor(targets),
        rows=tuple(rows),
        given_rows=tuple(given_rows),
        names=tuple(names),
    )


def _prepared(backbone: Backbone, rgb8: Rgb8) -> Inputs:
    return dict(backbone.prepare(rgb8).inputs)


def _joined(parts: Sequence[Inputs]) -> Inputs:
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


class Student(nn.Module):
    """The encoder, the injection and the estimator as one module to train."""

    def __init__(self, tower: Tower, conditioner: Conditioner) -> None:
        super().__init__()
        self.encoder, self.conditioner = tower.module, conditioner
        self._tower = tower

    def forward(self, inputs: Inputs, given_rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """-> features (T, D), and the estimator's scores of the conditions (U, entries)."""
        self.conditioner.set_rows(given_rows)
        features = self._tower.features(inputs)
        return features, self.conditioner.estimator(self._tower.layout.images(inputs))


class Teacher:
    """The frozen encoder and its projector. The language model is shared, not copied."""

    def __init__(self, model: Any) -> None:
        shared = (model.model.language_model, model.lm_head)
        copied = copy.deepcopy(model, {id(part): part for part in shared})
        self.tower = tower_of(copied)
        self.tower.module.requires_grad_(False).eval()

    @torch.no_grad()
    def features_by_unit(self, inputs: Inputs) -> list[Tensor]:
        """Features of each unit, (tokens, D) float32."""
        features = self.tower.features(inputs).float()
        return split_units(features, inputs, self.tower)


def split_units(features: Tensor, inputs: Inputs, tower: Tower) -> list[Tensor]:
    """(T, D) -> (tokens, D) for each unit."""
    weights = tower.token_counts(inputs)
    tokens = len(features)
    return list(torch.split(features, [tokens * one // sum(weights) for one in weights]))


def build_student(model: Any, vocabulary: Vocabulary, recipe: Recipe) -> tuple[Student, Tower]:
    """Add a conditioner to the model's tower and make its weights trainable; freeze the rest."""
    model.requires_grad_(False)
    tower = tower_of(model)
    conditioner = Conditioner(tower, vocabulary, recipe.injection)
    conditioner.attach(tower)
    make_trainable(tower, recipe.trainable, recipe.lora)
    if recipe.gradient_checkpointing:
        module: Any = tower.module
        # transformers renames it: the old name is removed in its next major version.
        old = "gradient_checkpointing_enable"
        enable = getattr(module, "activation_checkpointing_enable", None) or getattr(module, old)
        enable({"use_reentrant": False})
    tower.module.train()
    return Student(tower, conditioner), tower


def parameter_groups(student: Student, recipe: Recipe) -> list[dict[str, Any]]:
    """Encoder, condition tables and estimator, each with its own learning rate.

    Only matrices have weight decay.
    """
    encoder = [p for p in student.encoder.parameters() if p.requires_grad]
    rate = recipe.learning_rate
    groups = [
        ([p for p in encoder if p.ndim >= 2], rate, recipe.weight_decay),
        ([p for p in encoder if p.ndim < 2], rate, 0.0),
        (list(student.conditioner.injection.parameters()), rate * recipe.condition_rate, 0.0),
        (list(student.conditioner.estimator.parameters()), _ESTIMATOR_RATE, 0.0),
    ]
    return [
        {"params": params, "lr": base, "base_lr": base, "weight_decay": decay}
        for params, base, decay in groups
        if params
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLoss:
    """loss: minimised by training. errors: relative feature error of each unit. named: for each
    unit whether the estimator gave its condition the highest score."""

    loss: Tensor
    errors: Tensor
    named: Tensor


def losses(
    student: Any,
    tower: Tower,
    batch: TrainingBatch,
    units: slice,
    targets: Sequence[Tensor],
    variance: float,
    error: str,
) -> StepLoss:
    """Loss of some units of a batch, divided by the number of all its units.

    The losses of the parts of a batch add up to the mean over the batch.

    student: `Student`, possibly wrapped. targets: the teacher's features by clean unit. error: as
    in `Recipe`.
    """
    inputs = tower.layout.select(batch.student, units)
    features, scores = student(inputs, batch.given_rows[units])
    each = split_units(features.float(), inputs, tower)
    goals = [targets[place] for place in batch.target_of_unit[units].tolist()]
    errors = (
        torch.stack([(made - goal).square().mean() for made, goal in zip(each, goals, strict=True)])
        / variance
    )
    true = torch.tensor(batch.rows[units], device=scores.device)
    # The estimator shares no weights with the encoder, so one sum trains both.
    naming = cross_entropy(scores.float(), true, reduction="sum")
    lost = (errors + _SMALL_ERROR).log() if error == "log" else errors
    return StepLoss(
        loss=(lost.sum() + naming) / len(batch.rows),
        errors=errors.detach(),
        named=scores.detach().argmax(-1) == true,
    )


def by_condition(
    rows: Sequence[int], values: Sequence[float], entries: Sequence[Condition]
) -> dict[str, float]:
    """Mean value of each condition that occurs, by `codec/level`."""
    sums: dict[int, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        sums.setdefault(row, []).append(value)
    return {"/".join(entries[row]): float(np.mean(sums[row])) for row in sorted(sums)}
