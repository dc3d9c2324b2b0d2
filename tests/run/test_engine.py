"""The engine with tiny plug-ins: stored records, repeated questions, errors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest
from run_fakes import FakeCodec, FakeNeuralCodec, FakeTask, FakeVLM, fake_work

from eyechart.codecs.reconstruct import DecodedImage
from eyechart.core.errors import (
    CodecError,
    InputError,
    StoreError,
    UnusableVLMError,
    VLMError,
)
from eyechart.core.types import Answer, Bitstream, Decoding, Request
from eyechart.core.workers import Resources, SerialExecutor
from eyechart.runner.answering import batches
from eyechart.runner.engine import Outcome, refusals, run
from eyechart.runner.options import Options
from eyechart.runner.progress import SilentProgress
from eyechart.runner.reconstruction import PreparedItem, Reconstruction, open_executor
from eyechart.runner.work import Work, encode_items, pending_cells, work_items
from eyechart.store import Store, TaskSize

_P = ParamSpec("_P")
_T = TypeVar("_T")


def go(work: Work, root: Path, **options: object) -> Outcome:
    store = Store(root)
    store.create()
    outcome = run(work, store, SerialExecutor(), SilentProgress(), Options(**options))  # type: ignore[arg-type]
    outcome.raise_unusable()
    return outcome


def stored_lines(root: Path) -> dict[str, bytes]:
    files = [path for path in root.glob("cells/*/*.json*") if path.name != "index.json"]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_every_question_of_every_cell_is_answered_and_scored(tmp_path: Path) -> None:
    outcome = go(fake_work(), tmp_path / "run")
    assert outcome == Outcome(answered=12)
    low, high = Store(tmp_path / "run").cells()
    assert [record.question_id for record in low.records()] == [str(n) for n in range(6)]
    record = high.records()[4]
    assert (record.image, record.answer) == ("i1", "fam:q4 12.00 ü")
    assert (record.value, record.parsed_answer) == (1.0, "fam")
    assert (record.payload_bytes, record.height_px, record.width_px) == (2 + 18, 2, 3)
    assert record.bpp == pytest.approx(8 * 20 / 6)
    assert low.cell.decoding.max_new_tokens == 9


def test_an_answer_that_the_token_limit_ended_is_marked(tmp_path: Path) -> None:
    class Cut(FakeVLM):
        def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
            answers = super().answer(requests, decoding)
            return [[replace(a, truncated="q3" in a.text) for a in its] for its in answers]

    go(fake_work(Cut()), tmp_path / "run")
    for stored in Store(tmp_path / "run").cells():
        cut = [record.question_id for record in stored.records() if record.truncated]
        assert cut == ["3"]


def test_records_of_before_truncation_and_checks_were_stored_still_load(tmp_path: Path) -> None:
    go(fake_work(), tmp_path / "run")
    for path in tmp_path.glob("run/cells/*/records.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        old = [{key: row[key] for key in row if key not in ("truncated", "check")} for row in rows]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in old))
    vlm = FakeVLM()
    assert go(fake_work(vlm), tmp_path / "run") == Outcome()
    assert vlm.calls == []


def test_a_smaller_run_does_not_reduce_the_planned_size(tmp_path: Path) -> None:
    for images in (2, 3, 1):
        go(fake_work(max_images=images), tmp_path / "run")
    for stored in Store(tmp_path / "run").cells():
        assert stored.asked() == TaskSize(questions=6, images=3)


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    go(fake_work(), tmp_path / "run")
    before = stored_lines(tmp_path / "run")
    vlm = FakeVLM()
    assert go(fake_work(vlm), tmp_path / "run") == Outcome()
    assert vlm.calls == []
    assert stored_lines(tmp_path / "run") == before


def test_all_questions_of_an_image_reach_the_vlm_together(tmp_path: Path) -> None:
    vlm = FakeVLM()
    go(fake_work(vlm, tasks=[FakeTask(images=2, per_image=5)]), tmp_path / "a", batch=1)
    assert [len(call) for call in vlm.calls] == [1, 1, 1, 1]
    assert all(len(call[0].prompts) == 5 for call in vlm.calls)
    vlm.calls.clear()
    go(fake_work(vlm, tasks=[FakeTask(images=2, per_image=5)]), tmp_path / "b", batch=12)
    assert [len(call) for call in vlm.calls] == [2, 2]
    asked = [(request.codec, request.level) for call in vlm.calls for request in call]
    assert asked == [("fake", "low")] * 2 + [("fake", "high")] * 2


def test_a_codec_runs_for_its_own_tasks(tmp_path: Path) -> None:
    tasks = [FakeTask(name="a", images=2), FakeTask(name="b", images=3)]
    work = fake_work(codecs=[FakeCodec(), FakeCodec(name="other")], tasks=tasks)
    every, other = work.codecs
    work = replace(work, codecs=(every, replace(other, tasks=("b",))))
    assert (work.cells, work.images) == (2 + 4, 2 * 2 + 4 * 3)
    go(work, tmp_path / "run")
    cells = [stored.cell for stored in Store(tmp_path / "run").cells()]
    found = sorted({(cell.task.name, cell.codec.name) for cell in cells})
    assert found == [("a", "fake"), ("b", "fake"), ("b", "other")]
    ahead = {(item.task.name, item.codec.codec.name) for item in encode_items(work, 16)}
    assert sorted(ahead) == found


def test_blocks_of_images_go_through_one_level_after_another(tmp_path: Path) -> None:
    vlm = FakeVLM()
    go(fake_work(vlm, tasks=[FakeTask(images=5, per_image=1)]), tmp_path / "run", block_images=2)
    order = [request.level for call in vlm.calls for request in call]
    assert order == ["low"] * 2 + ["high"] * 2 + ["low"] * 2 + ["high"] * 2 + ["low", "high"]


def test_a_vlm_sets_the_number_of_questions_in_a_call(tmp_path: Path) -> None:
    class LargeBatches(FakeVLM):
        questions_at_once = 6

    vlm = LargeBatches()
    go(fake_work(vlm, tasks=[FakeTask(images=6, per_image=2)]), tmp_path / "a")
    assert [len(call) for call in vlm.calls] == [3, 3, 3, 3]
    vlm.calls.clear()
    go(fake_work(vlm, tasks=[FakeTask(images=6, per_image=2)]), tmp_path / "b", batch=4)
    assert [len(call) for call in vlm.calls] == [2] * 6
    modest = FakeVLM()
    go(fake_work(modest, tasks=[FakeTask(images=40, per_image=2)]), tmp_path / "c")
    assert [len(call) for call in modest.calls] == [16] * 5


def test_the_bytes_of_images_in_a_batch_are_limited(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    store.create()
    work = fake_work(tasks=[FakeTask(images=7, per_image=1)])
    (part,), (model,) = work.tasks, work.models
    cells = pending_cells(work, model, part, store, retry_failed=False)
    stream = Bitstream(payload=b"x", height_px=2, width_px=3)
    image = DecodedImage(rgb8=part.task.image("i0"), bitstream=stream)
    items = [PreparedItem(item=item, image=image) for item in work_items(part, cells, 16)]
    one = image.rgb8.nbytes
    assert [len(batch) for batch in batches(items, 100, 3 * one)] == [3, 3, 3, 3, 2]
    assert [len(batch) for batch in batches(items, 100, one - 1)] == [1] * 14
    first_alone = batches(items, 100, 3 * one, first_alone=True)
    assert [len(batch) for batch in first_alone] == [1, 3, 3, 3, 3, 1]


class TwoCopies(FakeVLM):
    """Two copies that answer when the oldest batch is waited for."""

    copies = 2
    most_in_flight = 0
    in_flight = 0

    def submit(self, requests: Sequence[Request], decoding: Decoding) -> Future[list[list[Answer]]]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        vlm = self

        class Waited(Future[list[list[Answer]]]):
            def result(self, timeout: float | None = None) -> list[list[Answer]]:
                vlm.in_flight -= 1
                return FakeVLM.answer(vlm, requests, decoding)

        return Waited()

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        raise AssertionError("batches go through submit")


def test_all_copies_of_a_vlm_are_kept_busy(tmp_path: Path) -> None:
    tasks = [FakeTask(images=9, per_image=1), FakeTask(name="Other")]
    vlm = TwoCopies()
    go(fake_work(vlm, tasks=tasks), tmp_path / "two", batch=2)
    assert vlm.most_in_flight == 4  # one in each copy, and one that waits for each
    go(fake_work(tasks=tasks), tmp_path / "one", batch=2)
    assert stored_lines(tmp_path / "two") == stored_lines(tmp_path / "one")


def test_batches_and_workers_change_no_record(tmp_path: Path) -> None:
    work = fake_work(tasks=[FakeTask(), FakeTask(name="Other", images=2)])
    go(work, tmp_path / "a", batch=1)
    go(work, tmp_path / "b", batch=100, ahead=1)
    store = Store(tmp_path / "c")
    store.create()
    run(work, store, open_executor(2), SilentProgress())
    assert stored_lines(tmp_path / "a") == stored_lines(tmp_path / "b")
    assert stored_lines(tmp_path / "a") == stored_lines(tmp_path / "c")


@pytest.mark.parametrize("workers", [0, 2])
def test_tasks_and_vlms_share_what_was_encoded(workers: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    codec = FakeCodec(log=str(log))
    store = Store(tmp_path / "run")
    store.create()
    work = fake_work(codecs=[codec], tasks=[FakeTask(), FakeTask(name="B")])
    run(work, store, open_executor(workers), SilentProgress())  # all of it fits into the window
    go(fake_work(FakeVLM(name="other"), codecs=[codec]), tmp_path / "run")
    assert log.stat().st_size == 3 * 2


def test_images_made_ahead_are_limited_by_their_bytes(tmp_path: Path) -> None:
    class Counted(SerialExecutor):
        images = most_in_a_job = most_ahead = used = 0

        def submit(
            self,
            resources: Resources,
            call: Callable[_P, _T],
            /,
            *args: _P.args,
            **named: _P.kwargs,
        ) -> Future[_T]:
            made = super().submit(resources, call, *args, **named)
            images = len(made.result())  # type: ignore[arg-type]
            self.images += images
            self.most_in_a_job = max(self.most_in_a_job, images)
            self.most_ahead = max(self.most_ahead, self.images - self.used)
            return made

    store, executor = Store(tmp_path), Counted()
    store.create()
    codec = FakeNeuralCodec(log=os.devnull)
    work = fake_work(codecs=[codec], tasks=[FakeTask(images=40, per_image=1)])
    image_bytes = work.tasks[0].task.image("i0").nbytes
    reconstruction = Reconstruction(
        store, executor, batch_images=10, ahead=1000, ahead_bytes=8 * image_bytes
    )
    for _ in reconstruction.prepared(encode_items(work, 16)):
        executor.used += 1
    assert executor.used == 40
    assert executor.most_in_a_job == 2  # a quarter of what may be made ahead
    assert executor.most_ahead <= 8 + 2


def test_workers_write_nothing_into_the_run_directory(tmp_path: Path) -> None:
    class Watched(SerialExecutor):
        calls = 0

        def submit(
            self,
            resources: Resources,
            call: Callable[_P, _T],
            /,
            *args: _P.args,
            **named: _P.kwargs,
        ) -> Future[_T]:
            before = sorted(tmp_path.rglob("*"))
            made = super().submit(resources, call, *args, **named)
            assert sorted(tmp_path.rglob("*")) == before
            self.calls += 1
            return made

    store, executor = Store(tmp_path), Watched()
    store.create()
    neural = FakeNeuralCodec(log=os.devnull)
    assert run(fake_work(codecs=[FakeCodec(), neural]), store, executor, SilentProgress()).clean
    assert executor.calls
    images = store.images
    assert len(list(images.bitstreams.root.rglob("*.bin"))) == 3 * 3  # of three levels
    assert len(list(images.decoded.root.rglob("*.bin"))) == 3


def test_a_longer_run_begins_with_the_images_of_a_shorter_one(tmp_path: Path) -> None:
    assert go(fake_work(max_images=1), tmp_path / "run").answered == 4
    short = {r.image for r in Store(tmp_path / "run").cells()[0].records()}
    vlm = FakeVLM()
    assert go(fake_work(vlm, max_images=2), tmp_path / "run").answered == 4
    assert short < {r.image for r in Store(tmp_path / "run").cells()[0].records()}


def test_an_image_that_cannot_be_encoded_fails_only_its_questions(tmp_path: Path) -> None:
    codec = FakeCodec(bad_images=(15,))
    outcome = go(fake_work(codecs=[codec]), tmp_path / "run")
    assert outcome == Outcome(answered=8, failed=4)
    cell = Store(tmp_path / "run").cells()[0]
    failure = cell.failures()[0]
    assert (failure.stage, failure.kind, failure.image) == ("encode", "CodecError", "i1")
    assert failure.message == "fake level low image i1: cannot"
    # It failed permanently: counted, and asked again only if the user says so.
    assert go(fake_work(codecs=[codec]), tmp_path / "run") == Outcome(lost_before=4)
    assert go(fake_work(), tmp_path / "run", retry_failed=True) == Outcome(answered=4)
    assert go(fake_work(), tmp_path / "run").clean


def test_an_image_of_another_size_is_a_failure(tmp_path: Path) -> None:
    outcome = go(fake_work(codecs=[FakeCodec(wrong_size=True)]), tmp_path / "run")
    assert outcome.failed == 12
    failure = Store(tmp_path / "run").cells()[0].failures()[0]
    assert failure.stage == "decode"
    assert "(1, 1, 3) instead of uint8 (2, 3, 3)" in failure.message


def test_an_unreadable_image_is_a_failure_of_loading(tmp_path: Path) -> None:
    outcome = go(fake_work(tasks=[FakeTask(bad_image="i2")]), tmp_path / "run")
    assert outcome == Outcome(answered=8, failed=4)
    assert {f.stage for c in Store(tmp_path / "run").cells() for f in c.failures()} == {"load"}


def refuse(word: str, error: Exception) -> FakeVLM:
    def check(request: Request) -> None:
        if any(word in prompt for prompt in request.prompts):
            raise error

    return FakeVLM(refuse=check)


def test_one_bad_question_fails_no_other(tmp_path: Path) -> None:
    vlm = refuse("q4", VLMError("too long"))
    outcome = go(fake_work(vlm), tmp_path / "run", batch=100)
    assert outcome == Outcome(answered=10, failed=2)
    for cell in Store(tmp_path / "run").cells():
        assert [failure.question_id for failure in cell.failures()] == ["4"]


def test_a_retryable_failure_is_asked_again(tmp_path: Path) -> None:
    vlm = refuse("q4", VLMError("server busy", retryable=True))
    assert go(fake_work(vlm), tmp_path / "run").failed == 2
    assert go(fake_work(vlm), tmp_path / "run").failed == 2
    assert go(fake_work(), tmp_path / "run") == Outcome(answered=2)
    go(fake_work(), tmp_path / "uninterrupted")
    for cell, whole in zip(
        Store(tmp_path / "run").cells(), Store(tmp_path / "uninterrupted").cells(), strict=True
    ):
        assert cell.records() == whole.records()
        assert cell.failures() == []


def test_a_bug_in_a_plugin_is_a_failure_with_its_traceback_on_disk(tmp_path: Path) -> None:
    vlm = refuse("q4", ZeroDivisionError("division\nby zero"))
    assert go(fake_work(vlm), tmp_path / "run").failed == 2
    failure = Store(tmp_path / "run").cells()[0].failures()[0]
    assert failure.message == "fake-vlm: ZeroDivisionError: division by zero"
    assert failure.retryable
    assert "Traceback" in (tmp_path / "run" / "errors.log").read_text()


def test_too_few_answers_of_a_vlm_are_an_error(tmp_path: Path) -> None:
    class Short(FakeVLM):
        def answer(self, requests, decoding):  # type: ignore[no-untyped-def]
            return super().answer(requests, decoding)[:-1]

    assert go(fake_work(Short()), tmp_path / "run") == Outcome(failed=12)


def test_a_vlm_that_cannot_be_loaded_is_bad_input_and_fails_no_question(tmp_path: Path) -> None:
    vlm = refuse("q", InputError("no weights in DIR"))
    with pytest.raises(InputError, match="no weights in DIR"):
        go(fake_work(vlm), tmp_path / "run")
    assert [cell.failures() for cell in Store(tmp_path / "run").cells()] == [[], []]
    assert go(fake_work(), tmp_path / "run") == Outcome(answered=12)


def unusable_from(nth: int, **options: object) -> FakeVLM:
    """Its key is refused from the n-th question on."""
    asked = 0

    def check(request: Request) -> None:
        nonlocal asked
        asked += len(request.prompts)
        if asked > nth:
            raise UnusableVLMError("the key was refused")

    return FakeVLM(refuse=check, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch_prompts", [2, 100])
def test_a_vlm_that_becomes_unusable_ends_and_loses_no_question(
    tmp_path: Path, batch_prompts: int
) -> None:
    work = fake_work(unusable_from(20), tasks=[FakeTask(images=20)])
    with pytest.raises(UnusableVLMError, match="the key was refused"):
        go(work, tmp_path / "run", batch=batch_prompts)
    cells = Store(tmp_path / "run").cells()
    kept = sum(len(cell.records()) for cell in cells)
    assert kept == (20 if batch_prompts == 2 else 0)
    assert [cell.failures() for cell in cells] == [[], []]
    whole = fake_work(tasks=[FakeTask(images=20)])
    assert go(whole, tmp_path / "run") == Outcome(answered=80 - kept)


def test_answers_of_the_batch_in_which_a_vlm_becomes_unusable_are_kept(tmp_path: Path) -> None:
    vlm = refuse("q4", UnusableVLMError("the quota is used up"))
    with pytest.raises(UnusableVLMError, match="quota"):
        go(fake_work(vlm), tmp_path / "run", batch=100)
    for cell in Store(tmp_path / "run").cells():
        assert [record.question_id for record in cell.records()] == ["0", "1", "2", "3", "5"]
        assert cell.failures() == []


def test_other_vlms_go_on_after_one_that_is_unusable(tmp_path: Path) -> None:
    bad, good = fake_work(unusable_from(4, name="bad")), fake_work(FakeVLM(name="good"))
    work = replace(good, models=(*bad.models, *good.models))
    with pytest.raises(UnusableVLMError, match="the key was refused"):
        go(work, tmp_path / "run", batch=2)
    kept = {(cell.cell.vlm.name, len(cell.records())) for cell in Store(tmp_path / "run").cells()}
    assert kept == {("bad", 4), ("bad", 0), ("good", 6)}


def test_other_vlms_go_on_after_one_that_cannot_be_opened(tmp_path: Path) -> None:
    def fail() -> FakeVLM:
        raise InputError("foreign: not an adapter of this package")

    bad, good = fake_work(FakeVLM(name="bad")), fake_work(FakeVLM(name="good"))
    work = replace(good, models=(replace(bad.models[0], open=fail), *good.models))
    store = Store(tmp_path / "run")
    store.create()
    outcome = run(work, store, SerialExecutor(), SilentProgress())
    assert (outcome.answered, outcome.clean) == (12, False)
    assert outcome.unusable == ["foreign: not an adapter of this package"]


def test_every_vlm_with_questions_left_is_checked_before_the_first_is_asked(
    tmp_path: Path,
) -> None:
    class Checked(FakeVLM):
        def check(self) -> None:
            raise UnusableVLMError("no server")

    good, bad = FakeVLM(name="good"), Checked(name="bad")
    works = [fake_work(good), fake_work(bad)]
    work = replace(works[0], models=tuple(one.models[0] for one in works))
    store = Store(tmp_path / "run")
    assert refusals(work, store) == {1: "bad: no server"}
    assert not (tmp_path / "run").exists()
    go(fake_work(FakeVLM(name="bad")), tmp_path / "run")
    assert refusals(work, store) == {}  # its answers are there: it will not be asked


def test_bad_input_about_one_question_is_that_questions_failure(tmp_path: Path) -> None:
    vlm = refuse("q4", InputError("prompt and image do not fit"))
    assert go(fake_work(vlm), tmp_path / "run", batch=2) == Outcome(answered=10, failed=2)


def test_a_dead_server_is_given_up_and_leaves_the_rest_unasked(tmp_path: Path) -> None:
    vlm = refuse("q", VLMError("connection refused", retryable=True))
    work = fake_work(vlm, tasks=[FakeTask(images=40)])
    outcome = go(work, tmp_path / "run", batch=8)
    assert 50 <= outcome.failed < 60
    assert "connection refused" in outcome.given_up[0]
    assert go(fake_work(tasks=[FakeTask(images=40)]), tmp_path / "run") == Outcome(answered=160)


@pytest.mark.parametrize("error", [VLMError("too long and thin"), ValueError("a bug")])
def test_one_image_that_a_vlm_cannot_take_ends_nothing(tmp_path: Path, error: Exception) -> None:
    vlm = FakeVLM()
    work = fake_work(vlm, tasks=[FakeTask(images=3, per_image=80)])
    first = work.tasks[0].images[0][0]
    bad = work.tasks[0].task.image(first)[0, 0, 0]

    def check(request: Request) -> None:
        if abs(int(request.image[0, 0, 0]) - int(bad)) < 5:
            raise error

    vlm.refuse = check
    outcome = go(work, tmp_path / "run", batch=8)
    assert (outcome.given_up, outcome.failed) == ([], 80)
    assert outcome.answered == 400


def test_a_vlm_that_takes_no_image_is_given_up(tmp_path: Path) -> None:
    vlm = refuse("q", VLMError("too long and thin"))
    outcome = go(fake_work(vlm, tasks=[FakeTask(images=40)]), tmp_path / "run", batch=8)
    assert 50 <= outcome.failed < 60
    assert "too long and thin" in outcome.given_up[0]


def test_a_broken_run_directory_ends_the_run(tmp_path: Path) -> None:
    def break_it(request: Request) -> None:
        for cell in (tmp_path / "run" / "cells").iterdir():
            (cell / "records.jsonl").mkdir(exist_ok=True)

    with pytest.raises(StoreError, match=r"records\.jsonl"):
        go(fake_work(FakeVLM(refuse=break_it)), tmp_path / "run")


def test_a_worker_that_dies_fails_only_its_image(tmp_path: Path) -> None:
    codec = FakeCodec(dies_on=(15,))
    work = fake_work(codecs=[codec])
    store = Store(tmp_path / "run")
    store.create()
    outcome = run(work, store, open_executor(2), SilentProgress())
    assert outcome == Outcome(answered=8, failed=4)
    for cell in store.cells():
        assert {(f.kind, f.image, f.retryable) for f in cell.failures()} == {
            ("WorkerDied", "i1", True)
        }


def test_errors_cross_from_workers_with_their_names(tmp_path: Path) -> None:
    codec = FakeCodec(bad_images=(15,))
    store = Store(tmp_path / "run")
    store.create()
    run(fake_work(codecs=[codec]), store, open_executor(1), SilentProgress())
    failure = store.cells()[0].failures()[0]
    assert failure.message == str(CodecError("cannot", codec="fake", level="low", image="i1"))


@pytest.mark.parametrize(
    ("codec", "workers", "kind", "failed"),
    [
        (FakeCodec(exits_on=(15,)), 0, "SystemExit", 4),
        (FakeCodec(exits_on=(15,)), 1, "SystemExit", 4),
        (FakeCodec(stays_on=(15,)), 1, "RuntimeError", 2),  # at the level with three channels
    ],
)
def test_an_exit_or_a_result_that_cannot_be_sent_fails_only_its_image(
    codec: FakeCodec, workers: int, kind: str, failed: int, tmp_path: Path
) -> None:
    store = Store(tmp_path / "run")
    store.create()
    work = fake_work(codecs=[codec])
    outcome = run(work, store, open_executor(workers), SilentProgress())
    assert outcome == Outcome(answered=12 - failed, failed=failed)
    failures = [failure for cell in store.cells() for failure in cell.failures()]
    assert {(failure.kind, failure.image) for failure in failures} == {(kind, "i1")}


def fail(*args: object) -> object:
    raise ZeroDivisionError("by design")


@pytest.mark.parametrize(
    "members",
    [
        {"for_task": fail},
        {"questions_at_once": property(fail)},
        {"copies": property(fail), "submit": fail},
        {"copies": 2, "submit": fail},
    ],
)
def test_other_vlms_go_on_after_one_with_a_member_that_raises(
    members: dict[str, object], tmp_path: Path
) -> None:
    broken = type("Broken", (FakeVLM,), members)
    bad, good = fake_work(broken(name="bad")), fake_work(FakeVLM(name="good"))
    store = Store(tmp_path / "run")
    store.create()
    work = replace(good, models=(*bad.models, *good.models))
    outcome = run(work, store, SerialExecutor(), SilentProgress())
    assert (outcome.answered, outcome.failed) == (12, 0)
    assert outcome.unusable == ["bad: ZeroDivisionError: by design"]
    assert "by design" in (tmp_path / "run" / "errors.log").read_text()
