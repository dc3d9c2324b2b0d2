"""A run says what it waited for."""

from __future__ import annotations

from collections.abc import Iterator

from eyechart.runner.waits import Waits


class Hand:
    """A clock that is set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_time_after_the_first_batch_is_divided() -> None:
    clock = Hand()

    def images() -> Iterator[int]:
        for number in range(5):
            clock.now_s += 3
            yield number

    waits = Waits(clock)
    seen = []
    for batch in waits.images(images()):
        seen.append(batch)
        with waits.answers():
            clock.now_s += 100 if batch == 0 else 1
    assert seen == [0, 1, 2, 3, 4]
    assert waits.words() == ("waited 75 % of the time for images (codecs), 25 % for answers (VLM)")


def test_a_short_run_says_nothing() -> None:
    clock = Hand()
    waits = Waits(clock)
    assert list(waits.images([1])) == [1]
    assert waits.words() == ""
    with waits.answers():
        clock.now_s += 100
    assert waits.words() == ""
