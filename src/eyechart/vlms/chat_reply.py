"""Reading a server's reply: every level is checked, because servers differ in their JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_REPLY_BYTES = 16 << 20  # far above any answer; an endless body must not fill the memory
MAX_ERROR_BYTES = 1 << 16  # of the body of an error reply; its message is at the beginning
_MAX_TOKENS = 10**9  # a larger token count is an error of the server
_THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A chat completion.

    text: None if the reply holds no usable answer; `why_none` is the reason. "" if the token limit
    ended the answer before its first word, for example during the model's reasoning.
    input_tokens, output_tokens: as the server counted them, 0 where it did not.
    """

    text: str | None
    why_none: str
    truncated: bool
    input_tokens: int
    output_tokens: int


class RefusalError(Exception):
    """An error reply (3xx, 4xx or 5xx).

    code, param, message: what its body says, in the forms of OpenAI, FastAPI and plain text; None
    where it says nothing.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status, self.headers = status, headers
        text = body.decode("utf-8", "replace").strip()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        value = value.get("error", value) if isinstance(value, dict) else value
        said = value if isinstance(value, dict) else {"message": value}
        message = said.get("message", said.get("detail"))
        if isinstance(message, list | dict):  # validation errors of FastAPI
            message = json.dumps(message)
        self.code, self.param, self.message = (
            str(part) if isinstance(part, str | int) and part != "" else None
            for part in (said.get("code"), said.get("param"), message)
        )


def read_reply(body: bytes) -> Reply:
    """The first choice of a chat completion.

    Raises:
        ValueError: not a chat completion; one line that says why.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the server's reply is not JSON") from None
    choices = _field(reply, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = _field(choice, "message")
    if not isinstance(message, dict):
        raise ValueError("the server's reply is not a chat completion")
    ended = _field(choice, "finish_reason")
    text = message.get("content")
    if text is None:
        text = message.get("refusal")  # a refusal in place of an answer is the answer
    if text is None and ended == "length":
        text = ""
    why_none = "no text"
    if ended == "content_filter":  # a filtered text is not the model's answer
        text, why_none = None, "its content filter ended the answer"
    usage = _field(reply, "usage")
    return Reply(
        text=text if isinstance(text, str) else None,
        why_none=why_none,
        truncated=ended == "length",
        input_tokens=_count(_field(usage, "prompt_tokens")),
        output_tokens=_count(_field(usage, "completion_tokens")),
    )


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _count(value: object) -> int:
    """A token count, or 0 for anything else: an invalid count must not make the answer fail."""
    counted = isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MAX_TOKENS
    return value if counted and isinstance(value, int) else 0


def without_thinking(text: str) -> str:
    """An answer without its `<think>...</think>` blocks. A block without an end is cut to the end.

    If the template opens the block in the prompt, the answer has only the closing tag.
    """
    head, closing, tail = text.partition("</think>")
    if closing and "<think>" not in head:
        text = tail
    return _THINKING.sub("", text).strip()
