"""No condition: only the encoder is fine-tuned."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from eyechart.adapters.injection import Spread
from eyechart.vlms.towers import Tower


class NoInjection(nn.Module):
    """The encoder does not receive the condition: the baseline of the other injections."""

    needs_rotary: ClassVar[bool] = False

    @classmethod
    def for_tower(cls, tower: Tower, rows: int) -> NoInjection:
        """There is no table."""
        return cls()

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Nothing to hook."""
        return []

    def fold(self, tower: Tower, row: int) -> None:
        """Nothing to fold: the fine-tuned weights are ordinary ones."""
