"""Servers that fail, hang, refuse and send endless replies."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from eyechart.core.errors import UnusableVLMError, VLMError
from eyechart.core.types import Request
from eyechart.vlms.chat_client import ChatClient, ServerSettings
from eyechart.vlms.openai_chat import OpenAIChat
from eyechart.vlms.token_cost import SpentTokens
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
from tests.vlms.openai_asking import DECODING, KEY, ask_halving, many, prompt_of

pytestmark = pytest.mark.usefixtures("openai_key")


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
