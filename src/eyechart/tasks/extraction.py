"""Parse yes/no and option letters from free answer text, as VLMEvalKit does.

The rules are VLMEvalKit's, so that scores agree with it digit by digit; unusual rules have a
comment. Nothing is guessed: an answer that cannot be parsed gives "" and counts as wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD_OUTSIDE_NUMBER = re.compile(r"(?<!\d)\.(?!\d)")
_YES_NO_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_PERIODS_REMOVED = 32  # VLMEvalKit passes a flag (value 32) as the count

_LETTER_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_NO_ANSWER = "Failed to obtain answer via API"
# No word border after the letter: "the answer is black" gives B, as in VLMEvalKit.
_ANSWER_IS = re.compile(r"(?i)answer\s+is\s+\**([ABCD])")


def read_yes_no(answer: str) -> str:
    """ "Yes" or "No" if exactly one of the two words is in the answer, else ""."""
    words = strip_punctuation(answer.lower()).split()
    yes, no = "yes" in words, "no" in words
    if yes == no:
        return ""
    return "Yes" if yes else "No"


def strip_punctuation(text: str) -> str:
    """The VQA benchmark's punctuation rule: marks next to a space are removed, others become
    spaces.

    If there is a comma inside a number anywhere ("1,000"), all marks are removed.
    """
    number = _COMMA_IN_NUMBER.search(text) is not None
    stripped = text
    for mark in _YES_NO_MARKS:
        beside_space = mark + " " in text or " " + mark in text
        stripped = stripped.replace(mark, "" if number or beside_space else " ")
    return _PERIOD_OUTSIDE_NUMBER.sub("", stripped, count=_PERIODS_REMOVED)


def read_option(answer: str, options: Sequence[tuple[str, str]]) -> str:
    """The letter of the option that an answer chooses; "" if it could mean none or several.

    options: (letter, text) pairs.
    """
    letter = _letter_in(answer, [letter for letter, _ in options])
    if letter is not None:
        return letter
    return _option_text_in(answer, options)


def _letter_in(answer: str, letters: Sequence[str]) -> str | None:
    """A letter, "" for a refusal, None if the letters do not decide."""
    if any(refusal in answer for refusal in _REFUSALS) and _NO_ANSWER not in answer:
        return ""
    if _NO_ANSWER in answer:
        return None
    words = answer.translate(_LETTER_MARKS).split()
    present = [letter for letter in letters if letter in words]
    if len(present) == 1 and words.index(present[0]) > len(words) - 5:
        return present[0]
    if not present and "Z" in words:  # the judge's letter for "none of these"
        return ""
    match = _ANSWER_IS.search(answer)
    if match and match.group(1).upper() in letters:
        return match.group(1).upper()
    return None


def _option_text_in(answer: str, options: Sequence[tuple[str, str]]) -> str:
    answer = answer.lower()
    if len(answer) > 2 * sum(len(text) for _, text in options):
        return ""
    contained = [letter for letter, text in options if text.lower() in answer]
    return contained[0] if len(contained) == 1 else ""
