"""GPT-4o, and any server with the same protocol (vLLM, SGLang, `transformers serve`).

Decoded images are sent as PNG, because another lossy compression would change the measurement. The
key comes from the environment and is never stored or shown.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, as_completed
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit, urlunsplit

from eyechart.core import plugins
from eyechart.core.errors import EyechartError, InputError, UnusableVLMError, VLMError
from eyechart.core.identity import digest, image_digest
from eyechart.core.images import encode_png
from eyechart.core.prompts import prompt_families
from eyechart.core.types import Answer, Decoding, Json, Request, Rgb8
from eyechart.vlms import token_cost
from eyechart.vlms.chat_options import (
    OPENAI_URL,
    checked_choice,
    checked_count,
    checked_flag,
    checked_price,
    checked_seconds,
    checked_text,
    checked_url,
    key_of_environment,
    url_of_environment,
)
from eyechart.vlms.families import Family, KnownVLM
from eyechart.vlms.token_cost import (
    IMAGE_TOKEN_MODELS,
    Prices,
    SpentTokens,
    TokenEstimate,
    counts_as,
    estimate,
)

if TYPE_CHECKING:
    from eyechart.vlms.chat_client import ChatClient

DETAILS = ("high", "low", "auto")
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "none")
# A VLM that OpenAI does not serve; it is a separate family with the default prompts.
_QWEN_VL_CHAT = KnownVLM(
    name="qwen-vl-chat",
    served_model="Qwen/Qwen-VL-Chat",
    note="needs a server of its own (documentation: Servers)",
)
_GPT_4O = KnownVLM(name="gpt-4o", served_model="gpt-4o", note="needs OPENAI_API_KEY")


class OpenAIChat:
    """A VLM behind a chat-completions endpoint.

    model: its name on the server. base_url: without it, $OPENAI_BASE_URL or OpenAI's own address.
        It is not in a cell's key: model, name and revision identify the VLM.
    family: the family whose prompts are used, "default" or a registered one; without it, GPT-4o's.
    detail: GPT-4o sees 512-pixel tiles with `high` and one small image with `low`; `auto` lets the
        server choose.
    revision: change it when a server's weights or engine change, so that results are not mixed.
    token_limit: the parameter for the token limit, one of TOKEN_LIMITS. temperature, seed: whether
        `temperature=0` and `seed=0` are sent; some models refuse them.
    strip_thinking: remove `<think>` blocks from answers before they are stored and scored.
    usd_per_million_input, usd_per_million_output: prices for estimates; known for gpt-4o.
    image_tokens: the model of `token_cost.IMAGE_TOKEN_MODELS` whose images take as many tokens;
        without it, OpenAI's models count as themselves, and the visual tokens of all others are
        unknown, which no server reports. It changes no answer and is not part of a cell's key.
    concurrency, timeout_s, retries: not part of a cell's key. A retry waits for the time in the
        server's Retry-After header, else for an exponential backoff.

    Raises:
        InputError: an option that is not allowed.
    """

    remote: ClassVar[bool] = True

    def __init__(
        self,
        model: str = "gpt-4o",
        *,
        base_url: str | None = None,
        name: str | None = None,
        family: str | None = None,
        detail: str = "high",
        revision: str = "",
        token_limit: str = "max_tokens",
        temperature: bool = True,
        seed: bool = True,
        strip_thinking: bool = False,
        usd_per_million_input: float | None = None,
        usd_per_million_output: float | None = None,
        image_tokens: str | None = None,
        concurrency: int = 8,
        timeout_s: float = 120.0,
        retries: int = 6,
    ) -> None:
        if find_spec("openai") is None:  # imported by the first question, because it takes long
            raise ModuleNotFoundError("No module named 'openai'", name="openai")
        self._model = checked_text("model", model)
        own = _QWEN_VL_CHAT.name if model == _QWEN_VL_CHAT.served_model else ""
        if own and base_url is None:  # images would be sent to OpenAI, which does not have it
            raise InputError(
                f"{own} runs behind a server of your own (documentation: Servers): give "
                f"{own}:base_url=http://HOST:PORT/v1"
            )
        self.name = own or model if name is None else checked_text("name", name)
        own_family = own or _GPT_4O.name
        self.family = checked_choice(
            "family", own_family if family is None else family, prompt_families()
        )
        self.version = str(revision) or "unversioned"
        self._detail = checked_choice("detail", detail, DETAILS)
        self._base_url = None if base_url is None else checked_url(base_url)
        self._token_limit = checked_choice("token_limit", token_limit, TOKEN_LIMITS)
        self._temperature = checked_flag("temperature", temperature)
        self._seed = checked_flag("seed", seed)
        self._strip_thinking = checked_flag("strip_thinking", strip_thinking)
        self._concurrency = checked_count("concurrency", concurrency, 1)
        self._timeout_s = checked_seconds("timeout_s", timeout_s)
        self._retries = checked_count("retries", retries, 0)
        self._prices = Prices.of(
            model,
            checked_price("usd_per_million_input", usd_per_million_input),
            checked_price("usd_per_million_output", usd_per_million_output),
        )
        self._counts_as = (
            counts_as(model)
            if image_tokens is None
            else checked_choice("image_tokens", image_tokens, IMAGE_TOKEN_MODELS)
        )
        self._kept: dict[str, Answer] = {}
        self._failed: dict[str, EyechartError] = {}
        self._failed_batch: set[str] = set()
        self._ever_answered = False
        self.spent = SpentTokens()

    def __repr__(self) -> str:
        return f"OpenAIChat({self._model!r}, base_url={self.address!r})"

    @property
    def options(self) -> Mapping[str, Json]:
        """Everything that can change an answer; parameters that differ from the default."""
        changed: dict[str, Json] = {
            "token_limit": self._token_limit,
            "temperature": self._temperature,
            "seed": self._seed,
            "strip_thinking": self._strip_thinking,
        }
        usual = {
            "token_limit": "max_tokens",
            "temperature": True,
            "seed": True,
            "strip_thinking": False,
        }
        return {
            "model": self._model,
            "detail": self._detail,
            "family": self.family,
            **{name: value for name, value in changed.items() if value != usual[name]},
        }

    @property
    def address(self) -> str:
        """The server's address, without user, password or query. Raises InputError."""
        parts = urlsplit(self._url)
        place = parts.netloc.rpartition("@")[2].lower()
        return urlunsplit((parts.scheme, place, parts.path, "", ""))

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One list of answers for each request, in order, asked concurrently.

        If questions fail, all others are asked and their answers kept, so that a second call sends
        only those that failed. A call for a part of the batch, which finds out which questions
        failed, sends nothing.

        Raises:
            InputError: no key, choice-set decoding.
            UnusableVLMError: a refused key, a used-up quota, an unknown model, a server that cannot
                be reached. Earlier answers are kept.
            VLMError: the server failed on a question (retryable or not).
        """
        if decoding.choice_set:
            raise InputError(f"{self.name}: choice-set decoding needs a VLM that runs here")
        keys = [_keys(request, decoding) for request in requests]
        batch = {key for own in keys for key in own}
        if not batch < self._failed_batch:
            self._failed.clear()
            self._failed_batch = batch
        self._gather(requests, keys, decoding)
        failures = [self._failed[key] for own in keys for key in own if key in self._failed]
        if failures:
            unusable = [error for error in failures if isinstance(error, UnusableVLMError)]
            raise (unusable or failures)[0]
        answers = [[self._kept[key] for key in own] for own in keys]
        for key in batch:
            del self._kept[key]
        return answers

    def check(self) -> None:
        """Raise the errors of `answer` that concern every question and can be found for free."""
        self._client.check().result()

    def estimate_usd(self, requests: Sequence[Request], decoding: Decoding) -> float | None:
        """Approximate cost of these requests in US dollars; None if the prices are unknown.

        Counted: text at four characters a token, images as OpenAI bills tiles, full answers.
        """
        return self._prices.usd(self.estimate_tokens(requests, decoding))

    def estimate_tokens(self, requests: Sequence[Request], decoding: Decoding) -> TokenEstimate:
        """Approximate tokens of these requests, counted as for `estimate_usd`."""
        model = self._counts_as or self._model
        return estimate(requests, decoding.max_new_tokens, self._detail, model)

    def visual_tokens(self, height_px: int, width_px: int) -> int:
        """Tokens of an image, 0 if it is unknown how the model counts them."""
        if not self._counts_as:
            return 0
        return token_cost.image_tokens(
            height_px, width_px, detail=self._detail, model=self._counts_as
        )

    @property
    def usd_per_million(self) -> tuple[float, float] | None:
        """Prices of tokens of questions and of answers in US dollars; None if one is unknown."""
        usd_input, usd_output = self._prices.usd_input, self._prices.usd_output
        return None if usd_input is None or usd_output is None else (usd_input, usd_output)

    @property
    def spent_usd(self) -> float | None:
        """Cost of the answers so far by the server's token counts; None without prices."""
        return self._prices.usd(self.spent)

    @property
    def _url(self) -> str:
        return self._base_url or url_of_environment()

    @cached_property
    def _client(self) -> ChatClient:
        from eyechart.vlms.chat_client import ChatClient, ServerSettings

        fixed = {"temperature": self._temperature, "seed": self._seed}
        server = ServerSettings(
            shown=f"{self.name} at {self.address}",
            url=self._url,
            key=key_of_environment(needed=self._url == OPENAI_URL),
            model=self._model,
            detail=self._detail,
            concurrency=self._concurrency,
            timeout_s=self._timeout_s,
            retries=self._retries,
            token_limit="" if self._token_limit == "none" else self._token_limit,
            parameters={name: 0 for name, sent in fixed.items() if sent},
            strip_thinking=self._strip_thinking,
        )
        return ChatClient(server, self.spent)

    def _gather(
        self, requests: Sequence[Request], keys: Sequence[Sequence[str]], decoding: Decoding
    ) -> None:
        """Ask all questions without an answer or failure; fills `_kept` and `_failed`."""
        client = self._client
        futures: dict[str, Future[Answer]] = {}
        try:
            for request, own in zip(requests, keys, strict=True):
                known = self._kept.keys() | self._failed.keys() | futures.keys()
                prompts = dict(zip(own, request.prompts, strict=True))
                missing = [key for key in prompts if key not in known]
                url = _data_url(request.image) if missing else ""
                for key in missing:
                    futures[key] = client.submit(url, prompts[key], decoding)
            for future in as_completed(futures.values()):
                if isinstance(future.exception(), UnusableVLMError):
                    break
        finally:  # also after Ctrl-C, so that nothing waits for a server
            self._sort(futures)

    def _sort(self, futures: Mapping[str, Future[Answer]]) -> None:
        """Keep answers and failures, and cancel the other questions. An UnusableVLMError becomes
        the error of all cancelled questions and of retryable failures, and of all failures if the
        server never answered, so that they are asked again after the cause is removed."""
        unusable: EyechartError | None = None
        waiting = [key for key, future in futures.items() if future.cancel()]
        for key, future in futures.items():
            if future.cancelled():
                continue
            if (error := future.exception()) is None:
                self._kept[key] = future.result()
                self._ever_answered = True
            elif isinstance(error, EyechartError):
                self._failed[key] = error
                unusable = error if isinstance(error, UnusableVLMError) else unusable
            else:
                raise error
        if unusable is not None:
            again = [
                key
                for key, error in self._failed.items()
                if not self._ever_answered or (isinstance(error, VLMError) and error.retryable)
            ]
            self._failed |= dict.fromkeys(waiting + again, unusable)


def _keys(request: Request, decoding: Decoding) -> list[str]:
    image = image_digest(request.image)
    return [digest([image, prompt, decoding]) for prompt in request.prompts]


def _data_url(rgb8: Rgb8) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(rgb8)).decode("ascii")


def _why_not_ready(known: KnownVLM) -> str | None:
    """The missing client package or key, or None if questions can be asked."""
    if find_spec("openai") is None:
        return plugins.how_to_install("openai")
    return None if known is _GPT_4O and os.environ.get("OPENAI_API_KEY") else known.note


GPT_4O = Family(
    open=OpenAIChat, known=(_GPT_4O,), aliases=("openai",), why_not_ready=_why_not_ready
)
QWEN_VL_CHAT = Family(open=OpenAIChat, known=(_QWEN_VL_CHAT,), why_not_ready=_why_not_ready)
