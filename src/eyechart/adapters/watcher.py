"""What an adapter training reports while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLog:
    """One step. loss: relative feature error, mean over pairs. by_condition: the same by
    `codec/level`. estimator: its accuracy, 0..1. pairs_per_s: of this step alone."""

    step: int
    loss: float
    by_condition: Mapping[str, float]
    estimator: float
    pairs: int
    pairs_per_s: float


class Watcher(Protocol):
    """Receives the progress of a training."""

    def validated(self, step: int, errors: Mapping[str, float]) -> None:
        """Feature errors on held-out images, by condition."""
        ...

    def stepped(self, log: StepLog, steps: int) -> None:
        """A step is done."""
        ...


class SilentWatcher:
    """Ignores the progress."""

    def validated(self, step: int, errors: Mapping[str, float]) -> None: ...

    def stepped(self, log: StepLog, steps: int) -> None: ...
