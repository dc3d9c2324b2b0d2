"""Constructor parameters of a plug-in that the run fills in."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Literal, Protocol, TypeAlias, runtime_checkable

RunOption: TypeAlias = Literal["device", "adapter", "data"]


@runtime_checkable
class TakesRunOptions(Protocol):
    """A plug-in class whose constructor has parameters that the run fills in.

    `device`: where a VLM computes. `adapter`: an adapter for a VLM, by directory or name.
    `data`: a file or folder with a task's data.
    """

    @property
    def run_options(self) -> Collection[RunOption]: ...


def takes(factory: object, option: RunOption) -> bool:
    """Whether a plug-in's class declares that its constructor takes that option."""
    factory = class_of(factory)
    return isinstance(factory, TakesRunOptions) and option in factory.run_options


def class_of(factory: object) -> object:
    """The class or function inside a `functools.partial`, which an entry point may name."""
    while isinstance(factory, partial):
        factory = factory.func
    return factory
