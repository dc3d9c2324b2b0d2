"""GPT-4o, and any server that speaks the same protocol (vLLM, SGLang, `transformers serve`).

Pictures are sent as PNG of what the codec decoded: another lossy compression on the way would
spoil exactly what is measured. The key comes from the environment and is never stored or shown.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, as_completed
from functools import cached_property
from urllib.parse import urlsplit, urlunsplit

from eyechart.core.errors import EyechartError, InputError, UnusableVLMError
from eyechart.core.identity import digest, image_digest
from eyechart.core.images import encode_png
from eyechart.core.types import Answer, Decoding, Json, Request, Rgb8
from eyechart.vlms.chat_client import ChatClient, Server
from eyechart.vlms.chat_options import (
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
        self._failed: dict[str, EyechartError] = {}
        self._failed_batch: set[str] = set()
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

        When questions fail, all others are asked nevertheless, and the answers kept: asking again
        sends only what failed. Asking again for a part of the batch, to find out which questions
        failed, sends nothing.

        Raises:
            InputError: no key, choice-set decoding.
            UnusableVLMError: a refused key, a used-up quota, an unknown model, a server that is
                not there (any more). What was answered until then is kept, too.
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
        """Raise now what would fail every question, as far as that costs nothing: see `answer`."""
        self._client.check().result()

    def estimate_usd(self, requests: Sequence[Request], decoding: Decoding) -> float | None:
        """What these requests will about cost; None where no prices are known.

        Counted: text at four characters a token, pictures as OpenAI bills tiles, full answers.
        """
        tokens = estimate(requests, decoding.max_new_tokens, self._detail, self._model)
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
    def _client(self) -> ChatClient:
        server = Server(
            shown=f"{self.name} at {self._shown_url}",
            url=self._base_url or OPENAI_URL,
            key=key_of_environment(needed=self._base_url is None),
            model=self._model,
            detail=self._detail,
            concurrency=self._concurrency,
            timeout_s=self._timeout_s,
            retries=self._retries,
        )
        return ChatClient(server, self.spent)

    def _gather(
        self, requests: Sequence[Request], keys: Sequence[Sequence[str]], decoding: Decoding
    ) -> None:
        """Ask what is neither answered nor failed, into `_kept` and `_failed`."""
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
        finally:  # Ctrl-C, too, leaves nothing behind that waits for a server
            self._sort(futures)

    def _sort(self, futures: Mapping[str, Future[Answer]]) -> None:
        """Keep what is answered or failed, and call off the others. Where one error ends all, it is
        theirs too, and of those that failed in a way that might go better another time."""
        unusable: EyechartError | None = None
        waiting = [key for key, future in futures.items() if future.cancel()]
        for key, future in futures.items():
            if future.cancelled():
                continue
            if (error := future.exception()) is None:
                self._kept[key] = future.result()
            elif isinstance(error, EyechartError):
                self._failed[key] = error
                unusable = error if isinstance(error, UnusableVLMError) else unusable
            else:
                raise error
        if unusable is not None:
            passing = [
                key for key, error in self._failed.items() if getattr(error, "retryable", False)
            ]
            self._failed |= dict.fromkeys(waiting + passing, unusable)


def _keys(request: Request, decoding: Decoding) -> list[str]:
    image = image_digest(request.image)
    return [digest([image, prompt, decoding]) for prompt in request.prompts]


def _data_url(rgb8: Rgb8) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(rgb8)).decode("ascii")
