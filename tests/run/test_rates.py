"""Measured speeds: two forms, their sources, and their use by `eyechart plan`."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_fakes import FakeTask, FakeVLM, fake_work

from eyechart.cli import run_args
from eyechart.core.errors import InputError
from eyechart.core.types import Request
from eyechart.core.workers import SerialExecutor
from eyechart.runner.engine import run
from eyechart.runner.estimate import estimate
from eyechart.runner.options import Options
from eyechart.runner.plan import make_plan
from eyechart.runner.progress import SilentProgress
from eyechart.runner.rates import (
    AnswerRate,
    built_in_rates,
    load_rates,
    rate_of,
    save_rates,
    split_cost,
)
from eyechart.store import Store


def test_both_forms_give_seconds() -> None:
    assert AnswerRate(questions_per_s=4).answer_s(images=10, questions=20) == 5
    both = AnswerRate(image_s=0.5, question_s=0.25)
    assert both.answer_s(images=10, questions=20) == 10
    assert both.words == "500 ms an image + 250 ms a question"
    assert AnswerRate(questions_per_s=31.4, hardware="H100").words == "31.4/s H100"


def test_the_benchmark_separates_image_and_question_costs() -> None:
    image_s, question_s = 0.05, 0.004
    once = 64 * (image_s + question_s)
    many = 64 * (image_s + 18 * question_s)
    assert split_cost(once, many, 64, 18) == pytest.approx((image_s, question_s))
    assert split_cost(1.0, 0.9, 10, 18) == (0.1, 0.0)


def test_a_file_keeps_what_others_measured(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    save_rates(
        path, {"a": AnswerRate(questions_per_s=2, hardware="x"), "b": AnswerRate(questions_per_s=1)}
    )
    save_rates(path, {"b": AnswerRate(image_s=0.1, question_s=0)})
    assert load_rates(path) == {
        "a": AnswerRate(questions_per_s=2, hardware="x"),
        "b": AnswerRate(image_s=0.1, question_s=0),
    }


def test_a_damaged_file_in_a_run_directory_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text("{")
    save_rates(path, {"a": AnswerRate(questions_per_s=2)})
    assert load_rates(path) == {"a": AnswerRate(questions_per_s=2)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("- 1", r"rates '.*rates.yaml': not a mapping"),
        ("a: {questions_per_s: 0}", "a.questions_per_s: Input should be greater than 0"),
        ("a: {hardware: here}", r"yaml': a: give questions_per_s alone, or image_s and question_s"),
        ("a: {image_s: 1}", "give questions_per_s alone"),
        ("a: {questions_per_s: 1, image_s: 1, question_s: 1}", "give questions_per_s alone"),
        ("a: {question_per_s: 1}", "Extra inputs are not permitted"),
    ],
)
def test_what_is_no_rate_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_rates(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_rates_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["plan", "quick", "--rates", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "rates.yaml' cannot be read" in line


def test_a_vlms_rate_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    three, tuned, adapted = (AnswerRate(questions_per_s=n) for n in (3, 4, 5))
    folder = tmp_path / "tuned"
    folder.mkdir()
    rates = {"qwen2.5-vl-3b": three, "tuned": tuned, "qwen2.5-vl-3b + jpeg": adapted}
    for spec in (
        "qwen2.5-vl-3b",
        "Qwen2.5-VL-3B",
        "Qwen/Qwen2.5-VL-3B-Instruct",
        "qwen2.5-vl-3b:max_pixels=1003520,dtype=float32",
        "qwen2.5-vl-3b + vvc",
    ):
        assert rate_of(spec, rates) is three
    assert rate_of(str(folder), rates) is tuned
    assert rate_of("qwen2.5-vl-3b + jpeg", rates) is adapted
    assert rate_of("gpt-4o", rates) is None


def test_what_the_package_brings_can_be_read() -> None:
    assert all(rate.hardware for rate in built_in_rates().values())


def test_the_time_of_a_plan_counts_images_and_questions() -> None:
    plan = make_plan(
        {
            "title": "t",
            "vlms": ["qwen2.5-vl-3b", "janus-pro-1b"],
            "tasks": ["POPE"],
            "codecs": ["source"],
            "max_images": 3,
        },
        "test",
    )
    rates = {"qwen2.5-vl-3b": AnswerRate(image_s=10, question_s=1)}
    assert estimate(plan, rates=rates).answer_s() is None
    rates["janus-pro-1b"] = AnswerRate(questions_per_s=0.5)
    found = estimate(plan, rates=rates)
    (task,) = found.tasks
    assert found.answer_s() == 10 * 3 + task.questions + 2 * task.questions


def test_the_speed_of_a_run_excludes_its_first_batch(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    store.create()
    now = [0.0]

    def take_time(_: Request) -> None:
        now[0] += 0.5

    work = fake_work(FakeVLM(refuse=take_time), tasks=(FakeTask(images=4, per_image=2),))
    outcome = run(
        work, store, SerialExecutor(), SilentProgress(), Options(batch=2), clock=lambda: now[0]
    )
    (speed,) = outcome.speeds
    # 4 images at 2 levels, a batch each; the clock moves half a second a batch.
    assert (speed.vlm, speed.questions, speed.seconds) == ("fake-vlm", 14, 3.5)
