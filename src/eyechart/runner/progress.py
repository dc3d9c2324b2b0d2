"""Progress of a run: what the engine reports, and lines at intervals for logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from eyechart.core.units import counted, duration

LINE_EVERY_S = 20.0
SHOWN_WARNINGS = 5
# Batches before a speed is shown: the first one loads the VLM and starts the codec processes, and
# the time of a single one after it varies much.
BATCHES_BEFORE_SPEED = 3


@dataclass(slots=True, kw_only=True)
class Tally:
    """Numbers of cells, images and questions of one VLM's turn, and of settled ones.

    An image counts once for every codec level.
    """

    cells: int = 0
    images: int = 0
    questions: int = 0
    images_done: int = 0
    questions_done: int = 0
    failed: int = 0  # of those done in this turn
    _left: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all questions are settled."""
        return self.questions_done == self.questions

    def expect(
        self, cell: str, images: Sequence[tuple[str, Sequence[Any]]], settled: Set[str]
    ) -> None:
        """Count one cell. images: (key, questions with `id`). settled: ids done by earlier runs."""
        left = 0
        for _, questions in images:
            its_left = sum(question.id not in settled for question in questions)
            self.questions += len(questions)
            self.questions_done += len(questions) - its_left
            self.images_done += its_left == 0
            left += its_left
        self.images += len(images)
        self.cells += 1
        self._left[cell] = left

    def left(self, cell: str) -> int:
        """Number of questions of that cell that are not settled."""
        return self._left[cell]

    @property
    def answered(self) -> int:
        """Questions that are settled and did not fail in this turn: only they count as speed."""
        return self.questions_done - self.failed

    @property
    def counts(self) -> str:
        """`12/60 images, 24/120 questions, 3 failed`."""
        failed = f", {self.failed:,} failed" if self.failed else ""
        return (
            f"{self.images_done:,}/{self.images:,} images, "
            f"{self.questions_done:,}/{self.questions:,} questions{failed}"
        )

    def settle(self, cell: str, questions: int) -> None:
        """Count the remaining questions of one image in one cell as settled."""
        self._left[cell] -= questions
        self.questions_done += questions
        self.images_done += 1


class Progress(Protocol):
    """Receives the progress of the engine."""

    def announce(self, text: str) -> None:
        """How many questions will be asked, before the first one."""
        ...

    def begin(self, label: str, tally: Tally) -> None:
        """A VLM's turn starts."""
        ...

    def advance(self, where: str, tally: Tally) -> None:
        """A batch is settled. where: the current task, codec and level."""
        ...

    def note(self, text: str) -> None:
        """A piece of information, such as the cost of a VLM's answers."""
        ...

    def warn(self, text: str, question: str) -> None:
        """A question failed; the run continues. text: why. question: the first, with its task."""
        ...

    def close(self) -> None: ...


class SilentProgress:
    """Ignores the progress."""

    def announce(self, text: str) -> None: ...

    def begin(self, label: str, tally: Tally) -> None: ...

    def advance(self, where: str, tally: Tally) -> None: ...

    def note(self, text: str) -> None: ...

    def warn(self, text: str, question: str) -> None: ...

    def close(self) -> None: ...


class Clock:
    """Speed and time left of one VLM's turn, measured after its first batch, which loads the
    VLM."""

    def __init__(self, now: Callable[[], float], tally: Tally) -> None:
        self._now, self._batches = now, 0
        self._start_s, self._before = now(), tally.answered

    def batch(self, tally: Tally) -> None:
        """A batch is settled."""
        self._batches += 1
        if self._batches == 1 and not tally.complete:
            self._start_s, self._before = self._now(), tally.answered

    def words(self, tally: Tally) -> str:
        """`31.4 questions/s, 2:05 left`."""
        elapsed_s = self._now() - self._start_s
        answered = tally.answered - self._before
        early = self._batches < BATCHES_BEFORE_SPEED and not tally.complete
        if not early and answered <= 0 and tally.failed:
            return "no answers"
        if early or answered <= 0 or elapsed_s <= 0:
            return "starting"
        rate = answered / elapsed_s
        left_s = (tally.questions - tally.questions_done) / rate
        return f"{rate:.1f} questions/s, {duration(left_s)} left"


class ProgressLines:
    """One line at the start, every `LINE_EVERY_S` seconds, and at the end: for logs.

    announce: says what will be asked; None: `say`.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._say, self._now, self._announce = say, now, announce or say
        self._label = ""
        self._warnings = FirstWarnings(say)

    def announce(self, text: str) -> None:
        self._announce(text)

    def begin(self, label: str, tally: Tally) -> None:
        self._label, self._clock, self._last_s = label, Clock(self._now, tally), self._now()
        done = f", {tally.questions_done:,} of them done before" if tally.questions_done else ""
        self._say(
            f"{label}: {counted(tally.cells, 'cell')}, {counted(tally.images, 'image')}, "
            f"{counted(tally.questions, 'question')}{done}"
        )

    def advance(self, where: str, tally: Tally) -> None:
        self._clock.batch(tally)
        if self._now() - self._last_s < LINE_EVERY_S and not tally.complete:
            return
        self._last_s = self._now()
        self._say(f"{self._label}: {tally.counts}, {self._clock.words(tally)} ({where})")

    def note(self, text: str) -> None:
        self._say(text)

    def warn(self, text: str, question: str) -> None:
        self._warnings.add(text, question)

    def close(self) -> None:
        self._warnings.close()


class FirstWarnings:
    """Shows the first few different warnings and counts the others."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._seen: set[str] = set()
        self._more = 0

    def add(self, text: str, question: str) -> None:
        if len(self._seen) < SHOWN_WARNINGS and text not in self._seen:
            self._seen.add(text)
            self._say(f"failed: {text} ({question})")
        elif text not in self._seen:
            self._more += 1

    def close(self) -> None:
        if self._more:
            self._say(f"failed: and {self._more} more, each in a failures.jsonl")
            self._more = 0
