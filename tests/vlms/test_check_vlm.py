"""The conformance check passes a real VLM and fails VLMs that violate a requirement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from eyechart.core.types import Answer, Decoding, Json, Request
from eyechart.testing.vlms import check_vlm
from eyechart.vlms.qwen2_5_vl import Qwen25VL

Say = Callable[[int, Request, str], Answer]


class RepeatingVLM:
    """Answers with a function of its call count, the request and the prompt."""

    name, version, family = "repeating", "1", "default"

    def __init__(self, say: Say, options: Mapping[str, Json] | None = None) -> None:
        self.say, self.options, self.calls = say, options or {}, 0

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        self.calls += 1
        return [[self.say(self.calls, r, prompt) for prompt in r.prompts] for r in requests]


def word(text: str) -> Answer:
    return Answer(text=text, tokens=1)


def test_a_real_vlm_passes(qwen_dir: Path) -> None:
    check_vlm(Qwen25VL(str(qwen_dir), device="cpu", min_pixels=None, max_pixels=None))


def test_a_vlm_that_repeats_the_prompt_passes() -> None:
    check_vlm(RepeatingVLM(lambda _, __, prompt: word(prompt)))


@pytest.mark.parametrize(
    ("say", "broken"),
    [
        (lambda calls, _, __: word(str(calls)), "second call gave other answers"),
        (lambda _, r, __: word(str(len(r.prompts))), "asked alone"),
        (lambda _, __, prompt: Answer(text=prompt, tokens=99), "99 tokens, allowed 8"),
        (lambda _, __, prompt: prompt, "is not an Answer"),
    ],
)
def test_violated_requirements_are_named(say: Say, broken: str) -> None:
    with pytest.raises(AssertionError, match=broken):
        check_vlm(RepeatingVLM(say))


def test_a_device_among_the_options_is_refused() -> None:
    with pytest.raises(AssertionError, match="device"):
        check_vlm(RepeatingVLM(lambda _, __, prompt: word(prompt), {"device": "cpu"}))
