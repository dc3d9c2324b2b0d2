"""How the tests ask a stand-in for an OpenAI-style server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eyechart.core.errors import EyechartError
from eyechart.core.types import Decoding, Request
from eyechart.vlms.openai_chat import OpenAIChat
from tests.vlms.asking import picture

KEY = "sk-very-secret-0123456789"
DECODING = Decoding(max_new_tokens=5)


def prompt_of(body: dict[str, Any]) -> str:
    return str(body["messages"][0]["content"][1]["text"])


def ask_halving(vlm: OpenAIChat, asked: Request) -> dict[str, str]:
    """What the engine does: halves what fails. -> prompt: answer, or the error of that one."""
    try:
        [answers] = vlm.answer([asked], DECODING)
        return {prompt: answer.text for prompt, answer in zip(asked.prompts, answers, strict=True)}
    except EyechartError as error:
        middle = len(asked.prompts) // 2
        if not middle:
            return {asked.prompts[0]: str(error)}
        halves = (asked.prompts[:middle], asked.prompts[middle:])
        found = [ask_halving(vlm, replace(asked, prompts=half)) for half in halves]
        return {**found[0], **found[1]}


def many(count: int) -> Request:
    return Request(image=picture(8, 8), prompts=tuple(f"{i}?" for i in range(count)))
