"""Options of a VLM behind a server: the key and its secrecy, addresses, costs, identity."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from eyechart.cli import run_args
from eyechart.core.errors import EyechartError, InputError, UnusableVLMError
from eyechart.core.types import Decoding, Request, component_of
from eyechart.store import Store
from eyechart.vlms import open_vlm
from eyechart.vlms.openai_chat import OpenAIChat
from eyechart.vlms.token_cost import Prices, image_tokens
from tests.vlms.asking import picture, request
from tests.vlms.chat_server import (
    Reply,
    completion,
    error,
    serve,
)
from tests.vlms.openai_asking import DECODING, KEY, many

pytestmark = pytest.mark.usefixtures("openai_key")


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
