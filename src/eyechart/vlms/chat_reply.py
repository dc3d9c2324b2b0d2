"""What a server's reply says, read level by level: servers send many things that are nearly JSON
of the right form."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A chat completion. text: None where it holds no answer, and `why_none` says why not.

    input_tokens, output_tokens: as the server counted them, 0 where it did not.
    """

    text: str | None
    why_none: str
    truncated: bool
    input_tokens: int
    output_tokens: int


def read_reply(body: bytes) -> Reply:
    """The first choice of a chat completion.

    Raises:
        ValueError: one line on what the reply is not.
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
    text = message.get("content")
    if text is None:
        text = message.get("refusal")  # what it says in place of an answer is its answer
    ended = _field(choice, "finish_reason")
    usage = _field(reply, "usage")
    return Reply(
        text=text if isinstance(text, str) else None,
        why_none="its content filter" if ended == "content_filter" else "no text",
        truncated=ended == "length",
        input_tokens=_count(_field(usage, "prompt_tokens")),
        output_tokens=_count(_field(usage, "completion_tokens")),
    )


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _count(value: object) -> int:
    """A count, or 0 for anything else: a bill that cannot be read costs no answer."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
