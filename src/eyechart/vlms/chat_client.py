"""One server: sends it questions, waits, asks again, and says in one line what went wrong."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from eyechart.core.errors import EyechartError, UnusableVLMError, VLMError
from eyechart.core.types import Answer, Decoding
from eyechart.vlms.background import Background
from eyechart.vlms.chat_options import KEY_VARIABLE
from eyechart.vlms.chat_reply import read_reply
from eyechart.vlms.token_cost import Spent

# A server that lets so many requests in a row go without a reply is given up (at least twice as
# many as it is asked at a time: one stall fails all of these together).
SILENT_REQUESTS = 8
_RETRIES_OF_SILENCE = 1  # whoever said nothing for a whole timeout seldom speaks the next time
_CONNECT_S, _CHECK_S = 10.0, 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _LONGEST_RETRY_AFTER_S = 0.5, 8.0, 600.0
_QUOTA_CODES = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_SECRET_LENGTH = 12  # shorter keys are stand-ins such as EMPTY, which an answer may well contain


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where and how to ask. shown: how errors name it. timeout_s: for one request as a whole."""

    shown: str
    url: str
    key: str
    model: str
    detail: str
    concurrency: int
    timeout_s: float
    retries: int


class ChatClient:
    """Asks one server, some questions at a time, in the background.

    sleep: for tests.
    """

    def __init__(
        self,
        server: Server,
        spent: Spent,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._server, self._spent, self._sleep = server, spent, sleep
        self._openai = openai.AsyncOpenAI(
            api_key=server.key,
            base_url=server.url,
            timeout=openai.Timeout(server.timeout_s, connect=min(server.timeout_s, _CONNECT_S)),
            max_retries=0,  # it knows no limit for a request as a whole, and no first contact
            # A key and pictures go where the user said and nowhere else.
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )
        self._background = Background(self._openai.close)
        self._turns = asyncio.Semaphore(server.concurrency)
        self._reached = self._answered = False
        self._silent_requests = 0

    def submit(self, image_url: str, prompt: str, decoding: Decoding) -> Future[Answer]:
        """Ask one question. The future raises UnusableVLMError or VLMError; it can be cancelled."""
        return self._background.submit(self._ask(image_url, prompt, decoding))

    def check(self) -> Future[None]:
        """Look whether the server is there and takes the key, without a question.

        The future raises UnusableVLMError for a server that cannot be reached, or says that the
        key is none. Anything else is for the questions to find out.
        """
        return self._background.submit(self._check())

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(_CHECK_S):
                await self._openai.models.with_raw_response.list()
        except TimeoutError:
            pass
        except openai.OpenAIError as error:
            refused = getattr(error, "code", None) == "invalid_api_key"
            if _never_connected(error) or refused:
                raise self._told(error)[0] from None

    async def _ask(self, image_url: str, prompt: str, decoding: Decoding) -> Answer:
        async with self._turns:
            for tried in itertools.count():
                try:
                    return self._read(await self._send(image_url, prompt, decoding))
                except (openai.OpenAIError, TimeoutError) as error:
                    told, retries = self._told(error)
                    pause_s = _pause_s(error, tried)
                    if tried >= retries or pause_s > _LONGEST_RETRY_AFTER_S:
                        raise told from None  # the cause holds headers, and so the key
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
        async with asyncio.timeout(self._server.timeout_s):
            reply = await self._openai.chat.completions.with_raw_response.create(
                model=self._server.model,
                messages=[{"role": "user", "content": content}],
                max_tokens=decoding.max_new_tokens,
                temperature=0,
                seed=0,
            )
            return bytes(reply.http_response.content)

    def _read(self, body: bytes) -> Answer:
        self._reached = self._answered = True
        self._silent_requests = 0
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
        return Answer(text=reply.text, tokens=reply.output_tokens, truncated=reply.truncated)

    def _told(self, error: openai.OpenAIError | TimeoutError) -> tuple[EyechartError, int]:
        """An error in this package's words, and how often to ask again after such a one.

        The server's own text may quote the key: not shown.
        """
        where, retries = self._server.shown, self._server.retries
        if _never_connected(error):
            why = " ".join(str(error.__cause__).split())[:120]
            unreachable = UnusableVLMError(f"{where}: the server cannot be reached ({why})")
            return unreachable, retries if self._reached else 0
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return self._told_silence(), min(retries, _RETRIES_OF_SILENCE)
        self._silent_requests = 0
        if isinstance(error, openai.APIStatusError):
            self._reached = True
            told = self._told_status(error)
            return told, retries if getattr(told, "retryable", False) else 0
        if isinstance(error, openai.APIConnectionError):
            broke = "the connection broke before the reply was complete"
            return VLMError(f"{where}: {broke}", retryable=True), retries
        return VLMError(f"{where}: {type(error).__name__}"), 0

    def _told_silence(self) -> EyechartError:
        where, timeout_s = self._server.shown, self._server.timeout_s
        self._silent_requests += 1
        if self._silent_requests >= max(SILENT_REQUESTS, 2 * self._server.concurrency):
            return UnusableVLMError(
                f"{where}: {self._silent_requests} requests in a row got no reply "
                f"within {timeout_s:g} s"
            )
        return VLMError(f"{where}: no reply within {timeout_s:g} s", retryable=True)

    def _told_status(self, error: openai.APIStatusError) -> EyechartError:
        where, status = self._server.shown, error.status_code
        if status == 402 or error.code in _QUOTA_CODES:
            return UnusableVLMError(f"{where}: the account's quota is used up")
        # Once it has let us in, a gate that bars one request may object to that one only.
        if status == 401 or (status == 403 and not self._answered):
            return UnusableVLMError(f"{where}: the key in {KEY_VARIABLE} was refused")
        if status == 404:
            model = self._server.model
            return UnusableVLMError(f"{where}: no model {model!r} there, or not a chat endpoint")
        if 300 <= status < 400:
            return UnusableVLMError(
                f"{where}: the server sends us elsewhere ({status}), which is not followed; "
                "give the address it means as base_url"
            )
        retryable = status in (403, 408, 409, 429) or status >= 500
        return VLMError(f"{where}: the server said {status}", retryable=retryable)


def _never_connected(error: BaseException) -> bool:
    # By name, for the openai package brings one HTTP library or another.
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")


def _pause_s(error: BaseException, tried: int) -> float:
    """As long as the server's Retry-After says, else twice as long each time."""
    headers: Mapping[str, str] = (
        error.response.headers if isinstance(error, openai.APIStatusError) else {}
    )
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
