"""The endpoint for Qwen-VL-Chat with a substitute for the model, and eyechart's own client."""

from __future__ import annotations

import base64
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest

from eyechart.core.errors import InputError, VLMError
from eyechart.core.images import decode_image, encode_png
from eyechart.core.types import Decoding, Request, Rgb8
from eyechart.vlms import open_vlm
from recipes.serve_qwen_vl_chat.protocol import ChatAnswer, ChatServer, Refused, read_request

NAME = "Qwen/Qwen-VL-Chat"


class StandIn:
    """Stores the images that it gets; answers with the mean of the image."""

    def __init__(self) -> None:
        self.seen: list[Rgb8] = []
        self.asked: list[tuple[str, int]] = []
        self.at_work = 0
        self.most_at_work = 0

    def answer(self, image_path: str, text: str, max_new_tokens: int) -> ChatAnswer:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        picture = decode_image(Path(image_path).read_bytes())
        self.seen.append(picture)
        self.asked.append((text, max_new_tokens))
        self.at_work -= 1
        if text == "too much":
            raise RuntimeError("out of memory")
        return ChatAnswer(
            text=f"{text} {picture.mean():.3f}",
            prompt_tokens=10,
            completion_tokens=max_new_tokens,
            truncated=text == "long",
        )


@pytest.fixture
def model() -> StandIn:
    return StandIn()


@pytest.fixture
def server(model: StandIn, tmp_path: Path) -> Iterator[ChatServer]:
    serving = ChatServer(model, NAME, folder=str(tmp_path))
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield serving
    serving.shutdown()
    serving.server_close()
    thread.join()


def asked_by_eyechart(server: ChatServer, **options: Any) -> Any:
    return open_vlm("qwen-vl-chat", base_url=f"http://127.0.0.1:{server.server_port}/v1", **options)


def noise(seed: int) -> Rgb8:
    return np.random.default_rng(seed).integers(0, 256, (20 + seed, 31, 3), np.uint8)


def test_eyechart_gets_every_answer_and_the_model_every_pixel(
    server: ChatServer, model: StandIn, tmp_path: Path
) -> None:
    requests = [Request(image=noise(n), prompts=(f"{n}a?", f"{n}b?")) for n in range(5)]
    vlm = asked_by_eyechart(server)
    answers = vlm.answer(requests, Decoding(max_new_tokens=7))
    assert vlm.family == "qwen-vl-chat"
    assert [[answer.text for answer in its] for its in answers] == [
        [f"{prompt} {asked.image.mean():.3f}" for prompt in asked.prompts] for asked in requests
    ]
    assert {limit for _, limit in model.asked} == {7}
    assert model.most_at_work == 1
    for shown, (text, _) in zip(model.seen, model.asked, strict=True):
        assert np.array_equal(shown, requests[int(text[0])].image)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_answer_is_marked(server: ChatServer) -> None:
    asked = Request(image=noise(0), prompts=("short", "long"))
    [answers] = asked_by_eyechart(server).answer([asked], Decoding())
    assert [answer.truncated for answer in answers] == [False, True]


def test_what_the_model_cannot_do_is_a_server_error_and_leaves_no_file(
    server: ChatServer, tmp_path: Path
) -> None:
    with pytest.raises(VLMError, match="the server said 500"):
        asked_by_eyechart(server, retries=0).answer(
            [Request(image=noise(0), prompts=("too much",))], Decoding()
        )
    assert list(tmp_path.iterdir()) == []


def test_another_model_is_not_here(server: ChatServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    with pytest.raises(InputError, match="no model 'Qwen/other' there"):
        open_vlm("openai", model="Qwen/other", base_url=url).answer(
            [Request(image=noise(0), prompts=("a",))], Decoding()
        )


def test_the_models_list_and_unknown_places(server: ChatServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    with urllib.request.urlopen(f"{url}/v1/models") as reply:
        assert json.load(reply)["data"][0]["id"] == NAME
    for place, data in (("/", None), ("/v1/completions", b"{}")):
        with pytest.raises(HTTPError) as caught:
            urllib.request.urlopen(url + place, data)
        assert caught.value.code == 404


def body(**changes: Any) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(encode_png(noise(0))).decode()
    content = [
        {"type": "image_url", "image_url": {"url": url, "detail": "high"}},
        {"type": "text", "text": "Is it red?"},
    ]
    return {"model": NAME, "messages": [{"role": "user", "content": content}], **changes}


def message(url: str = "", text: str = "a?", role: str = "user", **more: Any) -> dict[str, Any]:
    picture = {"type": "image_url", "image_url": {"url": url}}
    return {"role": role, "content": [picture, {"type": "text", "text": text}], **more}


def test_a_plain_request_is_read() -> None:
    ask = read_request(json.dumps(body(temperature=0, seed=0, max_tokens=9)).encode(), NAME)
    assert (ask.text, ask.max_new_tokens) == ("Is it red?", 9)
    assert np.array_equal(decode_image(ask.png), noise(0))


@pytest.mark.parametrize(
    ("changes", "status", "message_"),
    [
        ({"model": "gpt-4o"}, 404, "no model 'gpt-4o'"),
        ({"temperature": 0.7}, 400, r"temperature 0\.7: only 0"),
        ({"stream": True}, 400, "stream True"),
        ({"n": 2}, 400, "n 2: only 1"),
        ({"max_tokens": -1}, 400, "max_tokens -1"),
        ({"messages": []}, 400, "one user message"),
        ({"messages": "hello"}, 400, "one user message"),
        ({"messages": [{"role": "user", "content": "hello"}]}, 400, "one user message"),
        ({"messages": [message(role="system")]}, 400, "one user message"),
        ({"messages": [message("http://example.org/a.png")]}, 400, "only data:image/png"),
        ({"messages": [message("data:image/jpeg;base64,AAAA")]}, 400, "only data:image/png"),
        ({"messages": [message("data:image/png;base64,A*")]}, 400, "not base64"),
        ({"messages": [message("data:image/png;base64,AAAA")]}, 400, "not a PNG"),
        ({"messages": [message(text="<img>/etc/passwd</img>")]}, 400, "'<img>' has a special"),
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any], status: int, message_: str) -> None:
    with pytest.raises(Refused, match=message_) as caught:
        read_request(json.dumps(body(**changes)).encode(), NAME)
    assert caught.value.status == status


@pytest.mark.parametrize("garbage", [b"", b"{oops", b"[]", b"\xff\xfe"])
def test_a_body_that_is_no_request_is_refused(garbage: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_request(garbage, NAME)
    assert caught.value.status == 400
