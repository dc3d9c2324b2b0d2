"""Prompt templates of VLMEvalKit, by VLM family.

Families: "default" (Qwen2.5-VL), "internvl3", "janus-pro", "qwen-vl-chat", "gpt-4o". The last two,
and any family unknown here, get the default. The picture's own place in the prompt (`<image>` and
the like) belongs to the VLM's chat template and is not part of these texts; the line break that
Janus-Pro wants after its picture is.
"""

from __future__ import annotations

import re

from eyechart.core.types import Question

FAMILIES = ("default", "internvl3", "janus-pro", "qwen-vl-chat", "gpt-4o")

SHORT_ANSWER = "Answer the question using a single word or phrase."
DESCRIBE = (
    "Please describe this image in general. Directly provide the description, "
    'do not include prefix like "This image depicts". '
)
_LETTER_EN = "Answer with the option's letter from the given choices directly."
_LETTER_ZH = "请直接回答选项字母。"
_CHINESE = re.compile("[\u4e00-\u9fff]")


def multiple_choice(question: Question, family: str) -> str:
    """Hint, question and lettered options, and the family's instruction to answer by letter."""
    if family == "internvl3":
        return _internvl_choice(question)
    if family == "janus-pro":
        return _janus_choice(question)
    text = f"Hint: {question.hint}\n" if question.hint else ""
    text += f"Question: {question.text}\n"
    if question.options:
        text += f"Options:\n{_lines(question)}"
        text += "Please select the correct answer from the options above. \n"
    return text


def _internvl_choice(question: Question) -> str:
    head = f"{question.hint}\n" if question.hint else ""
    options = "".join(f"\n{letter}. {text}" for letter, text in question.options)
    text = f"{head}{question.text}{options}"
    return f"{text}\n{_LETTER_ZH if _CHINESE.search(text) else _LETTER_EN}"


def _janus_choice(question: Question) -> str:
    head = f"\nHint: {question.hint}\n" if question.hint else "\n"
    return f"{head}{question.text}\n{_lines(question)}\n{_LETTER_EN}"


def _lines(question: Question) -> str:
    return "".join(f"{letter}. {text}\n" for letter, text in question.options)
