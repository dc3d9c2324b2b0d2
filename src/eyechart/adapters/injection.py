"""Ways to put a condition into a vision tower, one small class each.

    none             the condition is not used; only the encoder is fine-tuned
    rope_angle       added to the rotary angles of every patch (paper Section 4.1, literally)
    rope_cos_sin     added to the cosine and sine values instead
    patch_embedding  added to every patch embedding
    adaln            scale and shift behind every norm (Perez et al. 2018; Peebles and Xie 2023)

All are embedding tables with one row a condition that begin at zero, so that an untrained adapter
changes no bit of the output. They act through forward hooks; no code of transformers is replaced.

`rope_angle` is inert: query and key turn by the same angle, which cancels in their product. It is
kept because the paper says so, and tests hold it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeAlias, get_args

import torch
from torch import Tensor, nn

from eyechart.adapters.towers import NormSite, Tower, add_to_bias
from eyechart.core.errors import InputError

InjectionName: TypeAlias = Literal["none", "rope_angle", "rope_cos_sin", "patch_embedding", "adaln"]
INJECTIONS: tuple[InjectionName, ...] = get_args(InjectionName)

# (table (rows, D), activations (..., W)) -> the activations, each unit apart, and each unit's own
# row of the table; the two broadcast over the unit's patches.
Spread: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Injection(Protocol):
    """A trainable module that hooks itself into a tower."""

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Register forward hooks; -> their handles. spread: see `Spread`."""
        ...

    def fold(self, tower: Tower, row: int) -> None:
        """Write one condition into the tower's own weights; exact up to rounding.

        Raises InputError with the reason where that is impossible.
        """
        ...

    def parameters(self, recurse: bool = True) -> Any: ...

    def state_dict(self) -> Mapping[str, Tensor]: ...


def make_injection(name: str, tower: Tower, rows: int) -> Any:
    """The injection `name` for a tower, all zeros: an nn.Module of shape `Injection`.

    Raises:
        InputError: unknown name, or rotary positions asked of a tower without them.
    """
    if name == "none":
        return NoInjection()
    if name == "patch_embedding":
        return PatchEmbedding(rows, tower.width)
    if name == "adaln":
        return AdaLN(rows, tower.width, [site.name for site in tower.norms])
    if name not in INJECTIONS:
        raise InputError(f"injection {name!r} is not one of {', '.join(INJECTIONS)}")
    if tower.rotary is None:
        raise InputError(
            f"injection {name!r}: the vision tower of {tower.family} has learned positions, no "
            "rotary ones; allowed: none, patch_embedding, adaln"
        )
    makers = {"rope_angle": RopeAngle, "rope_cos_sin": RopeCosSin}
    return makers[name](rows, tower.head_dim)


class NoInjection(nn.Module):
    """The encoder is not told; the baseline of every other way."""

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Nothing to hook."""
        return []

    def fold(self, tower: Tower, row: int) -> None:
        """Nothing to fold: the fine-tuned weights are ordinary ones."""


class PatchEmbedding(nn.Module):
    """x_p + T[c] for every patch p."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(rows, width))

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Hook the patch embedding's output."""

        def add(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            patches = output.movedim(1, -1) if tower.channels_first else output
            each, condition = spread(self.table, patches)
            added = (each + condition.to(each.dtype)).view(patches.shape)
            return added.movedim(-1, 1) if tower.channels_first else added

        return [tower.patches.register_forward_hook(add)]

    def fold(self, tower: Tower, row: int) -> None:
        """Into the convolution's bias, where there is one."""
        if tower.patch_conv.bias is None:
            raise InputError(
                f"cannot fold: the patch projection of {tower.family} has no bias to hold the "
                "condition, and behind it the residual stream takes no constant exactly; "
                "use the injection adaln, or run the adapter itself"
            )
        add_to_bias(tower.patch_conv, self.table[row])


class RopeAngle(nn.Module):
    """Rotary angle phi_p + T[c]: cos and sin of the sum, by the addition theorems. Inert."""

    def __init__(self, rows: int, head_dim: int) -> None:
        super().__init__()
        # A pair of components turns by one angle: half as many angles as components.
        self.table = nn.Parameter(torch.zeros(rows, head_dim // 2))

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Hook the rotary embedding's output."""

        def turn(_: nn.Module, __: Any, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            cos, angle = spread(self.table, output[0])  # cos is float32 whatever the model's type
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


class RopeCosSin(nn.Module):
    """cos(phi_p) + T[c, 0] and sin(phi_p) + T[c, 1]: no rotation any more, and it acts."""

    def __init__(self, rows: int, head_dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(rows, 2 * head_dim))

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
        """Impossible."""
        raise InputError(
            "cannot fold rope_cos_sin: cosine and sine are computed from positions, no weight "
            "holds them; use the injection adaln, or run the adapter itself"
        )


class AdaLN(nn.Module):
    """norm(x) * (1 + S[c]) + B[c] behind every norm of the tower."""

    def __init__(self, rows: int, width: int, sites: list[str]) -> None:
        super().__init__()
        # Names of parameters may hold no dots.
        self.names = [site.replace(".", "_") for site in sites]
        self.tables = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(rows, 2 * width)) for name in self.names}
        )

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
        """Scale into the norm's weight; shift into its bias, or into its readers' biases."""
        for name, site in zip(self.names, tower.norms, strict=True):
            scale, shift = self.tables[name][row].detach().chunk(2)
            _fold_norm(site, scale, shift)


def _fold_norm(site: NormSite, scale: Tensor, shift: Tensor) -> None:
    """weight' = weight * (1 + scale); bias' = bias * (1 + scale) + shift, where there is a bias.

    An RMS norm has none; the shift goes into each reader's: W (n + shift) + b = W n + W shift + b.
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
                    f"cannot fold adaln: what reads {site.name} has no bias to hold the shift"
                )
            add_to_bias(reader, reader.weight.to(wide) @ shift.repeat(site.repeat))
        if not site.readers:
            raise InputError(f"cannot fold adaln: {site.name} is an RMS norm nothing reads alone")
