"""`eyechart serve`: a VLM behind OpenAI's chat protocol, asked by this package's own client."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest

from eyechart.api.serving import vlm_server
from eyechart.cli import run_args
from eyechart.core.errors import InputError, VLMError
from eyechart.core.plugins import parse_spec
from eyechart.core.types import Answer, Decoding, Json, Request, Rgb8
from eyechart.vlms import open_vlm
from eyechart.vlms.openai_chat import _data_url
from eyechart.vlms.serving import VLMServer
from eyechart.zoo import weights_dir


class MeanOfPixels:
    """Answers with the question and the mean of the image. "fail" fails the whole call. It waits
    in its first call until `go` is set."""

    name, version, family = "mean", "1", "default"
    options: Mapping[str, Json] = {}

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, ...]]] = []
        self.started, self.go = threading.Event(), threading.Event()
        self.go.set()

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        self.calls.append([request.prompts for request in requests])
        self.started.set()
        self.go.wait(30)
        if any("fail" in request.prompts for request in requests):
            raise VLMError("mean: failed")
        return [
            [self._said(request.image, prompt, decoding) for prompt in request.prompts]
            for request in requests
        ]

    def _said(self, rgb8: Rgb8, prompt: str, decoding: Decoding) -> Answer:
        limit = decoding.max_new_tokens
        return Answer(text=f"{prompt} {rgb8.mean():.3f}", tokens=limit, truncated=limit < 8)


@contextmanager
def serving(server: VLMServer) -> Iterator[VLMServer]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def vlm() -> MeanOfPixels:
    return MeanOfPixels()


@pytest.fixture
def server(vlm: MeanOfPixels, monkeypatch: pytest.MonkeyPatch) -> Iterator[VLMServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with serving(VLMServer(vlm, "mean")) as found:
        yield found


def noise(seed: int) -> Rgb8:
    return np.random.default_rng(seed).integers(0, 256, (20 + seed, 31, 3), np.uint8)


def asked_of(server: VLMServer, **more: Any) -> dict[str, Any]:
    """A request that is answered, with other values."""
    content = [
        {"type": "image_url", "image_url": {"url": _data_url(noise(0))}},
        {"type": "text", "text": "what?"},
    ]
    return {"model": server.name, "messages": [{"role": "user", "content": content}], **more}


def posted(server: VLMServer, body: bytes, path: str = "/chat/completions") -> tuple[int, Any]:
    sent = urllib.request.Request(server.url + path, data=body)
    try:
        with urllib.request.urlopen(sent) as reply:
            return reply.status, json.load(reply)
    except HTTPError as error:
        return error.code, json.load(error)


def test_every_question_gets_the_answer_about_its_own_image(
    server: VLMServer, vlm: MeanOfPixels
) -> None:
    client = open_vlm("openai", model="mean", base_url=server.url, concurrency=8)
    requests = [
        Request(image=noise(n), prompts=tuple(f"{n}{letter}?" for letter in "abc"))
        for n in range(8)
    ]
    found = client.answer(requests, Decoding(max_new_tokens=8))
    assert [[one.text for one in its] for its in found] == [
        [f"{prompt} {request.image.mean():.3f}" for prompt in request.prompts]
        for request in requests
    ]
    assert not any(one.truncated for its in found for one in its)
    ((short,),) = client.answer(
        [Request(image=noise(9), prompts=("x",))], Decoding(max_new_tokens=2)
    )
    assert short.truncated


def test_questions_that_wait_are_answered_together_and_fail_alone(
    server: VLMServer, vlm: MeanOfPixels
) -> None:
    vlm.go.clear()
    replies: dict[str, tuple[int, Any]] = {}

    def ask(text: str, seed: int) -> None:
        asked = asked_of(server)
        parts = asked["messages"][0]["content"]
        parts[0]["image_url"]["url"], parts[1]["text"] = _data_url(noise(seed)), text
        replies[text] = posted(server, json.dumps(asked).encode())

    first = threading.Thread(target=ask, args=("first", 0))
    first.start()
    assert vlm.started.wait(30)
    others = [("a", 1), ("b", 1), ("c", 2), ("fail", 2)]
    threads = [threading.Thread(target=ask, args=one) for one in others]
    for thread in threads:
        thread.start()
    for _ in range(30_000):  # until all have arrived
        if len(server._waiting) == 1 + len(others):
            break
        threading.Event().wait(0.001)
    vlm.go.set()
    for thread in (first, *threads):
        thread.join()
    assert {text: status for text, (status, _) in replies.items()} == {
        **dict.fromkeys(("first", "a", "b", "c"), 200),
        "fail": 422,
    }
    for text, seed in (("first", 0), *others[:3]):
        said = replies[text][1]["choices"][0]["message"]["content"]
        assert said == f"{text} {noise(seed).mean():.3f}"
    assert replies["fail"][1]["error"]["message"] == "mean: failed"
    together = vlm.calls[1]
    assert sorted(prompt for prompts in together for prompt in prompts) == ["a", "b", "c", "fail"]
    assert len(together) == 2  # one request for each image


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": "gpt-4o"}, "no model 'gpt-4o'; allowed: mean"),
        ({"temperature": 0.5}, "Expected `float` <= 0.0 - at `$.temperature`"),
        ({"n": 2}, "at `$.n`"),
        ({"stream": True}, "stream is true; allowed: false"),
        ({"tools": []}, "unknown field `tools`"),
        ({"max_tokens": 0}, "Expected `int` >= 1 - at `$.max_tokens`"),
        ({"messages": []}, "at `$.messages`"),
        ({"model": "m" * 100_000}, f"no model '{'m' * 100}'; allowed: mean"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a" * 65_537}]}]},
            "Expected `str` of length <= 65536",
        ),
        ({"messages": [{"role": "user", "content": []}]}, "0 images and 0 texts; allowed: one"),
        ({"messages": [{"role": "system", "content": []}]}, "at `$.messages[0].role`"),
    ],
)
def test_what_would_change_an_answer_is_refused(
    server: VLMServer, vlm: MeanOfPixels, more: dict[str, Any], says: str
) -> None:
    status, reply = posted(server, json.dumps(asked_of(server, **more)).encode())
    assert status == 400
    assert says in reply["error"]["message"]
    assert not vlm.calls


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://example.org/a.png", "allowed: data:image/png;base64,"),
        ("data:image/png;base64,%%", "its base64 is damaged"),
        ("data:image/png;base64,AAAA", "not a readable image"),
    ],
)
def test_an_image_that_cannot_be_read_is_refused(server: VLMServer, url: str, says: str) -> None:
    asked = asked_of(server)
    asked["messages"][0]["content"][0]["image_url"]["url"] = url
    status, reply = posted(server, json.dumps(asked).encode())
    assert status == 400
    assert says in reply["error"]["message"]


def test_other_bodies_and_paths_are_refused(server: VLMServer) -> None:
    for body in (b"", b"{", b"\xff", b"[" * 100_000):
        status, reply = posted(server, body)
        assert status == 400
        assert "\n" not in reply["error"]["message"]
    assert posted(server, b"{}", "/embeddings")[0] == 404
    with urllib.request.urlopen(f"{server.url}/models") as found:
        assert [model["id"] for model in json.load(found)["data"]] == ["mean"]


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"


@contextmanager
def connected(server: VLMServer, sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(server.server_address[:2]) as client:
        client.settimeout(30)
        client.sendall(sent)
        yield client


@pytest.mark.parametrize("length", ["", "-1", "x", "999999999", "9" * 5000])
@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_body_of_no_known_or_too_large_a_size_is_refused_unread(
    server: VLMServer, length: str, expect: bytes
) -> None:
    head = HEAD + expect + f"Content-Length: {length}\r\n\r\n".encode()
    with connected(server, head) as client, client.makefile("rb") as reply:
        said = reply.read()  # to its end: the connection is closed
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"allowed: 0 to 268435456" in said
    assert len(said) < 1000


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(server: VLMServer) -> None:
    body = json.dumps(asked_of(server)).encode()
    head = HEAD + f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with connected(server, head) as client, client.makefile("rb") as reply:
        assert reply.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert reply.readline() == b"\r\n"
        client.sendall(body)
        assert reply.readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_client_that_ends_or_stops_in_the_middle_of_its_body_is_let_go(
    server: VLMServer,
    vlm: MeanOfPixels,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    head = HEAD + b"Content-Length: 1000\r\n\r\n{"
    with connected(server, head) as client, client.makefile("rb") as reply:
        client.shutdown(socket.SHUT_WR)
        assert b"a body of 1 bytes; its Content-Length is 1000" in reply.read()
    monkeypatch.setattr("eyechart.vlms.serving._VLMHandler.timeout", 0.05)
    with connected(server, head) as client:
        assert client.recv(100) == b""
    assert not vlm.calls
    assert capsys.readouterr().err == ""


def test_nothing_is_printed_of_a_client_that_is_gone(
    server: VLMServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, printed in ((BrokenPipeError(), ""), (ValueError("wrong"), "ValueError: wrong")):
        try:
            raise error
        except (OSError, ValueError):
            server.handle_error(None, ("127.0.0.1", 1))
        assert printed in (said := capsys.readouterr().err)
        assert bool(said) == bool(printed)


def test_only_so_many_questions_are_in_memory_at_once(
    vlm: MeanOfPixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eyechart.vlms.serving._MOST_WAITING", 2)
    vlm.go.clear()
    found: list[int] = []
    with serving(VLMServer(vlm, "mean")) as server:
        body = json.dumps(asked_of(server)).encode()
        threads = [
            threading.Thread(target=lambda: found.append(posted(server, body)[0])) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for _ in range(30_000):  # until both places are taken
            if len(server._waiting) == 2:
                break
            threading.Event().wait(0.001)
        vlm.go.set()
        for thread in threads:
            thread.join()
    assert found == [200] * 6
    assert max(len(prompts) for call in vlm.calls for prompts in call) <= 2


def test_a_wrong_number_of_answers_fails_one_question_and_no_later_one(
    server: VLMServer, vlm: MeanOfPixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(asked_of(server)).encode()
    with monkeypatch.context() as patch:
        patch.setattr(vlm, "answer", lambda requests, decoding: [[]])
        status, reply = posted(server, body)
    assert status == 500
    assert reply["error"]["message"].startswith("mean: ")
    assert not server._waiting
    assert posted(server, body)[0] == 200


def test_a_client_asks_again_only_where_the_vlm_says_that_it_may_help(
    server: VLMServer, vlm: MeanOfPixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_vlm("openai", model="mean", base_url=server.url, retries=1)
    request = Request(image=noise(0), prompts=("what?",))
    client.answer([request], Decoding())
    for retryable, calls in ((False, 1), (True, 2)):
        asked: list[int] = []

        def fails(*_: Any, asked: list[int] = asked, retryable: bool = retryable) -> Any:
            asked.append(1)
            raise VLMError("mean: failed", retryable=retryable)

        monkeypatch.setattr(vlm, "answer", fails)
        monkeypatch.setattr("eyechart.vlms.chat_client._FIRST_PAUSE_S", 0.0)
        with pytest.raises(VLMError, match="mean: failed"):
            client.answer([replace(request, prompts=(f"{retryable}",))], Decoding())
        assert len(asked) == calls


def test_the_address_names_the_family_whose_prompts_the_vlm_expects(server: VLMServer) -> None:
    assert server.spec == f"openai:model=mean,base_url={server.url},family=default"
    with vlm_server("eyechart-mini-s", port=0, device="cpu") as built_in:
        assert built_in.spec.endswith(",family=qwen2_5_vl")


def test_the_built_in_vlm_says_the_same_as_without_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    requests = [Request(image=noise(1), prompts=("Is there a dog?", "Describe the image."))]
    decoding = Decoding(max_new_tokens=8)
    expected = open_vlm("eyechart-mini-s", device="cpu").answer(requests, decoding)
    with serving(vlm_server("eyechart-mini-s", port=0, device="cpu")) as server:
        served = open_vlm("openai", model="eyechart-mini-s", base_url=server.url)
        found = served.answer(requests, decoding)
    assert [one.text for one in found[0]] == [one.text for one in expected[0]]


def test_what_the_command_prints_is_an_argument_of_other_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(VLMServer, "serve_forever", lambda server: None)
    shutil.copytree(weights_dir("eyechart-mini-s"), tmp_path / "my model")
    assert run_args(["serve", "--vlm", str(tmp_path / "my model"), "--port", "0"]) == 0
    option, spec = shlex.split(capsys.readouterr().out)
    name, options = parse_spec(spec)
    assert (option, name, options["model"]) == ("--vlm", "openai", "my model")
    assert str(options["base_url"]).startswith("http://127.0.0.1:")


def test_an_address_or_a_vlm_that_cannot_be_used_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for given, says in (
            (["--port", str(port)], f"127.0.0.1:{port} cannot be used (Address already in use)"),
            (["--port", "70000"], "70000"),
            (["--vlm", "no-such-vlm"], "no-such-vlm"),
            (["--vlm", "openai:model=m,base_url=http://127.0.0.1:9/v1"], "cannot be reached"),
        ):
            assert run_args(["serve", *given]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert says in line
    with pytest.raises(InputError, match="cannot be used"):
        vlm_server("eyechart-mini-s", host="no.such.host.invalid")
