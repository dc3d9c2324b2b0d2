"""How far an answer says the same as a reference, by the kind of the question and the reference.

The kind is found from the words, because neither the user's questions nor a VLM's answers name it:

    yes or no    the question asks for it, or the reference begins with it; the same word counts
    number       the reference is one, in digits or as a word; the same value counts
    text         the question is about text in the image, and the reference is short; ANLS (Biten
                 et al., "Scene Text Visual Question Answering", ICCV 2019), with equal digits
    short        up to four words; the same words count, also within a longer answer
    long         F1 of the content words
"""

from __future__ import annotations

import re
from collections import Counter

from eyechart.tasks.extraction import read_yes_no

SAME_WORD, SAME_NUMBER = "the same yes or no", "the same number"
LETTERS, SAME_WORDS = "letters in common", "the same words"
CONTENT_WORDS = "content words in common"

_SHORT_WORDS = 4
_LEAST_SIMILARITY = 0.5  # below it two texts count as different (ANLS)
_ASKS_YES_NO = re.compile(
    r"(?i)^\W*(is|are|was|were|do|does|did|has|have|can|could|will|would|should)\b|\byes or no\b"
)
_ASKS_TEXT = re.compile(
    r"(?i)\b(read|reads|written|writing|text|words?|letters?|says?|spell|spelled|display|displays)\b"
)
# "No parking", "No-go area" and "No. 5" are texts; "No, ..." and "No there is ..." are answers.
_BEGINS_YES_NO = re.compile(
    r"(?i)^\W*(yes\b|no\b(?=\s*$|\s*[^\w\s-](?!\s*\d)"
    r"|\s+(?:there|it|this|that|these|those|they|he|she|i)\b))"
)
_NUMBER = re.compile(r"[-\u2212]?\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_BEFORE_A_NUMBER, _AFTER_A_NUMBER = " $€£¥~", " %$€£¥.!"
_NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
_WORD = re.compile(r"\w+")
_ARTICLES = frozenset({"a", "an", "the"})
_STOP_WORDS = frozenset(
    "a an and are as at by for from in is it its of on or that the there this to with".split()  # noqa: SIM905
)


def agreement(reference: str, answer: str, asked: str = "") -> float:
    """How far an answer says the same as the reference, 0..1. asked: the question."""
    if answer.strip() == reference.strip():
        return 1.0
    rule = rule_of(reference, asked)
    if rule == SAME_WORD:
        return float(_yes_no(answer) == _yes_no(reference))
    if rule == SAME_NUMBER:
        return float(_value(reference) in _values(answer)[:1])
    said, meant = _words(answer), _words(reference)
    if rule == LETTERS:
        return _similarity(" ".join(meant), " ".join(said))
    if rule == SAME_WORDS:
        kept = [word for word in meant if word not in _ARTICLES]
        if not kept:  # such as the letter of an option, A
            return float(bool(meant) and said == meant)
        said = [word for word in said if word not in _ARTICLES]
        starts = range(len(said) - len(kept) + 1)
        return float(any(said[at : at + len(kept)] == kept for at in starts))
    return _word_f1(meant, said)


def rule_of(reference: str, asked: str = "") -> str:
    """How answers are compared with a reference."""
    if _BEGINS_YES_NO.match(reference) or (_ASKS_YES_NO.search(asked) and read_yes_no(reference)):
        return SAME_WORD
    if _value(reference) is not None:
        return SAME_NUMBER
    if len(_words(reference)) > _SHORT_WORDS:
        return CONTENT_WORDS
    return LETTERS if _ASKS_TEXT.search(asked) else SAME_WORDS


def normalized(text: str) -> str:
    """The words in lower case, without punctuation."""
    return " ".join(_words(text))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _yes_no(text: str) -> str:
    begun = _BEGINS_YES_NO.match(text)
    return (begun[1] if begun else read_yes_no(text)).lower()


def _value(text: str) -> float | None:
    """The value of a text that is a number and nothing else, perhaps with a sign of a currency."""
    alone = text.strip().lstrip(_BEFORE_A_NUMBER).rstrip(_AFTER_A_NUMBER)
    is_number = _NUMBER.fullmatch(alone) or alone.lower() in _NUMBER_WORDS
    return _values(alone)[0] if is_number else None


def _values(text: str) -> list[float]:
    """The numbers in a text, in their order."""
    found = re.findall(rf"{_NUMBER.pattern}|[a-z]+", text.lower())
    return [
        float(_NUMBER_WORDS.index(one)) if one.isalpha() else _decimal(one)
        for one in found
        if not one.isalpha() or one in _NUMBER_WORDS
    ]


def _decimal(number: str) -> float:
    """1,000 and 1000.0 are 1000; 2,5 is 2.5; of 1.2.3 the first two parts count."""
    digits = number.lstrip("-\u2212")
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    whole, fraction = [*digits.replace(",", ".").split("."), "0"][:2]
    value = float(f"{whole}.{fraction}")
    return value if number[0].isdigit() else -value


def _similarity(meant: str, said: str) -> float:
    """1 - edit distance / length, 0 below 0.5 and for other digits."""
    if re.findall(r"\d", meant) != re.findall(r"\d", said):
        return 0.0
    similarity = 1 - _edit_distance(meant, said) / max(len(meant), len(said), 1)
    return similarity if similarity >= _LEAST_SIMILARITY else 0.0


def _edit_distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def _word_f1(meant: list[str], said: list[str]) -> float:
    needed, given = (
        Counter(word for word in words if word not in _STOP_WORDS) for words in (meant, said)
    )
    shared = (needed & given).total()
    return 2 * shared / (needed.total() + given.total()) if shared else 0.0
