"""The condition is added to every patch embedding."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eyechart.adapters.injection import Spread
from eyechart.core.errors import InputError
from eyechart.vlms.towers import Tower, add_to_bias


class PatchEmbedding(nn.Module):
    """x_p + T[c] for every patch p."""

    needs_rotary: ClassVar[bool] = False

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(rows, width))

    @classmethod
    def for_tower(cls, tower: Tower, rows: int) -> PatchEmbedding:
        """All zeros, with the shapes of a tower."""
        return cls(rows, tower.width)

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Hook the patch embedding's output."""

        def add(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            patches = output.movedim(1, -1) if tower.channels_first else output
            each, condition = spread(self.table, patches)
            added = (each + condition.to(each.dtype)).view(patches.shape)
            return added.movedim(-1, 1) if tower.channels_first else added

        return [tower.patches.register_forward_hook(add)]

    def fold(self, tower: Tower, row: int) -> None:
        """Add the row to the bias of the convolution. Raises InputError without a bias."""
        if tower.patch_conv.bias is None:
            raise InputError(
                f"cannot fold: the patch projection of {tower.family} has no bias to hold the "
                "condition, and behind it the residual stream takes no constant exactly; "
                "use the injection adaln, or run the adapter itself"
            )
        add_to_bias(tower.patch_conv, self.table[row])
