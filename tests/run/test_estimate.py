"""Estimates of plans with missing codecs, data or speeds."""

from __future__ import annotations

from itertools import count

import pytest

from eyechart.cli import run_args
from eyechart.core.errors import InputError
from eyechart.paper.codecs import published_codecs
from eyechart.runner.estimate import (
    RECORD_BYTES,
    CodecEstimate,
    Estimate,
    ModelEstimate,
    TaskEstimate,
    estimate,
)
from eyechart.runner.plan import load_plan, make_plan
from eyechart.runner.rates import AnswerRate
from eyechart.runner.resolve import resolve


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("EYECHART_DATA", "LMUData", "EYECHART_HM_ENCODER", "EYECHART_VTM_ENCODER"):
        monkeypatch.delenv(variable, raising=False)


def test_the_papers_codecs_take_disk_though_they_are_not_here() -> None:
    ticks = count()
    published = published_codecs()
    found = estimate(load_plan("paper"), published=published, clock=lambda: float(next(ticks)))
    by_name = {codec.name: codec for codec in found.codecs}
    assert published.keys() == by_name.keys() - {"source", "jpeg"}
    for name, codec in published.items():
        assert by_name[name].code_s is None
        assert by_name[name].levels == codec.levels
        assert by_name[name].payload_bytes == pytest.approx(codec.bpp * 640 * 480 / 8)
    streams = sum(map(found.stream_bytes, found.codecs))
    assert found.disk_bytes == streams + found.questions * RECORD_BYTES
    # A tick for each encoding and each decoding, whatever the size: the two codecs that are here.
    assert found.code_s == 2 * (1 + 4) * sum(task.images for task in found.tasks)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """URLs of the downloads of weights, none of which succeeds."""
    asked: list[str] = []

    def fetched(url: str) -> None:
        asked.append(url)
        raise InputError(url)

    monkeypatch.setattr("eyechart.store.url_folders.fetched", fetched)
    return asked


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("s3://bucket/vlms/my-vlm:dtype=float32", "my-vlm"),
        ("qwen2_5_vl:model=s3://bucket/vlms/my-vlm,dtype=float32", "qwen2_5_vl"),
        ("qwen2_5_vl:dtype=float32,model=s3://bucket/vlms/my-vlm", "qwen2_5_vl"),
    ],
)
def test_weights_at_a_url_are_not_downloaded(spec: str, name: str, asked: list[str]) -> None:
    plan = {"vlms": spec, "tasks": "POPE", "codecs": "source"}
    rate = AnswerRate(questions_per_s=7.0, hardware="here")
    chosen = make_plan({**plan, "data": "eyechart-mini"}, "p")
    (model,) = estimate(chosen, rates={name: rate}).models
    assert (model.rate, model.usd) == (rate, None)
    assert asked == []


def test_a_wrong_option_is_named_before_a_download(asked: list[str]) -> None:
    spec = "qwen2_5_vl:model=s3://bucket/vlms/my-vlm,size=3"
    plan = {"vlms": spec, "tasks": "POPE", "codecs": "source", "data": "eyechart-mini"}
    for opened in (estimate, resolve):
        with pytest.raises(InputError, match="unknown option 'size'; allowed: "):
            opened(make_plan(plan, "p"))
    assert asked == []


def test_codecs_with_small_weights_are_timed_and_others_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = count()
    plan = {"vlms": "eyechart-mini", "tasks": "POPE", "codecs": "tic-mini", "max_images": 1}
    chosen = make_plan({**plan, "data": "eyechart-mini"}, "p")
    (codec,) = estimate(chosen, clock=lambda: float(next(ticks))).codecs
    assert (codec.code_s, codec.slow_decode, codec.note) == (2.0, True, "")
    assert codec.payload_bytes is not None
    assert 100 < codec.payload_bytes < 3000
    monkeypatch.setattr("eyechart.runner.estimate.MOST_WEIGHTS_BYTES", 1000)
    (codec,) = estimate(chosen).codecs
    assert codec.code_s is None
    assert "weights are not read" in codec.note


def test_larger_images_of_another_task_take_more() -> None:
    tasks = tuple(
        TaskEstimate(name=name, questions=1, images=10, note="counted", pixels=pixels)
        for name, pixels in (("a", 100), ("b", 400))
    )
    codec = CodecEstimate(name="c", levels=2, code_s=3.0, payload_bytes=7.0, note="")
    model = ModelEstimate(name="v", rate=None, usd=None)
    found = Estimate(models=(model,), tasks=tasks, codecs=(codec,), image_px=(10, 10))
    assert found.code_s == 2 * 3.0 * (10 + 4 * 10)
    assert found.stream_bytes(codec) == 2 * 7.0 * (10 + 4 * 10)


