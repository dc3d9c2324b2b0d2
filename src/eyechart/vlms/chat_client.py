"""The client of one server: it sends questions, waits, retries, and makes one-line errors."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from eyechart.core.errors import (
    EyechartError,
    InputError,
    UnusableVLMError,
    VLMError,
    one_line,
)
from eyechart.core.types import Answer, Decoding
from eyechart.vlms.background import EventLoopThread
from eyechart.vlms.chat_options import KEY_VARIABLE
from eyechart.vlms.chat_reply import (
    MAX_ERROR_BYTES,
    MAX_REPLY_BYTES,
    RefusalError,
    read_reply,
    without_thinking,
)
from eyechart.vlms.token_cost import SpentTokens

# After this many requests in a row without a reply, no more are sent (at least twice the number in
# flight, because one stall fails all of these together).
SILENT_REQUESTS = 8
_RETRIES_OF_SILENCE = 1  # a server that did not reply within a timeout seldom replies to a retry
# A server that refuses its first questions with the same message will refuse all others too.
SAME_REFUSALS = 8
_CONNECT_S, _CHECK_S = 10.0, 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _LONGEST_RETRY_AFTER_S = 0.5, 8.0, 600.0
_QUOTA_CODES = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_PARAMETER_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
_SECRET_LENGTH = 12  # shorter keys are placeholders such as EMPTY, which an answer may contain


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Address and settings of a server.

    shown: the name in error messages. timeout_s: limit of one whole request. parameters: sent with
    every question, beside the model and the messages. token_limit: the name of the parameter for
    the token limit, "" to send none. strip_thinking: remove `<think>` blocks from answers.
    """

    shown: str
    url: str
    key: str
    model: str
    detail: str
    concurrency: int
    timeout_s: float
    retries: int
    token_limit: str = "max_tokens"
    parameters: Mapping[str, int] = field(default_factory=dict)
    strip_thinking: bool = False


