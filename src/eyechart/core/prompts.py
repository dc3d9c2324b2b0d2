"""Prompt texts, as VLMEvalKit builds them, and how VLM families change them.

Each task has a default prompt, which is that of Qwen2.5-VL. A family (`eyechart.families`) declares
a `PromptStyle` with the prompts that differ. The image placeholder belongs to the VLM's chat
template and is not part of these texts; the line break that Janus-Pro needs after it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from eyechart.core import plugins
from eyechart.core.errors import BrokenPluginError
from eyechart.core.types import Question

SHORT_ANSWER = "Answer the question using a single word or phrase."
ANSWER_BY_LETTER = "Answer with the option's letter from the given choices directly."


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStyle:
    """The prompts of a family that differ from the default ones.

    multiple_choice: prompt of questions with lettered options. by_task: name of a task -> its
    prompt, for tasks that read a TSV file.
    """

    multiple_choice: Callable[[Question], str] | None = None
    by_task: Mapping[str, Callable[[Question], str]] = field(default_factory=dict)


@cache
def style_of(family: str) -> PromptStyle:
    """The prompts of a family, by `VLM.family`; the default ones if it is not registered.

    Raises:
        PluginError: it is registered and cannot be imported, or has no PromptStyle.
    """
    if family not in plugins.names("eyechart.families"):
        return PromptStyle()
    found = getattr(plugins.load_factory("eyechart.families", family), "prompts", None)
    if not isinstance(found, PromptStyle):
        raise BrokenPluginError(f"{family}: this family declares no PromptStyle")
    return found


def prompt_families() -> tuple[str, ...]:
    """Families whose prompts can be chosen by name, "default" first."""
    return ("default", *plugins.names("eyechart.families"))


def multiple_choice(question: Question, family: str) -> str:
    """Hint, question and lettered options, and the family's instruction to answer by letter."""
    own = style_of(family).multiple_choice
    if own is not None:
        with plugins.guarded(family):
            return own(question)
    text = f"Hint: {question.hint}\n" if question.hint else ""
    text += f"Question: {question.text}\n"
    if question.options:
        text += f"Options:\n{option_lines(question)}"
        text += "Please select the correct answer from the options above. \n"
    return text


def option_lines(question: Question) -> str:
    """One line for each option, such as `A. cat`."""
    return "".join(f"{letter}. {text}\n" for letter, text in question.options)