def test_a_codec_counts_for_its_own_tasks() -> None:
    tasks = tuple(
        TaskEstimate(name=name, questions=questions, images=10, note="counted", pixels=100)
        for name, questions in (("a", 20), ("b", 50))
    )
    every = CodecEstimate(name="c", levels=2, code_s=3.0, payload_bytes=7.0, note="")
    one = CodecEstimate(
        name="d", levels=4, code_s=1.0, payload_bytes=5.0, note="", slow_decode=True, tasks=("b",)
    )
    model = ModelEstimate(name="v", rate=None, usd=None)
    found = Estimate(
        models=(model, model), tasks=tasks, codecs=(every, one), image_px=(10, 10), png_bytes=9
    )
    assert (found.cells, found.images) == (2 * (2 + 6), 2 * 10 + 6 * 10)
    assert found.questions == 2 * (2 * 20 + 6 * 50)
    assert found.code_s == 20 * 2 * 3.0 + 10 * 4 * 1.0
    assert found.stream_bytes(one) == 10 * 4 * 5.0
    assert found.decoded_bytes == 10 * 4 * 9


def test_a_codec_counts_for_its_own_adapters() -> None:
    task = TaskEstimate(name="a", questions=20, images=10, note="counted", pixels=100)
    every = CodecEstimate(name="c", levels=2, code_s=3.0, payload_bytes=7.0, note="")
    one = CodecEstimate(
        name="d", levels=4, code_s=1.0, payload_bytes=5.0, note="", adapters=("none",)
    )
    rate = AnswerRate(questions_per_s=10)
    models = tuple(
        ModelEstimate(name="v", rate=rate, usd=None, adapter=name) for name in ("none", "mine")
    )
    found = Estimate(models=models, tasks=(task,), codecs=(every, one), image_px=(10, 10))
    assert (found.cells, found.questions) == (6 + 2, 20 * (6 + 2))
    assert found.images == 10 * 6  # each is encoded once
    assert found.answer_s() == 20 * (6 + 2) / 10


def test_a_task_counts_its_own_images_size() -> None:
    plan = {"vlms": "eyechart-mini", "tasks": ["POPE", "OCRBench"], "codecs": "source"}
    found = estimate(make_plan({**plan, "data": "eyechart-mini", "max_images": 2}, "p"))
    assert [task.pixels for task in found.tasks] == [224 * 224] * 2
    away = estimate(make_plan({**plan, "data": "nowhere"}, "p"))
    assert [task.pixels for task in away.tasks] == [640 * 480] * 2


def test_the_page_lists_omitted_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    arguments = ["plan", "--vlm", "qwen2.5-vl-3b", "--tasks", "POPE", "--data", "nowhere"]
    assert run_args([*arguments, "--codecs", "source,hm,rdeic"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    # 5,127 questions at 9 levels
    assert "not measured for these VLMs" in shown
    assert "7:41 to 1:16:54 at 100 to 10 questions per second" in shown
    assert "up to --decoded-gb (2 GB): codecs that decode slowly make about" in shown
    assert "beyond are decoded again at each use" in shown
    assert "without 2 codecs ²" in shown
    assert "² no encoder; set EYECHART_HM_ENCODER" in shown
    assert "² no checkpoint in" in shown
    assert "time not counted, bytes by the paper's bpp" in shown
    assert run_args([*arguments, "--codecs", "jpeg", "--rate", "10"]) == 0
    assert "guess" not in capsys.readouterr().out
    assert run_args([*arguments, "--codecs", "source,hm", "--decoded-gb", "1000"]) == 0
    assert "; all are stored" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "1e400"])
def test_a_rate_that_is_no_speed_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_args(["plan", "--tasks", "POPE", "--codecs", "jpeg", "--rate", rate]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("allowed: more than 0, and finite")


def test_decoded_images_of_slow_codecs_alone_take_disk() -> None:
    task = TaskEstimate(name="a", questions=1, images=10, note="counted", pixels=400)
    slow = CodecEstimate(
        name="s", levels=3, code_s=1.0, payload_bytes=7.0, note="", slow_decode=True
    )
    fast = CodecEstimate(name="f", levels=2, code_s=0.1, payload_bytes=7.0, note="")
    found = Estimate(models=(), tasks=(task,), codecs=(slow, fast), image_px=(10, 10), png_bytes=50)
    assert found.decoded_bytes == 10 * 4 * 3 * 50
