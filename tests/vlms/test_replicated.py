"""Copies of a VLM on several devices answer as one VLM would."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.core.errors import InputError, VLMError, WorkerDiedError
from eyechart.core.hooks import parameters_of, questions_at_once
from eyechart.core.types import Answer, Decoding, Json, Request
from eyechart.vlms import open_vlm
from eyechart.vlms.devices import check_present, devices_of, training_devices
from eyechart.vlms.replicated import ReplicatedVLM, cost_tokens, split


@dataclass
class Echo:
    """Answers with the prompt, the image's mean and its process."""

    device: str
    task: str = ""
    name: str = "echo"
    version: str = "1"
    family: str = "fam"
    parameters: int = 9
    options: Mapping[str, Json] = field(default_factory=dict)

    def for_task(self, task: str) -> Echo:
        return replace(self, task=task, options={"task": task})

    def visual_tokens(self, height_px: int, width_px: int) -> int:
        if width_px > 28:
            raise VLMError("too wide")
        return height_px * width_px // 784 + len(self.task)

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        prompts = {prompt for request in requests for prompt in request.prompts}
        if "die" in prompts:
            os._exit(3)
        if "no" in prompts:
            raise VLMError("will not", retryable=True)
        if "bad" in prompts:
            raise InputError("cannot be")
        return [
            [
                Answer(text=f"{prompt} {request.image.mean():.2f}{self.task}", tokens=os.getpid())
                for prompt in request.prompts
            ]
            for request in requests
        ]


class OtherOnItsDevice(Echo):
    """Has other weights in the process of a copy."""

    def __init__(self, device: str) -> None:
        super().__init__(device, version="1" if multiprocessing.parent_process() is None else "2")


def requests_of(*prompts: Sequence[str]) -> list[Request]:
    return [
        Request(image=np.full((28, 28, 3), n, np.uint8), prompts=tuple(its))
        for n, its in enumerate(prompts)
    ]


def test_copies_with_other_weights_do_not_answer() -> None:
    vlm = ReplicatedVLM(OtherOnItsDevice, ("cpu",))
    try:
        with pytest.raises(InputError, match="its version is 2 here; answers are stored under 1"):
            vlm.answer(requests_of(["a"]), Decoding())
    finally:
        vlm.close()


def test_answers_are_in_order_and_survive_a_killed_worker() -> None:
    """One test, because every worker process is a Python that has to start."""
    vlm = ReplicatedVLM(Echo, ("cpu", "cpu"))
    assert (vlm.name, vlm.version, vlm.family) == ("echo", "1", "fam")
    asked = requests_of(["a", "b"], ["c"], [], ["d", "e", "f"])
    decoding = Decoding()
    try:
        answers = vlm.answer(asked, decoding)
        expected = Echo("here").answer(asked, decoding)
        assert [[a.text for a in its] for its in answers] == [
            [a.text for a in its] for its in expected
        ]
        first = {answer.tokens for its in answers for answer in its}
        assert len(first - {os.getpid()}) == 2
        assert questions_at_once(vlm) == 32
        assert parameters_of(vlm) == 9
        reading = vlm.for_task("OCR")
        assert reading.options == {"task": "OCR"}
        assert reading.answer(requests_of(["a"]), decoding)[0][0].text == "a 0.00OCR"
        assert (vlm.visual_tokens(28, 28), reading.visual_tokens(28, 28)) == (1, 4)
        wide = Request(image=np.zeros((28, 56, 3), np.uint8), prompts=("a",))
        assert vlm.answer([wide], decoding)[0][0].text == "a 0.00"
        assert vlm.visual_tokens(28, 56) == 0
        with pytest.raises(VLMError, match="will not") as refused:
            vlm.answer(requests_of(["no"], ["a"]), decoding)
        assert refused.value.retryable
        with pytest.raises(InputError, match="cannot be"):
            vlm.answer(requests_of(["bad"], ["a"]), decoding)
        with pytest.raises(VLMError, match="echo: the worker process died") as died:
            vlm.answer(requests_of(["die"], ["a"]), decoding)
        assert died.value.retryable
        assert isinstance(died.value.__cause__, WorkerDiedError)
        started = [vlm.submit(requests_of([str(n)]), decoding) for n in range(9)]
        texts = [future.result(60)[0][0].text for future in started]
        assert texts == [f"{n} 0.00" for n in range(9)]
        again = vlm.answer(asked, decoding)
        assert [[a.text for a in its] for its in again] == [
            [a.text for a in its] for its in expected
        ]
    finally:
        vlm.close()


@given(st.lists(st.integers(1, 100), max_size=30), st.integers(1, 5))
def test_shares_hold_everything_once_and_cost_about_the_same(costs: list[int], parts: int) -> None:
    shares = split(costs, parts)
    assert sorted(index for share in shares for index in share) == list(range(len(costs)))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(costs[i] for i in share) for share in shares]
    assert max(loads) - min(loads) <= max(costs, default=0)


def test_an_image_and_a_question_both_cost() -> None:
    small, large = requests_of(["a"], ["a"])
    large = replace(large, image=np.zeros((480, 640, 3), np.uint8))
    assert cost_tokens(small) < cost_tokens(large) < cost_tokens(replace(large, prompts=("a",) * 9))


def cuda_devices(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_devices(monkeypatch, 3)
    assert devices_of("all") == ("cuda:0", "cuda:1", "cuda:2")
    assert devices_of("cuda:0, cuda:2") == ("cuda:0", "cuda:2")
    for alone in ("auto", "cpu", "cuda", "cuda:1", "map"):
        assert devices_of(alone) == (alone,)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("gpu", "'gpu' is not one; allowed: auto, cpu"),
        ("", "'' is not one"),
        ("cuda:0,map", "'map' is not one"),
        ("cuda:0,cuda", "'cuda' is not one"),
        ("cuda:1,cuda:1", "cuda:1 is named twice"),
        ("all", "no CUDA device here"),
    ],
)
def test_what_is_no_device_is_refused(
    wanted: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda_devices(monkeypatch, 0)
    with pytest.raises(InputError, match=message):
        open_vlm("eyechart-mini", device=wanted)


def test_a_device_beyond_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_devices(monkeypatch, 2)
    for here in ("cpu", "cuda", "cuda:1", "map"):
        check_present(here)
    with pytest.raises(InputError, match="'cuda:2': allowed: cuda:0 to cuda:1"):
        check_present("cuda:2")
    cuda_devices(monkeypatch, 0)
    with pytest.raises(InputError, match="'map': no CUDA device here"):
        check_present("map")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(InputError, match="'mps': no GPU of Apple here"):
        check_present("mps")


def test_a_training_on_a_cpu_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_devices(monkeypatch, 0)
    assert training_devices("auto") == ("cpu",)
    assert training_devices("cpu, cpu") == ("cpu", "cpu")
    cuda_devices(monkeypatch, 2)
    assert training_devices("auto") == training_devices("all") == ("cuda:0", "cuda:1")


def test_several_devices_are_one_vlm_with_the_same_identity() -> None:
    copies: Any = open_vlm("eyechart-mini", device="cpu,cpu", min_pixels=None)
    alone = open_vlm("eyechart-mini", device="cpu", min_pixels=None)
    assert isinstance(copies, ReplicatedVLM)
    assert (copies.name, copies.version, copies.family) == (
        alone.name,
        alone.version,
        alone.family,
    )
    assert dict(copies.options) == dict(alone.options)
