"""The condition is added to the rotary angles of every patch (paper Section 4.1, literally).

It has no effect: query and key turn by the same angle, which cancels in their product. It is kept
because the paper describes it, and a test shows that the output does not change.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eyechart.adapters.injection import Spread
from eyechart.vlms.towers import Tower


class RopeAngle(nn.Module):
    """Rotary angle phi_p + T[c]: cosine and sine of the sum, by the addition theorems."""

    needs_rotary: ClassVar[bool] = True

    def __init__(self, rows: int, head_dim: int) -> None:
        super().__init__()
        # A pair of components turns by one angle: half as many angles as components.
        self.table = nn.Parameter(torch.zeros(rows, head_dim // 2))

    @classmethod
    def for_tower(cls, tower: Tower, rows: int) -> RopeAngle:
        """All zeros, with the shapes of a tower."""
        return cls(rows, tower.head_dim)

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Hook the rotary embedding's output."""

        def turn(_: nn.Module, __: Any, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            cos, angle = spread(self.table, output[0])  # cos is float32 for models of any dtype
            sin = output[1].view_as(cos)
            angle = torch.cat([angle, angle], dim=-1)
            angle = angle.to(torch.promote_types(angle.dtype, cos.dtype))
            by_cos, by_sin = angle.cos(), angle.sin()
            turned = (cos * by_cos - sin * by_sin, sin * by_cos + cos * by_sin)
            return turned[0].view(output[0].shape), turned[1].view(output[0].shape)

        assert tower.rotary is not None
        return [tower.rotary.register_forward_hook(turn)]

    def fold(self, tower: Tower, row: int) -> None:
        """Nothing to fold: the output does not depend on the condition."""
