"""The progress of a run, as shown to the user."""

from __future__ import annotations

import io

from rich.console import Console
from run_fakes import FakeTask

from eyechart.cli.run_progress import RunBars
from eyechart.core.units import duration
from eyechart.runner.progress import LINE_EVERY_S, Clock, ProgressLines, Tally
from eyechart.runner.work import task_work


def a_tally(settled: frozenset[str] = frozenset()) -> Tally:
    tally = Tally()
    images = task_work(FakeTask()).images  # 3 images of 2 questions
    tally.expect("x", images, settled)
    tally.expect("y", images, frozenset())
    return tally


def test_a_tally_counts_cells_images_and_questions() -> None:
    tally = a_tally(frozenset({"0", "3", "1"}))  # all of i0, half of i1
    assert (tally.cells, tally.images, tally.questions) == (2, 6, 12)
    assert (tally.images_done, tally.questions_done) == (1, 3)
    tally.settle("x", 1)
    tally.settle("x", 2)
    assert (tally.images_done, tally.questions_done) == (3, 6)
    assert not tally.complete
    for _ in range(3):
        tally.settle("y", 2)
    assert tally.complete


def test_durations_read_as_people_write_them() -> None:
    texts = [duration(seconds) for seconds in (0, 42.4, 60, 725, 3600, 12000, 86400, 446400)]
    assert texts == [
        "0:00",
        "0:42",
        "1:00",
        "12:05",
        "1:00:00",
        "3:20:00",
        "1 day 0 h",
        "5 days 4 h",
    ]


def test_lines_are_printed_at_intervals_and_at_the_end() -> None:
    said: list[str] = []
    now = [0.0]
    lines = ProgressLines(said.append, lambda: now[0])
    tally = a_tally()
    lines.begin("vlm", tally)
    for cell in ("x", "y"):
        for _ in range(3):
            now[0] += LINE_EVERY_S / 2
            tally.settle(cell, 2)
            lines.advance("Fake jpeg 1", tally)
    lines.close()
    assert said == [
        "vlm: 2 cells, 6 images, 12 questions",
        "vlm: 2/6 images, 4/12 questions, starting (Fake jpeg 1)",
        "vlm: 4/6 images, 8/12 questions, 0.2 questions/s, 0:20 left (Fake jpeg 1)",
        "vlm: 6/6 images, 12/12 questions, 0.2 questions/s, 0:00 left (Fake jpeg 1)",
    ]


def test_the_first_batch_does_not_count_for_the_speed() -> None:
    now = [0.0]
    tally = a_tally()
    clock = Clock(lambda: now[0], tally)
    printed = []
    # The first batch waits a minute for the model, the others take a second.
    for now[0], cell in ((60.0, "x"), (61.0, "x"), (62.0, "x"), (63.0, "y"), (64.0, "y")):
        tally.settle(cell, 2)
        clock.batch(tally)
        printed.append(clock.words(tally))
    assert printed == [
        "starting",
        "starting",
        "2.0 questions/s, 0:03 left",
        "2.0 questions/s, 0:02 left",
        "2.0 questions/s, 0:01 left",
    ]


def test_questions_that_fail_are_no_speed() -> None:
    now = [0.0]
    tally = a_tally()
    clock = Clock(lambda: now[0], tally)
    printed = []
    for now[0], cell, failed in ((1, "x", 0), (2, "x", 2), (3, "x", 2), (4, "y", 0), (5, "y", 1)):
        tally.settle(cell, 2)
        tally.failed += failed
        clock.batch(tally)
        printed.append(clock.words(tally))
    assert printed[2:] == ["no answers", "0.7 questions/s, 0:06 left", "0.8 questions/s, 0:03 left"]
    assert tally.counts == "5/6 images, 10/12 questions, 5 failed"


def test_a_turn_of_one_batch_ends_with_its_speed() -> None:
    now = [0.0]
    tally = Tally()
    tally.expect("x", task_work(FakeTask(images=1)).images, frozenset())
    clock = Clock(lambda: now[0], tally)
    now[0] = 4.0
    tally.settle("x", 2)
    clock.batch(tally)
    assert clock.words(tally) == "0.5 questions/s, 0:00 left"


def test_warnings_are_shown_once_and_then_counted() -> None:
    said: list[str] = []
    lines = ProgressLines(said.append, lambda: 0.0)
    for number in [0, 0, *range(8)]:
        lines.warn(f"image {number}", "POPE question 7")
    lines.close()
    assert said[:2] == [f"failed: image {n} (POPE question 7)" for n in range(2)]
    assert said[-1].startswith("failed: and 3 more")
    assert len(said) == 6


def test_bars_show_counts_speed_and_time_left() -> None:
    out = io.StringIO()
    now = [0.0]
    console = Console(file=out, force_terminal=True, width=160)
    bars = RunBars(console, lambda: now[0])
    tally = a_tally(frozenset({"0", "3"}))
    bars.begin("my [vlm]", tally)
    for now[0], cell in ((60.0, "x"), (62.0, "y"), (64.0, "y")):
        tally.settle(cell, 2)
        bars.advance("Fake jpeg 1", tally)
    bars.warn("image [x] failed", "POPE question [7]")
    bars.close()
    shown = out.getvalue()
    assert "4/6 images" in shown
    assert "8/12 questions" in shown
    assert "1.0 questions/s, 0:04 left" in shown
    assert "my [vlm]" in shown
    assert "image [x] failed" in shown
