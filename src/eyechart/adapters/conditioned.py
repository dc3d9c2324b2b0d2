"""A conditioned vision tower: the injection, the estimator, and the conditions of the next call.

set_conditions([("jpeg", "1"), ("vvc", "53")]) -> tower(images)
    pre-hook: one table row for each unit, or a weighted mean of the rows (estimated)
    injection's hooks: the rows, repeated over the patches
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eyechart.adapters.condition import Condition, Vocabulary
from eyechart.adapters.estimator import ConditionEstimator
from eyechart.adapters.injection import make_injection
from eyechart.core import plugins
from eyechart.core.errors import VLMError
from eyechart.vlms.adapter_identity import Conditioning
from eyechart.vlms.towers import Tower


class Conditioner(nn.Module):
    """The parts of an adapter beside the encoder's weights: injection and estimator.

    conditioning: `labelled` uses the conditions that were set, `unknown` ignores them, `estimated`
    uses the estimator.
    """

    def __init__(
        self,
        tower: Tower,
        vocabulary: Vocabulary,
        injection: str,
        conditioning: Conditioning = "labelled",
    ) -> None:
        super().__init__()
        self.vocabulary, self.conditioning = vocabulary, conditioning
        self.injection_name = injection
        self.injection = make_injection(injection, tower, vocabulary.rows)
        self.estimator = ConditionEstimator(len(vocabulary.entries))
        self.handles: list[Any] = []
        self._given: list[int] | None = None
        self._rows: Tensor | None = None  # (units,) of the current call
        self._mix: Tensor | None = None  # (units, entries), estimated
        self._patches: list[int] | None = None  # of each unit, or None if units are not packed

    def set_conditions(self, conditions: Sequence[Condition]) -> None:
        """Set the (codec, level) of each unit of the next call, or one for all units."""
        self.set_rows([self.vocabulary.row(codec, level) for codec, level in conditions])

    def set_rows(self, rows: Sequence[int]) -> None:
        """Like `set_conditions`, given as table rows."""
        self._given = list(rows)

    def attach(self, tower: Tower) -> None:
        """Register the hooks in the tower; `handles` remove them."""

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._begin(tower, tower.layout.from_call(args, kwargs))

        hook = tower.module.register_forward_pre_hook(before, with_kwargs=True)
        with plugins.guarded(self.injection_name):
            self.handles = [hook, *self.injection.attach(tower, self._spread)]

    def _begin(self, tower: Tower, inputs: dict[str, Tensor]) -> None:
        device = inputs["pixel_values"].device
        units = tower.layout.units(inputs)
        self._patches = tower.layout.packed(inputs)
        self._mix = None
        if self.conditioning == "estimated":
            self._mix = self.estimator(tower.layout.images(inputs)).float().softmax(-1)
        else:
            self._rows = torch.tensor(self._rows_for(units), device=device)

    def _rows_for(self, units: int) -> list[int]:
        unknown = self.vocabulary.unknown
        if self.conditioning == "unknown" or self._given is None:
            return [unknown] * units
        if len(self._given) == units:
            return self._given
        if len(set(self._given)) == 1:
            return self._given[:1] * units
        raise VLMError(f"{len(self._given)} different conditions given for {units} images or tiles")

    def _spread(self, table: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `injection.Spread`."""
        if self._mix is not None:
            values = self._mix.to(table.dtype) @ table[: self.vocabulary.unknown]
        else:
            assert self._rows is not None
            values = table[self._rows]
        if self._patches is None:
            return x, values.view(len(values), *(1,) * (x.ndim - 2), -1)
        if len(set(self._patches)) == 1:  # broadcasting is cheaper than copying rows
            return x.reshape(len(values), -1, x.shape[-1]), values[:, None]
        each = torch.tensor(self._patches, device=values.device)
        return x, values.repeat_interleave(each, dim=0)
