"""What a run waits for: decoded images, or answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")
_LEAST_S = 10.0  # of a run that says what it waited for


class Waits:
    """Seconds of one VLM's turn in which the main process waited, without its first batch, which
    starts the workers and loads the VLM. clock: seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._images_s = self._answers_s = 0.0
        self._start_s: float | None = None

    def images(self, batches: Iterable[_T]) -> Iterator[_T]:
        """The same batches, timed until each is there."""
        waiting = iter(batches)
        while True:
            before_s = self._clock()
            batch = next(waiting, None)
            if batch is None:
                return
            if self._start_s is not None:
                self._images_s += self._clock() - before_s
            yield batch

    @contextmanager
    def answers(self) -> Iterator[None]:
        """Times the block that waits for the answers of a batch."""
        before_s = self._clock()
        yield
        if self._start_s is None:
            self._start_s = self._clock()
        else:
            self._answers_s += self._clock() - before_s

    def words(self) -> str:
        """One line; "" after less than 10 seconds."""
        if self._start_s is None or (whole_s := self._clock() - self._start_s) < _LEAST_S:
            return ""
        images, answers = (
            round(100 * part / whole_s) for part in (self._images_s, self._answers_s)
        )
        return f"waited {images} % of the time for images (codecs), {answers} % for answers (VLM)"