class ChatClient:
    """Sends questions to one server in the background, several at a time.

    sleep: replaced in tests.
    Raises:
        InputError: no connection can be set up (a proxy or certificate variable is wrong).
    """

    def __init__(
        self,
        server: ServerSettings,
        spent: SpentTokens,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._server, self._spent, self._sleep = server, spent, sleep
        self._openai = _open_client(server)
        self._background = EventLoopThread(self._openai.close)
        self._turns = asyncio.Semaphore(server.concurrency)
        self._reached = self._answered = False
        self._silent_requests = 0
        self._refusals: Counter[str] = Counter()

    def submit(self, image_url: str, prompt: str, decoding: Decoding) -> Future[Answer]:
        """Ask one question. The future raises UnusableVLMError or VLMError; it can be cancelled."""
        return self._background.submit(self._ask(image_url, prompt, decoding))

    def check(self) -> Future[None]:
        """Check, without a question, that the server can be reached and accepts the key.

        The future raises UnusableVLMError for a server that cannot be reached or that refuses the
        key. Other replies are ignored.
        """
        return self._background.submit(self._check())

    async def _check(self) -> None:
        try:
            async with (
                _transfer_errors(),
                asyncio.timeout(_CHECK_S),
                self._openai.models.with_streaming_response.list() as reply,
            ):
                await _body(reply.iter_bytes(), self._server.shown)
        except (TimeoutError, ConnectionError, VLMError):
            pass  # it answers, and its list of models is not needed
        except RefusalError as refusal:
            if refusal.code == "invalid_api_key":
                raise self._worded_refusal(refusal) from None
        except openai.OpenAIError as error:
            if _never_connected(error):
                raise self._worded(error)[0] from None

    async def _ask(self, image_url: str, prompt: str, decoding: Decoding) -> Answer:
        async with self._turns:
            for tried in itertools.count():
                try:
                    return self._read(await self._send(image_url, prompt, decoding))
                except (openai.OpenAIError, RefusalError, TimeoutError, ConnectionError) as error:
                    worded, retries = self._worded(error)
                    pause_s = _pause_s(error, tried)
                    if tried >= retries or pause_s > _LONGEST_RETRY_AFTER_S:
                        raise worded from None  # the cause contains the headers and so the key
                await self._sleep(pause_s)
        raise AssertionError("unreachable")

    async def _send(self, image_url: str, prompt: str, decoding: Decoding) -> bytes:
        content: Any = [
            {
                "type": "image_url",
                "image_url": {"url": image_url, "detail": self._server.detail},
            },
            {"type": "text", "text": prompt},
        ]
        server = self._server
        limit = {server.token_limit: decoding.max_new_tokens} if server.token_limit else {}
        create = self._openai.chat.completions.with_streaming_response.create
        async with (
            _transfer_errors(),
            asyncio.timeout(server.timeout_s),
            create(
                model=server.model,
                messages=[{"role": "user", "content": content}],
                extra_body={**server.parameters, **limit},
            ) as reply,
        ):
            return await _body(reply.iter_bytes(), server.shown)

    def _read(self, body: bytes) -> Answer:
        self._reached = self._answered = True
        self._silent_requests = 0
        self._refusals.clear()
        where = self._server.shown
        try:
            reply = read_reply(body)
        except ValueError as error:
            raise VLMError(f"{where}: {error}") from None
        self._spent.add(reply.input_tokens, reply.output_tokens)
        if reply.text is None:
            raise VLMError(f"{where}: the server gave no answer ({reply.why_none})")
        key = self._server.key
        if len(key) >= _SECRET_LENGTH and key in reply.text:
            raise VLMError(f"{where}: the server's answer contains the key, so it is not kept")
        text = without_thinking(reply.text) if self._server.strip_thinking else reply.text
        return Answer(
            text=text,
            tokens=reply.output_tokens,
            truncated=reply.truncated,
            input_tokens=reply.input_tokens,
        )

    def _worded(
        self, error: openai.OpenAIError | RefusalError | TimeoutError | ConnectionError
    ) -> tuple[EyechartError, int]:
        """This package's error for it, and the number of retries after such an error."""
        where, retries = self._server.shown, self._server.retries
        if _never_connected(error):
            why = one_line(str(error.__cause__), 120)
            unreachable = UnusableVLMError(f"{where}: the server cannot be reached ({why})")
            return unreachable, retries if self._reached else 0
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return self._worded_silence(), min(retries, _RETRIES_OF_SILENCE)
        self._silent_requests = 0
        if isinstance(error, RefusalError):
            self._reached = True
            worded = self._worded_refusal(error)
            retryable = isinstance(worded, VLMError) and worded.retryable
            return worded, retries if retryable else 0
        if isinstance(error, openai.APIConnectionError | ConnectionError):
            broke = "the connection broke before the reply was complete"
            return VLMError(f"{where}: {broke}", retryable=True), retries
        return VLMError(f"{where}: {type(error).__name__}"), 0

    def _worded_silence(self) -> EyechartError:
        where, timeout_s = self._server.shown, self._server.timeout_s
        self._silent_requests += 1
        if self._silent_requests >= max(SILENT_REQUESTS, 2 * self._server.concurrency):
            return UnusableVLMError(
                f"{where}: {self._silent_requests} requests in a row got no reply "
                f"within {timeout_s:g} s"
            )
        return VLMError(f"{where}: no reply within {timeout_s:g} s", retryable=True)

    def _worded_refusal(self, refusal: RefusalError) -> EyechartError:
        where, status, said = self._server.shown, refusal.status, self._said(refusal)
        if status == 402 or refusal.code in _QUOTA_CODES:
            return UnusableVLMError(f"{where}: the account's quota is used up{said}")
        # After the first answer, a gateway that refuses one request may object to that one only.
        if status == 401 or (status == 403 and not self._answered):
            return UnusableVLMError(f"{where}: the key in {KEY_VARIABLE} was refused{said}")
        if status == 404:
            model = self._server.model
            return UnusableVLMError(
                f"{where}: no model {model!r} there, or not a chat endpoint{said}"
            )
        if 300 <= status < 400:
            return UnusableVLMError(
                f"{where}: the server redirects ({status}), which is not followed; "
                "give the new address as base_url"
            )
        if refusal.code in _PARAMETER_CODES:
            return UnusableVLMError(
                f"{where}: the server refuses a parameter of every question{said}; "
                "see the options token_limit, temperature and seed"
            )
        retryable = status in (403, 408, 409, 429) or status >= 500
        refused = VLMError(f"{where}: the server said {status}{said}", retryable=retryable)
        if not (retryable or self._answered):
            self._refusals[str(refused)] += 1
            if self._refusals[str(refused)] >= SAME_REFUSALS:
                return UnusableVLMError(f"{refused}, {SAME_REFUSALS} times in a row")
        return refused

    def _said(self, refusal: RefusalError) -> str:
        """The server's code, parameter and message after a colon, without the key; "" for none."""
        key = self._server.key
        parts = [
            str(part).replace(key, "[the key]") if len(key) > 4 else part
            for part in (refusal.code, refusal.param, refusal.message)
            if part is not None
        ]
        said = ", ".join(one_line(part, 150) for part in parts)
        if any(piece in said for piece in (key[:_SECRET_LENGTH], key[-_SECRET_LENGTH:])):
            said = (
                "the message contains a part of the key and is not shown" if len(key) > 4 else said
            )
        return f": {said}" if said else ""


@asynccontextmanager
async def _transfer_errors() -> AsyncIterator[None]:
    """Turn the errors of the HTTP library that openai uses into ConnectionError.

    openai lets them pass while a body is read. An error that is raised in `_refuse` is the cause of
    openai's own.
    """
    try:
        yield
    except openai.APIConnectionError as error:
        if isinstance(error.__cause__, RefusalError | ConnectionError):
            raise error.__cause__ from None
        raise
    except (openai.OpenAIError, RefusalError, TimeoutError, ConnectionError, EyechartError):
        raise
    except Exception as error:
        raise ConnectionError from error


async def _body(pieces: AsyncIterator[bytes], shown: str) -> bytes:
    """A reply's whole body. Raises VLMError if it is too long."""
    body = await _head(pieces, MAX_REPLY_BYTES + 1)
    if len(body) > MAX_REPLY_BYTES:
        raise VLMError(f"{shown}: the reply is longer than {MAX_REPLY_BYTES:,} bytes")
    return body


async def _head(pieces: AsyncIterator[bytes], most_bytes: int) -> bytes:
    """At most the first bytes of a body."""
    body = bytearray()
    async for piece in pieces:
        body += piece[: most_bytes - len(body)]
        if len(body) == most_bytes:
            break
    return bytes(body)


async def _refuse(response: Any) -> None:
    """Raise RefusalError for an error reply, before openai reads its body, which may be endless."""
    if response.status_code < 300:
        return
    try:
        body = await _head(response.aiter_bytes(), MAX_ERROR_BYTES)
    except Exception as error:
        raise ConnectionError from error
    raise RefusalError(response.status_code, response.headers, body)


def _open_client(server: ServerSettings) -> openai.AsyncOpenAI:
    try:
        return openai.AsyncOpenAI(
            api_key=server.key,
            base_url=server.url,
            timeout=openai.Timeout(server.timeout_s, connect=min(server.timeout_s, _CONNECT_S)),
            max_retries=0,  # the library knows no limit for a request as a whole
            # The key and the images are sent to no other address than the user's.
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False, event_hooks={"response": [_refuse]}
            ),
        )
    # A proxy of an unknown scheme or a wrong port, a certificate file that is missing or damaged:
    # the errors are those of an HTTP library that the client chooses.
    except Exception as error:
        raise InputError(
            f"{server.shown}: no connection can be set up ({one_line(error)}); "
            "look at the environment variables for proxies and certificates"
        ) from error


def _never_connected(error: BaseException) -> bool:
    # By name, because openai uses one HTTP library or another.
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")


def _pause_s(error: BaseException, tried: int) -> float:
    """The server's Retry-After, else exponential backoff."""
    headers: Mapping[str, str] = error.headers if isinstance(error, RefusalError) else {}
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(float(headers.get(name, "")) * unit_s, 0.0)
        except ValueError:
            continue
    try:
        then = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(then.timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return min(_FIRST_PAUSE_S * 2.0**tried, _LONGEST_PAUSE_S)
