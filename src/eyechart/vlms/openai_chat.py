"""GPT-4o, and any server that speaks the same protocol (vLLM, SGLang, `transformers serve`).

Pictures are sent as PNG of what the codec decoded: another lossy compression on the way would
spoil exactly what is measured. The key comes from the environment and is never stored or shown.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import openai
from openai.types.chat import ChatCompletion

from eyechart.core.errors import InputError, VLMError
from eyechart.core.identity import digest, image_digest
from eyechart.core.images import encode_png
from eyechart.core.types import Answer, Decoding, Json, Request, Rgb8
from eyechart.vlms.chat_options import (
    KEY_VARIABLE,
    checked_choice,
    checked_count,
    checked_price,
    checked_seconds,
    checked_text,
    checked_url,
    key_of_environment,
)
from eyechart.vlms.token_cost import Prices, Spent, estimate

OPENAI_URL = "https://api.openai.com/v1"
DETAILS = ("high", "low", "auto")
# The families that tasks have prompts for; those of Qwen2.5-VL are the default ones.
PROMPT_FAMILIES = ("default", "qwen2_5_vl", "internvl3", "janus-pro", "qwen-vl-chat", "gpt-4o")
_FAMILIES = {"Qwen/Qwen-VL-Chat": "qwen-vl-chat"}
_NAMES = {"Qwen/Qwen-VL-Chat": "qwen-vl-chat"}


class OpenAIChat:
    """A VLM behind a chat-completions endpoint.

    model: as the server calls it. base_url: without it, OpenAI's own and a key is needed.
    family: whose prompts it gets, one of PROMPT_FAMILIES; without it, GPT-4o's.
    detail: `high` lets GPT-4o see 512-pixel tiles, `low` one small view, `auto` its own choice.
    revision: name it when a server's weights or engine change, so that results are not mixed.
    usd_per_million_input, usd_per_million_output: prices for estimates; known for gpt-4o.
    concurrency, timeout_s, retries: how it is asked; never in a cell's key. Retries wait as the
        server's Retry-After says, else with exponential backoff.

    Raises:
        InputError: an option that is not allowed.
    """

    def __init__(
        self,
        model: str = "gpt-4o",
        *,
        base_url: str | None = None,
        name: str | None = None,
        family: str | None = None,
        detail: str = "high",
        revision: str = "",
        usd_per_million_input: float | None = None,
        usd_per_million_output: float | None = None,
        concurrency: int = 8,
        timeout_s: float = 120.0,
        retries: int = 6,
    ) -> None:
        self._model = checked_text("model", model)
        self.name = _NAMES.get(model, model) if name is None else checked_text("name", name)
        own_family = _FAMILIES.get(model, "gpt-4o")
        self.family = checked_choice(
            "family", own_family if family is None else family, PROMPT_FAMILIES
        )
        self.version = str(revision) or "unversioned"
        self._detail = checked_choice("detail", detail, DETAILS)
        self._base_url = None if base_url is None else checked_url(base_url)
        self._concurrency = checked_count("concurrency", concurrency, 1)
        self._timeout_s = checked_seconds("timeout_s", timeout_s)
        self._retries = checked_count("retries", retries, 0)
        self._prices = Prices.of(
            model,
            checked_price("usd_per_million_input", usd_per_million_input),
            checked_price("usd_per_million_output", usd_per_million_output),
        )
        self._kept: dict[str, Answer] = {}
        self._reached = False
        self.spent = Spent()

    def __repr__(self) -> str:
        return f"OpenAIChat({self._model!r}, base_url={self._shown_url!r})"

    @property
    def options(self) -> Mapping[str, Json]:
        """Model, detail, address (without user, password or query) and whose prompts it gets."""
        return {
            "model": self._model,
            "detail": self._detail,
            "base_url": self._shown_url,
            "family": self.family,
        }

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One list of answers a request, in order, asked concurrently.

        When one question fails, the answers already paid for are kept: asking again sends only
        what is missing.

        Raises:
            InputError: no key, a refused key, an unknown model, a server that is not there.
            VLMError: the server failed on a question (retryable or not).
        """
        if decoding.choice_set:
            raise InputError(f"{self.name}: choice-set decoding needs a VLM that runs here")
        client = self._client
        keys = [
            [self._key(request, prompt, decoding) for prompt in request.prompts]
            for request in requests
        ]
        with ThreadPoolExecutor(max_workers=self._concurrency) as pool:
            futures: dict[Future[Answer], str] = {}
            for request, own in zip(requests, keys, strict=True):
                missing = {
                    key: prompt
                    for key, prompt in zip(own, request.prompts, strict=True)
                    if key not in self._kept and key not in futures.values()
                }
                url = _data_url(request.image) if missing else ""
                for key, prompt in missing.items():
                    futures[pool.submit(self._ask, client, url, prompt, decoding)] = key
            try:
                for future in as_completed(futures):
                    self._kept[futures[future]] = future.result()
            except (InputError, VLMError):
                pool.shutdown(cancel_futures=True)
                self._keep_finished(futures)
                raise
        answers = [[self._kept[key] for key in own] for own in keys]
        self._kept.clear()
        return answers

    def estimate_usd(self, requests: Sequence[Request], decoding: Decoding) -> float | None:
        """What these requests will about cost; None where no prices are known.

        Counted: text at four characters a token, pictures as OpenAI bills tiles, full answers.
        """
        tokens = estimate(requests, decoding.max_new_tokens, self._detail)
        return self._prices.usd(tokens)

    @property
    def spent_usd(self) -> float | None:
        """What the answers so far cost by the server's own token counts; None without prices."""
        return self._prices.usd(self.spent)

    @property
    def _shown_url(self) -> str:
        parts = urlsplit(self._base_url or OPENAI_URL)
        place = parts.netloc.rpartition("@")[2].lower()
        return urlunsplit((parts.scheme, place, parts.path, "", ""))

    @cached_property
    def _client(self) -> openai.OpenAI:
        return openai.OpenAI(
            api_key=key_of_environment(needed=self._base_url is None),
            base_url=self._base_url or OPENAI_URL,
            timeout=self._timeout_s,
            max_retries=self._retries,
        )

    def _ask(
        self, client: openai.OpenAI, image_url: str, prompt: str, decoding: Decoding
    ) -> Answer:
        content: Any = [
            {"type": "image_url", "image_url": {"url": image_url, "detail": self._detail}},
            {"type": "text", "text": prompt},
        ]
        try:
            completion = client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": content}],
                max_tokens=decoding.max_new_tokens,
                temperature=0,
                seed=0,
            )
        except openai.OpenAIError as error:
            raise self._told(error) from None  # the cause holds headers, and so the key
        except ValueError as error:
            raise VLMError(f"{self.name}: the server's reply is not JSON") from error
        self._reached = True
        return self._read(completion)

    def _read(self, completion: object) -> Answer:
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise VLMError(f"{self.name}: the server's reply is not a chat completion")
        choice = completion.choices[0]
        text = choice.message.content if choice.message else None
        if text is None and choice.message:
            text = choice.message.refusal  # what it says in place of an answer is its answer
        if not isinstance(text, str):
            reason = "its content filter" if choice.finish_reason == "content_filter" else "no text"
            raise VLMError(f"{self.name}: the server gave no answer ({reason})")
        usage = completion.usage
        tokens = usage.completion_tokens if usage else 0
        self.spent.add(usage.prompt_tokens if usage else 0, tokens)
        return Answer(text=text, tokens=tokens, truncated=choice.finish_reason == "length")

    def _told(self, error: openai.OpenAIError) -> InputError | VLMError:
        """An error in this package's words. The server's own text may quote the key: not shown."""
        where = f"{self.name} at {self._shown_url}"
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return InputError(f"{where}: the key in {KEY_VARIABLE} was refused")
        if isinstance(error, openai.NotFoundError):
            return InputError(f"{where}: no model {self._model!r} there, or not a chat endpoint")
        if isinstance(error, openai.APITimeoutError):
            return VLMError(f"{where}: no reply within {self._timeout_s:g} s", retryable=True)
        if isinstance(error, openai.APIConnectionError):
            if self._reached:
                return VLMError(f"{where}: the connection broke", retryable=True)
            return InputError(f"{where}: the server cannot be reached")
        if isinstance(error, openai.APIStatusError):
            code = error.status_code
            quota = error.code == "insufficient_quota"
            why = ", the account's quota is used up" if quota else ""
            retryable = (code == 429 and not quota) or code >= 500
            return VLMError(f"{where}: the server said {code}{why}", retryable=retryable)
        return VLMError(f"{where}: {type(error).__name__}")

    def _keep_finished(self, futures: Mapping[Future[Answer], str]) -> None:
        for future, key in futures.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                self._kept[key] = future.result()

    def _key(self, request: Request, prompt: str, decoding: Decoding) -> str:
        return digest([image_digest(request.image), prompt, decoding])


def _data_url(rgb8: Rgb8) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(rgb8)).decode("ascii")
