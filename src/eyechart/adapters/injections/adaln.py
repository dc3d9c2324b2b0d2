"""Scale and shift after every norm (Perez et al. 2018; Peebles and Xie 2023)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eyechart.adapters.injection import Spread
from eyechart.core.errors import InputError
from eyechart.vlms.towers import NormSite, Tower, add_to_bias


class AdaLN(nn.Module):
    """norm(x) * (1 + S[c]) + B[c] after every norm of the tower."""

    needs_rotary: ClassVar[bool] = False

    def __init__(self, rows: int, width: int, sites: list[str]) -> None:
        super().__init__()
        # Names of parameters may hold no dots.
        self.names = [site.replace(".", "_") for site in sites]
        self.tables = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(rows, 2 * width)) for name in self.names}
        )

    @classmethod
    def for_tower(cls, tower: Tower, rows: int) -> AdaLN:
        """All zeros, with the shapes of a tower."""
        return cls(rows, tower.width, [site.name for site in tower.norms])

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Hook the output of every norm."""
        return [
            site.norm.register_forward_hook(self._modulate(name, spread))
            for name, site in zip(self.names, tower.norms, strict=True)
        ]

    def _modulate(self, name: str, spread: Spread) -> Callable[..., Tensor]:
        def modulate(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            each, condition = spread(self.tables[name], output)
            scale, shift = condition.to(each.dtype).chunk(2, dim=-1)
            return torch.addcmul(shift, each, 1 + scale).view(output.shape)

        return modulate

    def fold(self, tower: Tower, row: int) -> None:
        """Scale into the norm's weight; shift into its bias, or those of the layers after it."""
        for name, site in zip(self.names, tower.norms, strict=True):
            scale, shift = self.tables[name][row].detach().chunk(2)
            _fold_norm(site, scale, shift)


def _fold_norm(site: NormSite, scale: Tensor, shift: Tensor) -> None:
    """weight' = weight * (1 + scale); bias' = bias * (1 + scale) + shift, if the norm has a bias.

    An RMS norm has none. The shift then goes into the bias of each linear layer that reads the
    norm's output n: W (n + shift) + b = W n + W shift + b.
    """
    norm: Any = site.norm
    wide = torch.promote_types(norm.weight.dtype, torch.float32)
    gain, shift = 1 + scale.to(wide), shift.to(wide)
    with torch.no_grad():
        norm.weight.copy_((norm.weight.to(wide) * gain).to(norm.weight.dtype))
        if getattr(norm, "bias", None) is not None:
            norm.bias.copy_((norm.bias.to(wide) * gain + shift).to(norm.bias.dtype))
            return
        for reader in site.readers:
            if reader.bias is None:
                raise InputError(
                    f"cannot fold adaln: a layer after {site.name} has no bias to hold the shift"
                )
            add_to_bias(reader, reader.weight.to(wide) @ shift.repeat(site.repeat))
        if not site.readers:
            raise InputError(
                f"cannot fold adaln: {site.name} is an RMS norm without a linear layer of its own"
            )
