"""The condition is added to the cosine and sine of the rotary angles."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eyechart.adapters.injection import Spread
from eyechart.core.errors import InputError
from eyechart.vlms.towers import Tower


class RopeCosSin(nn.Module):
    """cos(phi_p) + T[c, 0] and sin(phi_p) + T[c, 1]: no longer a rotation, so it has an effect."""

    needs_rotary: ClassVar[bool] = True

    def __init__(self, rows: int, head_dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(rows, 2 * head_dim))

    @classmethod
    def for_tower(cls, tower: Tower, rows: int) -> RopeCosSin:
        """All zeros, with the shapes of a tower."""
        return cls(rows, tower.head_dim)

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Hook the rotary embedding's output."""

        def add(_: nn.Module, __: Any, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            cos, condition = spread(self.table, output[0])
            to_cos, to_sin = condition.to(cos.dtype).chunk(2, dim=-1)
            shape = output[0].shape
            return (cos + to_cos).view(shape), (output[1].view_as(cos) + to_sin).view(shape)

        assert tower.rotary is not None
        return [tower.rotary.register_forward_hook(add)]

    def fold(self, tower: Tower, row: int) -> None:
        """Always raises InputError: cosine and sine are not weights."""
        raise InputError(
            "cannot fold rope_cos_sin: cosine and sine are computed from positions, no weight "
            "holds them; use the injection adaln, or run the adapter itself"
        )
