"""Protocol of injections: how a condition enters a vision tower.

    condition -> row of an embedding table -> injection (forward hooks) -> tower

An injection is one file in `adapters/injections` or in a third party's package, registered as an
entry point in the group `eyechart.injections`. Its tables have one row for each condition and are
initialised with zeros, so that an untrained adapter does not change the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.vlms.towers import Tower

# (table (rows, D), activations (..., W)) -> the activations with a separate axis for the units, and
# the table row of each unit; the two broadcast over the patches of a unit.
Spread: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Injection(Protocol):
    """An `nn.Module` with the trainable tables, which registers forward hooks in a tower.

    needs_rotary: whether it works only in towers with rotary positions.
    """

    @property
    def needs_rotary(self) -> bool: ...

    @classmethod
    def for_tower(cls, tower: Tower, rows: int) -> Injection:
        """An injection for a tower, all zeros. rows: number of conditions, including `unknown`."""
        ...

    def attach(self, tower: Tower, spread: Spread) -> list[Any]:
        """Register forward hooks and return their handles. spread: see `Spread`."""
        ...

    def fold(self, tower: Tower, row: int) -> None:
        """Write one condition into the weights of the tower; exact up to rounding.

        Raises InputError with the reason if that is impossible.
        """
        ...

    def parameters(self, recurse: bool = True) -> Any: ...

    def state_dict(self) -> Mapping[str, Tensor]: ...


def injection_names() -> list[str]:
    """All registered injections, sorted."""
    return plugins.names("eyechart.injections")


def check_injection(name: str) -> None:
    """Check that a name is registered; imports nothing. Raises PluginError."""
    plugins.find("eyechart.injections", name)


def make_injection(name: str, tower: Tower, rows: int) -> Any:
    """The injection `name` for a tower, all zeros: an nn.Module with the methods of `Injection`.

    Raises:
        PluginError: unknown name, or an injection that fails.
        InputError: an injection for rotary positions and a tower without them.
    """
    injection: Any = plugins.load_factory("eyechart.injections", name)
    with plugins.guarded(name):
        if injection.needs_rotary and tower.rotary is None:
            raise InputError(
                f"injection {name!r}: the vision tower of {tower.family} has learned positions, no "
                "rotary ones; allowed: injections that do not need them, such as adaln"
            )
        made = injection.for_tower(tower, rows)
        if not isinstance(made, nn.Module):
            raise TypeError(f"for_tower returned {type(made).__name__}, not an nn.Module")
        return made
