"""Servers that answer, refuse, fail, hang and send endless replies; and the secrecy of the key."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyechart.cli import run_args
from eyechart.core.errors import EyechartError, InputError, UnusableVLMError, VLMError
from eyechart.core.images import decode_image
from eyechart.core.types import VLM, Decoding, Request, component_of
from eyechart.store import Store
from eyechart.vlms import open_vlm
from eyechart.vlms.chat_client import ChatClient, ServerSettings
from eyechart.vlms.openai_chat import OpenAIChat
from eyechart.vlms.token_cost import Prices, SpentTokens, image_tokens
from tests.vlms.asking import picture, request
from tests.vlms.chat_server import (
    ChatServer,
    Reply,
    completion,
    cut_short,
    dripping,
    error,
    odd_completion,
    serve,
)

KEY = "sk-very-secret-0123456789"
DECODING = Decoding(max_new_tokens=5)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def prompt_of(body: dict[str, Any]) -> str:
    return str(body["messages"][0]["content"][1]["text"])


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


def test_too_many_requests_and_server_errors_are_tried_again() -> None:
    replies = iter(
        [error(429, Retry_After_Ms="1"), error(500, Retry_After_Ms="1"), completion("yes")]
    )
    with serve(lambda _: next(replies)) as server:
        vlm = OpenAIChat("m", base_url=server.url, concurrency=1)
        [[answer]] = vlm.answer([request(8, 8, 1)], DECODING)
    assert answer.text == "yes"
    assert len(server.asked) == 3


def client_of(server: ChatServer, waited: list[float]) -> ChatClient:
    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    settings = ServerSettings(
        shown="m",
        url=server.url,
        key=KEY,
        model="m",
        detail="high",
        concurrency=1,
        timeout_s=60.0,
        retries=6,
    )
    return ChatClient(settings, SpentTokens(), sleep)


def test_pauses_are_as_the_server_asks_or_longer_each_time() -> None:
    waited: list[float] = []
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)
    replies = iter(
        [error(429, Retry_After="90"), error(503, Retry_After=soon), error(500), error(429)]
    )
    with serve(lambda _: next(replies, completion("yes"))) as server:
        answer = client_of(server, waited).submit("data:,", "?", DECODING).result()
    assert answer.text == "yes"
    assert waited[0] == 90
    assert 0 < waited[1] <= 300
    assert waited[2:] == [2, 4]


def test_a_pause_of_hours_is_not_waited_for() -> None:
    waited: list[float] = []
    with serve(lambda _: error(429, Retry_After="7200")) as server:
        asked = client_of(server, waited).submit("data:,", "?", DECODING)
        with pytest.raises(VLMError, match="the server said 429") as caught:
            asked.result()
    assert caught.value.retryable
    assert (waited, len(server.asked)) == ([], 1)


@pytest.mark.parametrize(
    ("reply", "retryable", "message"),
    [
        (error(429, Retry_After_Ms="1"), True, "the server said 429"),
        (error(503, Retry_After_Ms="1"), True, "the server said 503"),
        (error(400, "image too large"), False, "the server said 400"),
        ((200, {"Content-Type": "application/json"}, b"{oops"), False, "not JSON"),
        ((200, {"Content-Type": "text/html"}, b"<html>hello"), False, "not JSON"),
        ((200, {"Content-Type": "application/json"}, b"\xff\xfe"), False, "not JSON"),
        ((200, {"Content-Type": "application/json"}, b"[" * 100_000), False, "not JSON"),
        *(
            (odd_completion(choices=choices), False, "not a chat completion")
            for choices in (
                "abc",
                [],
                ["abc"],
                [None],
                {"0": 1},
                [{"index": 0}],
                [{"message": "hi"}],
                [{"message": None}],
            )
        ),
        (completion(None, message={"content": ["yes"]}), False, "no answer"),
        (cut_short(), True, "the connection broke before the reply was complete"),
        ((200, {"Content-Type": "application/json"}, b'{"a": 1}'), False, "not a chat completion"),
        (completion(None), False, "no answer"),
        (completion(None, finish_reason="content_filter"), False, "content filter"),
    ],
)
def test_failures_are_one_line_and_retryable_or_not(
    reply: Reply, retryable: bool, message: str
) -> None:
    with serve(lambda _: reply) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=1)
        with pytest.raises(VLMError, match=message) as caught:
            vlm.answer([request(8, 8, 1)], DECODING)
    assert caught.value.retryable is retryable
    assert "\n" not in str(caught.value)


def test_a_hanging_server_is_given_up() -> None:
    with serve(lambda _: None) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0, timeout_s=0.2)
        with pytest.raises(VLMError, match=r"no reply within 0\.2 s") as caught:
            vlm.answer([request(8, 8, 1)], DECODING)
    assert caught.value.retryable


def test_a_reply_has_one_deadline_from_its_first_byte_to_its_last() -> None:
    with serve(lambda _: dripping(server)) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0, timeout_s=0.3)
        with pytest.raises(VLMError, match=r"no reply within 0\.3 s"):
            vlm.answer([request(8, 8, 1)], DECODING)


def ask_halving(vlm: OpenAIChat, asked: Request) -> dict[str, str]:
    """What the engine does: halves what fails. -> prompt: answer, or the error of that one."""
    try:
        [answers] = vlm.answer([asked], DECODING)
        return {prompt: answer.text for prompt, answer in zip(asked.prompts, answers, strict=True)}
    except EyechartError as error:
        middle = len(asked.prompts) // 2
        if not middle:
            return {asked.prompts[0]: str(error)}
        halves = (asked.prompts[:middle], asked.prompts[middle:])
        found = [ask_halving(vlm, replace(asked, prompts=half)) for half in halves]
        return {**found[0], **found[1]}


def many(count: int) -> Request:
    return Request(image=picture(8, 8), prompts=tuple(f"{i}?" for i in range(count)))


def test_finding_failed_questions_sends_no_request() -> None:
    def reply(body: dict[str, Any]) -> Reply:
        return error(400) if prompt_of(body) in ("1?", "4?") else completion("fine")

    with serve(reply) as server:
        found = ask_halving(OpenAIChat("m", base_url=server.url), many(6))
    assert len(server.asked) == 6
    assert [prompt for prompt, text in found.items() if "said 400" in text] == ["1?", "4?"]
    assert list(found.values()).count("fine") == 4


def test_one_hanging_question_is_asked_twice_and_fails_no_other() -> None:
    with serve(lambda body: None if prompt_of(body) == "3?" else completion("fine")) as server:
        vlm = OpenAIChat("m", base_url=server.url, timeout_s=0.5, concurrency=3)
        found = ask_halving(vlm, many(6))
    assert "no reply within 0.5 s" in found.pop("3?")
    assert set(found.values()) == {"fine"}
    assert len(server.asked) == 5 + 2


def test_a_server_that_lets_all_questions_hang_is_given_up_early() -> None:
    with serve(lambda _: None) as server:
        vlm = OpenAIChat("m", base_url=server.url, timeout_s=0.1, concurrency=2)
        with pytest.raises(UnusableVLMError, match="8 requests in a row got no reply"):
            vlm.answer([many(60)], DECODING)
        assert all("8 requests" in text for text in ask_halving(vlm, many(59)).values())
    assert len(server.asked) <= 10


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also in background jobs of a shell, which ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_the_wait_for_a_server_and_keeps_what_was_answered(interruptible: None) -> None:
    def reply(body: dict[str, Any]) -> Reply | None:
        if len(server.asked) < 3:
            return completion("fine")
        os.kill(os.getpid(), signal.SIGINT)
        return None

    with serve(reply) as server:
        vlm = OpenAIChat("m", base_url=server.url, concurrency=1)
        with pytest.raises(KeyboardInterrupt):
            vlm.answer([many(6)], DECODING)
        assert server.hung_up.wait(30)
        [answers] = vlm.answer([many(2)], DECODING)
        assert len(server.asked) == 3
    assert [answer.text for answer in answers] == ["fine", "fine"]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (error(401), "the key in OPENAI_API_KEY was refused"),
        (error(402), "quota is used up"),
        (error(429, code="insufficient_quota", Retry_After_Ms="1"), "quota is used up"),
        (error(404), "no model 'm' there"),
    ],
)
def test_an_error_of_all_questions_keeps_earlier_answers(reply: Reply, message: str) -> None:
    good = 3
    with serve(lambda _: completion("fine") if len(server.asked) <= good else reply) as server:
        vlm = OpenAIChat("m", base_url=server.url, concurrency=1)
        with pytest.raises(UnusableVLMError, match=message):
            vlm.answer([many(20)], DECODING)
        found = ask_halving(vlm, many(19))
        assert len(server.asked) <= good + 2  # the next one may be on its way
        assert [text for text in found.values() if message not in text] == ["fine"] * 3
        good = 100  # repaired
        [answers] = vlm.answer([many(20)], DECODING)
    assert len(answers) == 20


def test_a_gateway_that_refuses_one_question_affects_no_other() -> None:
    def reply(body: dict[str, Any]) -> Reply:
        return error(403, Retry_After_Ms="1") if prompt_of(body) == "4?" else completion("fine")

    with serve(reply) as server:
        vlm = OpenAIChat("m", base_url=server.url, concurrency=1)
        found = ask_halving(vlm, many(6))
    assert "the server said 403" in found.pop("4?")
    assert set(found.values()) == {"fine"}
    with serve(lambda _: error(403)) as server, pytest.raises(UnusableVLMError, match="refused"):
        OpenAIChat("m", base_url=server.url).answer([many(1)], DECODING)


def test_a_redirect_is_reported_and_not_followed() -> None:
    with serve(lambda _: (307, {"Location": "http://127.0.0.1:1/elsewhere"}, b"")) as server:
        vlm = OpenAIChat("m", base_url=server.url)
        with pytest.raises(UnusableVLMError, match=r"the server redirects \(307\)"):
            vlm.answer([request(8, 8, 1)], DECODING)
    assert len(server.asked) == 1


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


def test_the_servers_own_words_are_shown_without_control_characters() -> None:
    refused = error(400, "image\x1b[2J too\nlarge", code="image_size")
    with serve(lambda _: refused) as server, pytest.raises(VLMError) as caught:
        OpenAIChat("m", base_url=server.url).answer([request(8, 8, 1)], DECODING)
    assert str(caught.value).endswith("the server said 400: image_size, image\\x1b[2J too large")


@pytest.mark.parametrize("code", ["unsupported_parameter", "unsupported_value"])
def test_a_refused_parameter_ends_the_vlm_at_once(code: str) -> None:
    refused = error(400, "Use max_completion_tokens instead.", code=code)
    with serve(lambda _: refused) as server:
        vlm = OpenAIChat("m", base_url=server.url, concurrency=1)
        with pytest.raises(UnusableVLMError, match=r"max_completion_tokens.*option.* token_limit"):
            vlm.answer([many(6)], DECODING)
    assert len(server.asked) < 6


def test_the_same_refusal_of_all_first_questions_ends_the_vlm() -> None:
    with serve(lambda _: error(400, "no images here")) as server:
        vlm = OpenAIChat("m", base_url=server.url, concurrency=1)
        with pytest.raises(UnusableVLMError, match="no images here, 8 times in a row"):
            vlm.answer([many(30)], DECODING)
    assert len(server.asked) < 30


def test_parameters_are_sent_as_the_options_say_and_are_in_the_identity() -> None:
    with serve(lambda _: completion("yes")) as server:
        plain = OpenAIChat("m", base_url=server.url)
        other = OpenAIChat(
            "m",
            base_url=server.url,
            token_limit="max_completion_tokens",
            temperature=False,
            seed=False,
        )
        plain.answer([request(8, 8, 1)], DECODING)
        other.answer([request(8, 8, 1)], DECODING)
    names = [
        {"max_tokens", "max_completion_tokens", "temperature", "seed"} & {*body}
        for body in server.asked
    ]
    assert names == [{"max_tokens", "temperature", "seed"}, {"max_completion_tokens"}]
    assert component_of(plain) != component_of(other)


def test_the_openai_address_variable_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda _: completion("yes")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        OpenAIChat("m").answer([request(8, 8, 1)], DECODING)
        assert len(server.asked) == 1
    monkeypatch.setenv("OPENAI_BASE_URL", "not an address")
    with pytest.raises(InputError, match="OPENAI_BASE_URL 'not an address' is not an address"):
        OpenAIChat("m").answer([request(8, 8, 1)], DECODING)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks9://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://127.0.0.1:port"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
    ],
)
def test_wrong_connection_variables_are_bad_input(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match="environment variables for proxies and certificates"):
        OpenAIChat("m", base_url="https://host.invalid/v1").answer([many(1)], DECODING)


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


def test_an_endless_reply_is_cut_off() -> None:
    def endless() -> Iterator[bytes]:
        while not server.closing.is_set():
            yield b" " * (1 << 20)

    endless_reply = (200, {"Content-Type": "application/json"}, endless())
    with serve(lambda _: endless_reply) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0)
        with pytest.raises(VLMError, match="the reply is longer than 16,777,216 bytes"):
            vlm.answer([request(8, 8, 1)], DECODING)


def test_an_endless_list_of_models_is_cut_off() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            sent.append(1 << 20)
            yield b" " * (1 << 20)

    sent: list[int] = []
    with serve(lambda _: completion("yes")) as server:
        server.models = (200, {"Content-Type": "application/json"}, endless())
        OpenAIChat("m", base_url=server.url).check()
    assert sum(sent) < 40 << 20


def test_an_endless_error_reply_is_read_only_to_its_message() -> None:
    def endless() -> Iterator[bytes]:
        yield b"the image is too wide"
        for _ in range(64):
            sent.append(1 << 20)
            yield b" " * (1 << 20)

    sent: list[int] = []
    kinds = {"Content-Type": "text/plain"}
    with serve(lambda _: (400, kinds, endless())) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0)
        with pytest.raises(VLMError, match=r"the server said 400: the image is too wide$"):
            vlm.answer([request(8, 8, 1)], DECODING)
    assert sum(sent) < 40 << 20


def test_an_error_reply_that_inflates_is_bounded() -> None:
    bomb = gzip.compress(b"too wide" + b" " * (64 << 20))
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    with serve(lambda _: (400, headers, bomb)) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0)
        with pytest.raises(VLMError, match=r"the server said 400: too wide$"):
            vlm.answer([request(8, 8, 1)], DECODING)


def test_an_error_reply_has_the_deadline_of_an_answer() -> None:
    with serve(lambda _: (500, *dripping(server)[1:])) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0, timeout_s=0.3)
        with pytest.raises(VLMError, match=r"no reply within 0\.3 s"):
            vlm.answer([request(8, 8, 1)], DECODING)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_reply_that_breaks_off_is_a_broken_connection(status: int) -> None:
    torn = (status, {"Content-Type": "application/json", "Content-Length": "1000"}, iter([b"{"]))
    with serve(lambda _: torn) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0)
        with pytest.raises(VLMError, match="the connection broke before the reply was complete"):
            vlm.answer([request(8, 8, 1)], DECODING)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/json", b'{"error": "too wide"}', "too wide"),
        ("application/json", b'{"detail": [{"loc": ["seed"], "msg": "unknown"}]}', '"unknown"'),
        ("text/plain", b"upstream: too wide", "upstream: too wide"),
    ],
)
def test_what_servers_say_in_other_forms_is_shown(kind: str, body: bytes, said: str) -> None:
    with serve(lambda _: (422, {"Content-Type": kind}, body)) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0)
        with pytest.raises(VLMError, match=f"the server said 422: .*{said}"):
            vlm.answer([request(8, 8, 1)], DECODING)


def test_an_answer_cut_by_the_limit_is_marked() -> None:
    with serve(lambda _: completion("a long", finish_reason="length")) as server:
        [[answer]] = OpenAIChat("m", base_url=server.url).answer([request(8, 8, 1)], DECODING)
    assert answer.truncated


def test_answers_paid_for_are_not_asked_again_after_a_failure() -> None:
    broken = {"3?"}

    def reply(body: dict[str, Any]) -> Reply:
        prompt = prompt_of(body)
        return error(400) if prompt in broken else completion(prompt)

    asked = Request(image=picture(8, 8), prompts=tuple(f"{i}?" for i in range(6)))
    with serve(reply) as server:
        vlm = OpenAIChat("m", base_url=server.url, concurrency=1)
        with pytest.raises(VLMError, match="400"):
            vlm.answer([asked], DECODING)
        before = [prompt_of(body) for body in server.asked]
        broken.clear()
        [answers] = vlm.answer([asked], DECODING)
    assert [answer.text for answer in answers] == list(asked.prompts)
    after = [prompt_of(body) for body in server.asked][len(before) :]
    assert set(after) == set(asked.prompts) - (set(before) - {"3?"})


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "key in OPENAI_API_KEY was refused"),
        (error(404, f"no such model for {KEY}"), "no model 'm' there"),
        (
            error(400, f"odd request with {KEY}"),
            r"the server said 400.*odd request with \[the key\]",
        ),
        (error(400, f"odd request with {KEY[:14]}..."), "the server said 400.*a part of the key"),
    ],
)
def test_the_key_is_never_shown(
    reply: Reply, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with serve(lambda _: reply) as server:
        vlm = OpenAIChat("m", base_url=server.url, retries=0)
        with pytest.raises(EyechartError, match=message) as caught:
            vlm.answer([request(8, 8, 1)], DECODING)
    assert server.keys == [f"Bearer {KEY}"]
    shown = [str(caught.value), repr(caught.value), repr(vlm), repr(vlm.options), caplog.text]
    assert caught.value.__cause__ is None
    assert not any(KEY in text for text in shown)


def test_a_missing_key_is_an_error_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(InputError, match="no key; set the environment variable OPENAI_API_KEY"):
        OpenAIChat("gpt-4o").answer([request(8, 8, 1)], DECODING)


@pytest.mark.parametrize(
    "key", ["sk-\n-very-secret", "sk-sécret-0123456789", "sk secret sk secret"]
)
def test_an_invalid_key_is_refused_without_showing_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match="OPENAI_API_KEY is not a key; allowed") as caught:
        OpenAIChat("m", base_url="http://127.0.0.1:9/v1").answer([request(8, 8, 1)], DECODING)
    assert key not in str(caught.value)


def test_space_around_a_key_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    with serve(lambda _: completion("yes")) as server:
        OpenAIChat("m", base_url=server.url).answer([request(8, 8, 1)], DECODING)
    assert server.keys == [f"Bearer {KEY}"]
    monkeypatch.setenv("OPENAI_API_KEY", " \n")
    with pytest.raises(InputError, match="no key"):
        OpenAIChat("gpt-4o").answer([request(8, 8, 1)], DECODING)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "notaurl",
        "ftp://h/v1",
        "http://",
        "http:///v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:x/v1",
        "http://[::1/v1",
        "http://300.1.1.1/v1",
        "http://a b/v1",
        "http://h/v1?key=s3cr3t",
        "http://u:s3cr3t@h/v1?x=y",
        "http://h/v1#here",
        8000,
    ],
)
def test_what_is_no_address_is_refused_at_once(url: Any) -> None:
    with pytest.raises(InputError, match=r"base_url .*; allowed: http:// or https://") as caught:
        OpenAIChat("m", base_url=url)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1]:80/v1", "https://host", "http://10.0.0.1/a/b/", "http://bücher.de:1/v1"]
)
def test_valid_addresses_are_accepted(url: str) -> None:
    assert OpenAIChat("m", base_url=url).address == url


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("retries", value) for value in (-1, "x", 1.5, True, None)),
        *(
            ("timeout_s", value)
            for value in (0, -1, 1e300, "abc", float("nan"), float("inf"), None)
        ),
        *(("concurrency", value) for value in (0, "8", 2.5)),
        *(("detail", value) for value in ("medium", None, 1, [])),
        *(("model", value) for value in ("", " ", 4, None)),
        *(("name", value) for value in ("", 4)),
        *(("usd_per_million_input", value) for value in ("abc", -1, float("nan"))),
        ("usd_per_million_output", "1"),
        ("family", ["gpt-4o"]),
    ],
)
def test_an_option_that_is_not_allowed_is_named(option: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{option} .*: allowed: ") as caught:
        OpenAIChat(**{"model": "m", option: value})
    assert repr(value) in str(caught.value)


def test_an_unreachable_server_is_bad_input() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    vlm = OpenAIChat("m", base_url=f"http://127.0.0.1:{port}/v1", retries=10**9)
    with pytest.raises(UnusableVLMError, match="cannot be reached"):
        vlm.answer([request(8, 8, 1)], DECODING)


def run_fresh(out: Path, url: str, images: int = 1) -> int:
    """The exit code of a run on the built-in chart."""
    vlm = f"openai:model=m,base_url={url},retries=0"
    return run_args(
        f"run --vlm {vlm} --tasks POPE --codecs source --max-images {images} --workers 0 "
        f"--no-report --out {out}".split()
    )


def test_a_run_that_cannot_start_leaves_no_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with serve(lambda _: completion("yes")) as server:
        server.models = error(401, f"bad {KEY}", code="invalid_api_key")
        assert run_fresh(out, server.url) == 2
        url = server.url
    assert run_fresh(out, url) == 2  # the server is gone
    monkeypatch.setenv("OPENAI_API_KEY", "ké")
    assert run_fresh(out, url) == 2
    refused, unreachable, no_key = capsys.readouterr().err.splitlines()
    assert "the key in OPENAI_API_KEY was refused" in refused
    assert "the server cannot be reached" in unreachable
    assert "is not a key" in no_key
    assert not out.exists()


def test_the_addresses_of_a_server_are_noted_and_part_of_no_key(tmp_path: Path) -> None:
    out, addresses, asked = tmp_path / "out", [], []
    for images in (1, 2, 2):  # each has another port, as after a restart
        with serve(lambda _: completion("yes")) as server:
            assert run_fresh(out, server.url.replace("//", "//user:password@"), images) == 0
            addresses.append(server.url)
            asked.append(len(server.asked))
    (cell,) = Store(out).cells()
    assert len(cell.records()) == sum(asked)
    assert asked[2] == 0  # all was answered, by servers at other addresses
    noted = [json.loads(line) for line in (out / "servers.jsonl").read_text().splitlines()]
    assert [line["address"] for line in noted] == addresses[:2]


@pytest.mark.parametrize("models", [error(401, "missing scope"), error(404), (200, {}, b"<html>")])
def test_a_server_that_lists_no_models_is_asked_all_the_same(tmp_path: Path, models: Reply) -> None:
    out = tmp_path / "out"
    with serve(lambda _: completion("yes")) as server:
        server.models = models
        assert run_fresh(out, server.url) == 0
    assert run_fresh(out, server.url) == 0  # finished: it needs the server no more


def test_choice_sets_are_refused() -> None:
    with pytest.raises(InputError, match="choice-set"):
        OpenAIChat("m", base_url="http://127.0.0.1:9/v1").answer([], Decoding(choice_set=True))


def test_cost_before_and_after() -> None:
    asked = request(480, 640, 3)
    with serve(lambda _: completion("yes")) as server:
        vlm = OpenAIChat("gpt-4o", base_url=server.url)
        before = vlm.estimate_usd([asked], DECODING)
        vlm.answer([asked], DECODING)
    text = sum(-(-len(prompt) // 4) for prompt in asked.prompts)
    # 425 tokens for an image, 10 for the chat's form; an answer of 5
    assert before == pytest.approx((3 * 435 + text) * 2.5e-6 + 3 * 5 * 10e-6)
    assert vlm.spent_usd == pytest.approx((300 * 2.5 + 6 * 10) / 1e6)
    assert OpenAIChat("unknown").estimate_usd([asked], DECODING) is None


@pytest.mark.parametrize(
    ("height", "width", "detail", "tokens"),
    [
        (1024, 1024, "high", 765),  # OpenAI's own two examples
        (4096, 2048, "high", 1105),
        (4096, 2048, "low", 85),
        (480, 640, "high", 425),
    ],
)
def test_image_tokens(height: int, width: int, detail: str, tokens: int) -> None:
    assert image_tokens(height, width, detail=detail) == tokens


@pytest.mark.parametrize(
    ("model", "option", "tokens"),
    [
        ("gpt-4o", {}, 425),
        ("gpt-4o-2024-08-06", {}, 425),
        ("Qwen/Qwen2.5-VL-7B-Instruct", {}, 0),
        ("gpt-4o-audio", {}, 0),
        ("my-copy", {"image_tokens": "gpt-4o"}, 425),
        ("my-copy", {"image_tokens": "gpt-4o-mini"}, 2833 + 2 * 5667),
    ],
)
def test_visual_tokens_of_other_models_than_openais_are_unknown(
    model: str, option: dict[str, Any], tokens: int
) -> None:
    vlm = OpenAIChat(model, **option)
    assert vlm.visual_tokens(480, 640) == tokens
    assert vlm.options == OpenAIChat(model).options  # it changes no answer
    with pytest.raises(InputError, match="image_tokens 'llava': allowed: gpt-4o, gpt-4o-mini"):
        OpenAIChat(model, image_tokens="llava")


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"])
def test_the_small_model_counts_more_tokens_for_an_image(model: str) -> None:
    assert image_tokens(1024, 1024, detail="high", model=model) == 2833 + 4 * 5667
    assert image_tokens(1024, 1024, detail="low", model=model) == 2833
    asked = Request(image=picture(512, 512), prompts=("Why?",))
    usd = OpenAIChat(model).estimate_usd([asked], DECODING)
    assert usd == pytest.approx((2833 + 5667 + 10 + 1) * 0.15e-6 + 5 * 0.6e-6)


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("gpt-4o", 2.5),
        ("gpt-4o-2024-08-06", 2.5),
        ("gpt-4o-2024-05-13", 5.0),
        ("gpt-4o-mini-2024-07-18", 0.15),
        ("gpt-4o-audio-preview", None),
        ("gpt-4o-2024", None),
    ],
)
def test_dated_names_have_the_price_of_their_model(model: str, usd: float | None) -> None:
    assert Prices.of(model, None, None).usd_input == usd


def test_names_and_identity() -> None:
    gpt = open_vlm("gpt-4o")
    assert (gpt.name, gpt.family) == ("gpt-4o", "gpt-4o")
    chat = open_vlm("qwen-vl-chat", base_url="http://user:pass@host:8000/v1")
    assert (chat.name, chat.family) == ("qwen-vl-chat", "qwen-vl-chat")
    moved = open_vlm("qwen-vl-chat", base_url="http://other:9000/v1")
    assert component_of(chat) == component_of(moved)  # the same server, started again elsewhere
    fast = open_vlm("gpt-4o", concurrency=1, timeout_s=3, retries=0)
    assert dict(fast.options) == dict(gpt.options)


def test_answers_to_another_familys_prompts_are_another_vlms() -> None:
    vlms = [
        OpenAIChat("m", base_url="http://h/v1", family=family) for family in ("internvl3", None)
    ]
    assert component_of(vlms[0]) != component_of(vlms[1])
    with pytest.raises(InputError, match=r"family 'internvl': allowed: .*internvl3"):
        OpenAIChat("m", base_url="http://h/v1", family="internvl")
