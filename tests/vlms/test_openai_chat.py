"""Questions to an OpenAI-style server, and its answers."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from eyechart.core.errors import VLMError
from eyechart.core.images import decode_image
from eyechart.core.types import VLM, Request, component_of
from eyechart.vlms.openai_chat import OpenAIChat
from tests.vlms.asking import picture, request
from tests.vlms.chat_server import (
    completion,
    odd_completion,
    serve,
)
from tests.vlms.openai_asking import DECODING, KEY, prompt_of

pytestmark = pytest.mark.usefixtures("openai_key")


def test_every_question_is_asked_once_and_answered_in_order() -> None:
    requests = [
        Request(image=picture(30, 40, seed), prompts=tuple(f"{seed}.{i}?" for i in range(7)))
        for seed in range(3)
    ]
    with serve(lambda body: completion("re " + prompt_of(body))) as server:
        vlm = OpenAIChat("m", base_url=server.url)
        answers = vlm.answer(requests, DECODING)
    assert isinstance(vlm, VLM)
    assert [[a.text for a in given] for given in answers] == [
        [f"re {prompt}" for prompt in asked.prompts] for asked in requests
    ]
    assert len(server.asked) == 21
    assert {body["temperature"] for body in server.asked} == {0}
    assert {body["max_tokens"] for body in server.asked} == {5}


def test_the_image_arrives_bit_for_bit_as_png() -> None:
    asked = request(33, 47, 1)
    with serve(lambda _: completion("yes")) as server:
        OpenAIChat("m", base_url=server.url).answer([asked], DECODING)
    url = server.asked[0]["messages"][0]["content"][0]["image_url"]["url"]
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(decode_image(base64.b64decode(data)), asked.image)


@pytest.mark.parametrize(
    "usage",
    [
        "many",
        None,
        [],
        {"prompt_tokens": None, "completion_tokens": "2"},
        {"prompt_tokens": -1},
        {"prompt_tokens": int("9" * 400)},
    ],
)
def test_a_bill_that_cannot_be_read_costs_no_answer(usage: object) -> None:
    with serve(lambda _: odd_completion(usage=usage)) as server:
        vlm = OpenAIChat("gpt-4o", base_url=server.url)
        [[answer]] = vlm.answer([request(8, 8, 1)], DECODING)
    assert answer.text == "yes"
    assert vlm.spent_usd == 0


def test_tokens_of_a_reply_without_an_answer_are_paid_for_too() -> None:
    with serve(lambda _: completion(None)) as server:
        vlm = OpenAIChat("m", base_url=server.url)
        with pytest.raises(VLMError, match="no answer"):
            vlm.answer([request(8, 8, 1)], DECODING)
    assert (vlm.spent.input_tokens, vlm.spent.output_tokens) == (100, 2)


def test_an_answer_that_holds_the_key_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda _: completion(f"You sent Bearer {KEY}!")) as server:
        with pytest.raises(VLMError, match="contains the key") as caught:
            OpenAIChat("m", base_url=server.url).answer([request(8, 8, 1)], DECODING)
        assert KEY not in str(caught.value)
        monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")  # no secret: what one types for vLLM
        OpenAIChat("m", base_url=server.url).answer([request(8, 8, 1)], DECODING)


def test_a_refusal_is_an_answer() -> None:
    with serve(lambda _: completion(None, message={"refusal": "I cannot help."})) as server:
        [[answer]] = OpenAIChat("m", base_url=server.url).answer([request(8, 8, 1)], DECODING)
    assert answer.text == "I cannot help."


def test_a_model_that_was_still_reasoning_gave_an_empty_cut_answer() -> None:
    with serve(lambda _: completion(None, finish_reason="length")) as server:
        [[answer]] = OpenAIChat("m", base_url=server.url).answer([request(8, 8, 1)], DECODING)
    assert (answer.text, answer.truncated) == ("", True)


def test_an_answer_that_the_content_filter_cut_is_no_answer() -> None:
    with serve(lambda _: completion("The man is", finish_reason="content_filter")) as server:
        vlm = OpenAIChat("m", base_url=server.url)
        with pytest.raises(VLMError, match="content filter ended the answer"):
            vlm.answer([request(8, 8, 1)], DECODING)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>Is it red? No.</think>\n\nYes", "Yes"),
        ("It looks red. </think> Yes", "Yes"),
        ("<think>still going", ""),
        ("Yes", "Yes"),
    ],
)
def test_thinking_is_removed_with_the_option(text: str, left: str) -> None:
    with serve(lambda _: completion(text)) as server:
        stripping = OpenAIChat("m", base_url=server.url, strip_thinking=True)
        [[stripped]] = stripping.answer([request(8, 8, 1)], DECODING)
        whole = OpenAIChat("m", base_url=server.url)
        [[kept]] = whole.answer([request(8, 8, 1)], DECODING)
    assert (stripped.text, kept.text) == (left, text)
    assert component_of(stripping) != component_of(whole)


def test_an_answer_cut_by_the_limit_is_marked() -> None:
    with serve(lambda _: completion("a long", finish_reason="length")) as server:
        [[answer]] = OpenAIChat("m", base_url=server.url).answer([request(8, 8, 1)], DECODING)
    assert answer.truncated
